/**
 * Capabilities in the specification's colon form, each with what it means here. What a sandbox can't grant is refused when a
 * tool is installed, never ignored.
 */
import { Fault } from "../core/fault.ts"
import { parseLinkPort } from "./link-grant.ts"
import { isBroad, parseNetworkGrant, type NetworkGrant } from "./network-grant.ts"

export type Capability =
  /** A file or directory and all below it; to write is to read too. The path is as if the mount point were `/clawfs`. */
  | { readonly kind: "filesystem"; readonly access: "read" | "write"; readonly path: string }
  /** It may start programs and other processes; without it only threads. */
  | { readonly kind: "process" }
  /** TCP connections to it; there are no others. */
  | ({ readonly kind: "network" } & NetworkGrant)
  /** TCP connections to this port of the machine, through an interface of the sandbox's own. */
  | { readonly kind: "link"; readonly port: number }
  /** It gets the value of this secret, if the vault grants it that. */
  | { readonly kind: "secret"; readonly name: string }

const ROOT = "/clawfs"
const PATH_MAX = 4096
const MOST_NETWORK = 32

/** Throws `Fault("invalid")` for what is no capability, "unsupported" for one that this version can't grant. */
export function parseCapability(text: string): Capability {
  if (text === "process:spawn") return { kind: "process" }
  const [family = "", action = "", ...rest] = text.split(":")
  if (family === "secret") return { kind: "secret", name: secretName(text, action, rest.join(":")) }
  if (family === "network" && action === "outbound")
    return { kind: "network", ...parseNetworkGrant(text, rest.join(":")) }
  if (family === "network" && action === "link")
    return { kind: "link", port: parseLinkPort(text, rest.join(":")) }
  if (family !== "filesystem" || (action !== "read" && action !== "write"))
    throw new Fault("invalid", `"${text}" is no capability`, {
      hint: "there are filesystem:read:PATH, filesystem:write:PATH, network:outbound:HOST:PORT, network:link:PORT, secret:exec:NAME and process:spawn",
    })
  return { kind: "filesystem", access: action, path: checkedPath(text, rest.join(":")) }
}

const MOST_SECRET_NAME = 255

/** Other verbs of the vault are no business of a program that has the value. */
function secretName(text: string, verb: string, name: string): string {
  if (verb !== "exec")
    throw new Fault("unsupported", `"${text}": of secrets a tool can get secret:exec:NAME, nothing else`)
  const isPlain = name !== "" && name.length <= MOST_SECRET_NAME && !/[\u0000-\u001f\u007f]/.test(name)
  if (isPlain) return name
  throw new Fault("invalid", `"${text}" names no secret`)
}

/** One place in ClawFS, named in one way. */
function checkedPath(text: string, path: string): string {
  const names = path.split("/").slice(2)
  const isPlain =
    path.startsWith(`${ROOT}/`) &&
    Buffer.byteLength(path) <= PATH_MAX &&
    !/[\u0000-\u001f\u007f]/.test(path) &&
    names.every((name) => name !== "" && name !== "." && name !== "..")
  if (isPlain) return path
  throw new Fault("invalid", `"${text}": the path must lie below ${ROOT}, without "." and ".." in it`)
}

/** All of them, checked against each other. */
export function parseCapabilities(texts: readonly string[]): Capability[] {
  const all = texts.map(parseCapability)
  const paths = all.flatMap((each) => (each.kind === "filesystem" ? [each.path] : []))
  // One grant inside of another would have its mount point where a tool, or anybody, may put a link (CVE-2026-87766).
  for (const [at, path] of paths.entries()) {
    const other = paths.find((each, where) => where !== at && isWithin(each, path))
    if (other !== undefined)
      throw new Fault("invalid", `the granted paths ${path} and ${other} overlap`, {
        hint: "grant the outer one, or two that lie apart",
      })
  }
  const places = all.flatMap(placesOf)
  const twice = places.find((place, at) => places.indexOf(place) !== at)
  if (twice !== undefined) throw new Fault("invalid", `${twice} is granted twice`)
  const secrets = all.flatMap((each) => (each.kind === "secret" ? [each.name] : []))
  const again = secrets.find((name, at) => secrets.indexOf(name) !== at)
  if (again !== undefined) throw new Fault("invalid", `the secret ${again} is granted twice`)
  if (places.length > MOST_NETWORK)
    throw new Fault("invalid", `more than ${MOST_NETWORK} hosts and ports are granted`)
  return all
}

/** What a capability opens of a network. */
function placesOf(each: Capability): string[] {
  if (each.kind === "network") return [`${each.host}:${each.port}`]
  return each.kind === "link" ? [`port ${each.port} of the machine`] : []
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`)
}

const NEVER = ["/clawfs/vault"]
const NEVER_WRITTEN = ["/clawfs/system", "/clawfs/tools", "/clawfs/specs"]
/** Whole namespaces: what lies in them belongs to many. */
const BROAD = /^\/clawfs\/[^/]+$/

/** Throws `Fault("denied")` for what no tool gets, whoever installs it. */
export function requireGrantable(capabilities: readonly Capability[]): void {
  for (const each of capabilities) {
    if (each.kind !== "filesystem") continue
    const isHidden = NEVER.some((path) => isWithin(each.path, path))
    const isKept = each.access === "write" && NEVER_WRITTEN.some((path) => isWithin(each.path, path))
    if (!isHidden && !isKept) continue
    throw new Fault("denied", `no tool gets filesystem:${each.access}:${each.path}`)
  }
}

/** Those that reach so far that somebody should say yes to them. */
export function broadOnes(capabilities: readonly Capability[]): string[] {
  return capabilities.flatMap((each) => {
    if (each.kind === "network" && isBroad(each)) return [`network:outbound:${each.host}:${each.port}`]
    return each.kind === "filesystem" && BROAD.test(each.path)
      ? [`filesystem:${each.access}:${each.path}`]
      : []
  })
}
