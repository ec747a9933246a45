/** What an archive says of one file, and how the manifest writes it down. */
import { createHash } from "node:crypto"

export type EntryType = "file" | "directory" | "symlink" | "fifo" | "socket" | "character" | "block"

export interface Attribute {
  readonly name: Buffer
  readonly value: Buffer
}

interface Common {
  /** From the directory that is exported: names with slashes between; empty for the directory itself. */
  readonly path: Buffer
}

/** A file, directory or anything else that has an inode of its own here. */
export interface Inode extends Common {
  readonly type: EntryType
  /** The twelve bits of permissions. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtimeNs: bigint
  readonly attributes: readonly Attribute[]
  /** Of a file. */
  readonly size: number
  /** Of a symbolic link. */
  readonly target: Buffer
  /** Of a device. */
  readonly major: number
  readonly minor: number
}

/** One more name of a file that came before. */
export interface HardLink extends Common {
  readonly type: "link"
  /** The name that came before, as `path`. */
  readonly target: Buffer
}

export type Entry = Inode | HardLink

/** The manifest's line of an entry; `sha256`: of a file's bytes. The same text for the same entry, always. */
export function lineOf(entry: Entry, sha256?: string): string {
  if (entry.type === "link")
    return JSON.stringify({
      ...shownAs("path", entry.path),
      type: entry.type,
      ...shownAs("target", entry.target),
    })
  const { type, mode, uid, gid, mtimeNs, attributes } = entry
  const isDevice = type === "character" || type === "block"
  return JSON.stringify({
    ...shownAs("path", entry.path),
    ...{ type, mode: mode.toString(8).padStart(4, "0"), uid, gid, mtime: decimalTime(mtimeNs) },
    ...(type === "file" ? { size: entry.size, sha256 } : {}),
    ...(type === "symlink" ? shownAs("target", entry.target) : {}),
    ...(isDevice ? { device: `${entry.major}:${entry.minor}` } : {}),
    ...(attributes.length === 0 ? {} : { xattrs: Object.fromEntries(attributes.map(summed)) }),
  })
}

/** As text where the bytes are UTF-8, otherwise in base64 under another member. */
function shownAs(member: string, bytes: Buffer): Readonly<Record<string, string>> {
  const text = bytes.toString()
  return Buffer.from(text).equals(bytes)
    ? { [member]: text }
    : { [`${member}_base64`]: bytes.toString("base64") }
}

function summed({ name, value }: Attribute): [name: string, sha256: string] {
  return [escapedName(name), createHash("sha256").update(value).digest("hex")]
}

/** An attribute's name as a key of records: `%` and `=` as GNU tar writes them, and so whatever is no printable ASCII. */
export function escapedName(name: Buffer): string {
  const escape = (character: string): string =>
    `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`
  return name.toString("latin1").replace(/[^!-~]|[%=]/g, escape)
}

export function unescapedName(text: string): Buffer {
  const character = (_all: string, digits: string): string => String.fromCharCode(Number.parseInt(digits, 16))
  return Buffer.from(text.replace(/%([0-9A-F]{2})/g, character), "latin1")
}

const NS = 1_000_000_000n

/** Seconds since 1970 with up to nine digits behind the point, as pax writes times. */
export function decimalTime(ns: bigint): string {
  const size = ns < 0n ? -ns : ns
  const fraction = size % NS === 0n ? "" : `.${String(size % NS).padStart(9, "0")}`
  return `${ns < 0n ? "-" : ""}${size / NS}${fraction}`
}

/** Undefined for what `decimalTime` does not write. */
export function timeOf(text: string): bigint | undefined {
  const [, sign = "", seconds = "", fraction = ""] = /^(-?)(\d{1,12})(?:\.(\d{9}))?$/.exec(text) ?? []
  if (seconds === "") return undefined
  const size = BigInt(seconds) * NS + BigInt(fraction === "" ? 0 : fraction)
  return sign === "" ? size : -size
}
