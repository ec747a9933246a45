/**
 * What a request asks for. A path is taken in one way only, or not at all: what servers and proxies understand differently
 * (dot segments, encoded slashes, empty segments, backslashes) is refused, not mended.
 */
import { Fault } from "../../clawfs/core/fault.ts"

export interface Target {
  /** The first segment, or undefined where the request names a host. */
  readonly provider: string | undefined
  /** host or host:port; undefined where it names a provider. */
  readonly host: string | undefined
  /** From the slash behind the provider or host. */
  readonly path: string
  /** With its question mark; empty where there is none. */
  readonly query: string
}

const MOST_TARGET = 8192
const PRINTABLE = /^[\x21-\x7e]+$/
const ABSOLUTE = /^https?:\/\/([A-Za-z0-9.-]{1,253}(?::\d{1,5})?)(\/.*)?$/

/** Reads "/provider/path?query" or "http://host/path?query". Throws `Fault("invalid")` for anything doubtful. */
export function readTarget(text: string): Target {
  if (text.length > MOST_TARGET || !PRINTABLE.test(text) || /[#\\"<>^`{|}]/.test(text)) throw refused()
  const [, host, rest] = ABSOLUTE.exec(text) ?? []
  const whole = host === undefined ? text : (rest ?? "/")
  if (!whole.startsWith("/")) throw refused()
  const at = whole.indexOf("?")
  const [full, query] = at < 0 ? [whole, ""] : [whole.slice(0, at), whole.slice(at)]
  segmentsOf(full)
  if (host !== undefined) return { provider: undefined, host: host.toLowerCase(), path: full, query }
  const [, provider = "", path = "/"] = /^\/([^/]+)(\/.*)?$/.exec(full) ?? []
  if (provider === "") throw refused()
  return { provider, host: undefined, path, query }
}

/** The segments of a path, decoded. Throws `Fault("invalid")` for a path that could mean another one. */
export function segmentsOf(path: string): string[] {
  const segments = path.slice(1).split("/").map(decoded)
  segments.forEach((segment, at) => {
    const isLast = at === segments.length - 1
    if (segment === "" && !isLast) throw refused()
    // Some servers take what follows a semicolon off; some decode twice.
    const [bare = ""] = segment.split(";")
    if (bare === "." || bare === ".." || /[/\\\x00-\x1f\x7f]|%(2e|2f|5c|00)/i.test(segment)) throw refused()
  })
  return segments
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw new Fault("invalid", "the path is not encoded as paths are", { cause })
  }
}

function refused(): Fault {
  return new Fault("invalid", "the path of the request could mean more than one thing")
}

/** Whether a path is what a pattern says: * one segment, ** at the end any number. */
export function matches(pattern: string, path: string): boolean {
  const wanted = pattern.slice(1).split("/")
  const given = segmentsOf(path)
  if (wanted.at(-1) === "**")
    return given.length >= wanted.length - 1 && wanted.slice(0, -1).every((each, at) => fits(each, given[at]))
  return given.length === wanted.length && wanted.every((each, at) => fits(each, given[at]))
}

function fits(wanted: string, given: string | undefined): boolean {
  return wanted === given || (wanted === "*" && given !== undefined && given !== "")
}

/** Whether a query has this parameter, in whatever writing. */
export function hasParameter(query: string, name: string): boolean {
  return query
    .slice(1)
    .split(/[&;]/)
    .some((pair) => {
      const [key = ""] = pair.split("=")
      return decoded(key.replaceAll("+", " ")).toLowerCase() === name.toLowerCase()
    })
}
