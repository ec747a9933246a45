/**
 * Trees whose contents somebody has signed: the newest manifest of each kind, and the public key, lie in the vault's directory,
 * below `signed/`, which its owner alone can write to. What is signed there is asked for; elsewhere nothing is.
 */
import { createHash, createPublicKey, verify } from "node:crypto"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import {
  ManifestHead,
  SignedManifest,
  type ManifestEntry,
  type ManifestKind,
} from "../../schema/signed-manifest.ts"
import { Fault } from "../core/fault.ts"
import { canonicalJson } from "../core/canonical-json.ts"
import { differences, entriesOf } from "./entries.ts"

export const SIGNED_DIRECTORY = "signed"
export const PUBLIC_KEY = "manifest-key"
/** As the specification names them. */
export const MANIFEST_FILES: Readonly<Record<ManifestKind, string>> = {
  specs: "spec-signatures.json",
  system: "system-manifest.json",
  tools: "tools-registry.json",
}

/** RFC 8410: what stands before the 32 bytes of an Ed25519 key in SubjectPublicKeyInfo. */
const SPKI = Buffer.from("302a300506032b6570032100", "hex")

export function entriesHash(entries: readonly ManifestEntry[]): string {
  return `sha256:${createHash("sha256").update(canonicalJson(entries)).digest("hex")}`
}

/** The bytes that are signed. */
export function signedBytes(head: ManifestHead): Buffer {
  return Buffer.from(canonicalJson(head))
}

/** How people tell a key: 16 hexadecimal digits. */
export function keyIdOf(key: Uint8Array): string {
  return createHash("sha256").update(key).digest("hex").slice(0, 16)
}

export function manifestPath(vault: string, kind: ManifestKind): string {
  return join(vault, SIGNED_DIRECTORY, MANIFEST_FILES[kind])
}

/** The manifest in a file. Throws `Fault("not-found")` where none is, "corrupt" for what is none. */
export function readManifest(path: string): SignedManifest {
  if (!existsSync(path)) throw new Fault("not-found", `there is no signed manifest ${path}`)
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, "utf8"))
  } catch (cause) {
    throw new Fault("corrupt", `${path} is no signed manifest`, { cause })
  }
  const manifest = SignedManifest.safeParse(value)
  if (manifest.success) return manifest.data
  throw new Fault("corrupt", `${path} is no signed manifest: ${manifest.error.issues[0]?.message ?? ""}`)
}

/** Throws `Fault("corrupt")` unless the manifest is what `key` (32 bytes) has signed. */
export function requireSignature(manifest: SignedManifest, key: Uint8Array): void {
  const { entries, signature, ...head } = manifest
  const spki = createPublicKey({ key: Buffer.concat([SPKI, key]), format: "der", type: "spki" })
  const isOwn = Buffer.from(head.key, "base64").equals(key) && head.entries_sha256 === entriesHash(entries)
  if (isOwn && verify(null, signedBytes(head), spki, Buffer.from(signature, "base64"))) return
  throw new Fault("corrupt", `the manifest of ${head.directory} does not have this vault's signature`)
}

/** The vault's public key, 32 bytes. Throws `Fault("not-found")` for a vault that never signed a manifest. */
export function trustedKey(vault: string): Buffer {
  const path = join(vault, SIGNED_DIRECTORY, PUBLIC_KEY)
  if (!existsSync(path)) throw new Fault("not-found", `the vault in ${vault} has signed nothing yet`)
  const key = Buffer.from(readFileSync(path, "utf8").trim(), "base64")
  if (key.length !== 32) throw new Fault("corrupt", `${path} is no public key`)
  return key
}

/** What differs from what was signed, one line each; none when `directory` is as it was. */
export function changesSince(manifest: SignedManifest, directory: string): string[] {
  return differences(manifest.entries, entriesOf(manifest.kind, directory))
}

/**
 * Throws `Fault("denied")` when the vault has a signed manifest of this directory and it is not as it was then. A directory that
 * nobody signed passes.
 */
export function requireAsSigned(vault: string, kind: ManifestKind, directory: string): void {
  const path = manifestPath(vault, kind)
  if (!existsSync(path)) return
  const manifest = readManifest(path)
  if (manifest.directory !== directory) return
  requireSignature(manifest, trustedKey(vault))
  const [first, ...more] = changesSince(manifest, directory)
  if (first === undefined) return
  const rest = more.length === 0 ? "" : `, and ${more.length} more`
  throw new Fault("denied", `${directory} is not as it was signed: ${first.replace(/ +/, " ")}${rest}`, {
    hint: `clawfs vault verify ${kind} ${directory}`,
  })
}
