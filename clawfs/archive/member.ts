/**
 * An entry as a member of a tar archive, and back. The tree lies below `tree/`. Holes are those of GNU tar's format 1.0: the map
 * stands before the data. A socket, which tar does not know, is a FIFO with a record that says so.
 */
import { Fault } from "../core/fault.ts"
import {
  escapedName,
  decimalTime,
  timeOf,
  unescapedName,
  type Attribute,
  type Entry,
  type EntryType,
  type Inode,
} from "./entry.ts"
import { BLOCK, Flag, MOST_ID, MOST_NAME, MOST_SIZE, encodeHeader, padding, type Header } from "./header.ts"
import { encodeRecords, type Records } from "./pax.ts"

export const TREE = "tree/"
export const SECRETS = "secrets.json.enc"
export const MANIFEST = "manifest.json"
/** The first member: what this is. Other programs take it for a comment. */
export const COMMENT = "clawfs export, format 1"
/** linux/limits.h: PATH_MAX without the zero at the end, and less what stands before a path here. */
export const MOST_PATH = 4000

const ATTRIBUTE = "SCHILY.xattr."
const SPARSE_NAME = Buffer.from("GNUSparseFile.0/holes")
const EMPTY = Buffer.alloc(0)
const OWN_FILE = { mode: 0o600, uid: 0, gid: 0, mtime: 0, linkName: EMPTY, major: 0, minor: 0 }

const FLAGS = {
  file: Flag.FILE,
  directory: Flag.DIRECTORY,
  symlink: Flag.SYMLINK,
  fifo: Flag.FIFO,
  socket: Flag.FIFO,
  character: Flag.CHARACTER,
  block: Flag.BLOCK_DEVICE,
} satisfies Record<EntryType, Flag>

/** What stands before an entry's contents, which take `stored` bytes; `hasHoles`: they begin with a map. */
export function encodeMember(entry: Entry, stored = 0, hasHoles = false): Buffer {
  const records = new Map<string, Buffer>()
  const put = (key: string, value: Buffer | string): void =>
    void records.set(key, typeof value === "string" ? Buffer.from(value) : value)
  const path = Buffer.concat([Buffer.from(TREE), entry.path, Buffer.from(isBelowTop(entry) ? "/" : "")])
  if (hasHoles) {
    put("GNU.sparse.major", "1")
    put("GNU.sparse.minor", "0")
    put("GNU.sparse.name", path)
    put("GNU.sparse.realsize", String("size" in entry ? entry.size : 0))
  } else if (path.length > MOST_NAME) put("path", path)
  const target = entry.type === "link" ? Buffer.concat([Buffer.from(TREE), entry.target]) : entry.target
  if (target.length > MOST_NAME) put("linkpath", target)
  if (stored > MOST_SIZE) put("size", String(stored))
  const facts = entry.type === "link" ? OWN_FILE : inodeFields(entry, put)
  const isText = [path, target].every((bytes) => bytes.length <= MOST_NAME || isUtf8(bytes))
  const all: Records = isText ? records : new Map([["hdrcharset", Buffer.from("BINARY")], ...records])
  const header = encodeHeader({
    ...facts,
    name: hasHoles ? SPARSE_NAME : path.subarray(0, MOST_NAME),
    size: stored > MOST_SIZE ? 0 : stored,
    flag: entry.type === "link" ? Flag.LINK : FLAGS[entry.type],
    linkName: target.subarray(0, MOST_NAME),
  })
  return all.size === 0 ? header : Buffer.concat([withRecords(Flag.RECORDS, all), header])
}

/** Only directories end with a slash, and the top has its own already. */
function isBelowTop({ type, path }: Entry): boolean {
  return type === "directory" && path.length > 0
}

type Put = (key: string, value: Buffer | string) => void
type Fields = Pick<Header, "mode" | "uid" | "gid" | "mtime" | "major" | "minor">

function inodeFields({ type, mode, uid, gid, mtimeNs, attributes, major, minor }: Inode, put: Put): Fields {
  const seconds = Number(mtimeNs / 1_000_000_000n)
  const isWhole = mtimeNs >= 0n && mtimeNs % 1_000_000_000n === 0n && seconds <= MOST_SIZE
  if (!isWhole) put("mtime", decimalTime(mtimeNs))
  if (uid > MOST_ID) put("uid", String(uid))
  if (gid > MOST_ID) put("gid", String(gid))
  if (type === "socket") put("CLAWFS.type", "socket")
  for (const { name, value } of attributes) put(`${ATTRIBUTE}${escapedName(name)}`, value)
  const fitting = (id: number): number => (id > MOST_ID ? 0 : id)
  return { mode, uid: fitting(uid), gid: fitting(gid), mtime: isWhole ? seconds : 0, major, minor }
}

function isUtf8(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString()).equals(bytes)
}

function withRecords(flag: Flag, records: Records): Buffer {
  const bytes = encodeRecords(records)
  const name = Buffer.from(flag === Flag.GLOBAL ? "clawfs-export" : "records")
  const header = encodeHeader({ ...OWN_FILE, name, size: bytes.length, flag })
  return Buffer.concat([header, bytes, Buffer.alloc(padding(bytes.length))])
}

/** What an archive begins with. */
export function encodeBeginning(): Buffer {
  return withRecords(Flag.GLOBAL, new Map([["comment", Buffer.from(COMMENT)]]))
}

/** The header of a file of ours beside the tree. */
export function encodeOwn(name: string, size: number): Buffer {
  const isLong = size > MOST_SIZE
  const header = encodeHeader({
    ...OWN_FILE,
    name: Buffer.from(name),
    size: isLong ? 0 : size,
    flag: Flag.FILE,
  })
  if (!isLong) return header
  return Buffer.concat([withRecords(Flag.RECORDS, new Map([["size", Buffer.from(String(size))]])), header])
}

export const END = Buffer.alloc(2 * BLOCK)

export interface Member {
  /** As the archive has it; of a directory without the slash at the end. */
  readonly name: Buffer
  /** Undefined: a file beside the tree. */
  readonly entry: Entry | undefined
  /** How many bytes follow, without padding. */
  readonly stored: number
  readonly hasHoles: boolean
}

const KNOWN: ReadonlySet<string> = new Set([
  ...["path", "linkpath", "size", "uid", "gid", "mtime", "hdrcharset", "CLAWFS.type"],
  ...["GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.name", "GNU.sparse.realsize"],
])

/** Throws `Fault("corrupt")` for what `encodeMember` does not write. */
export function decodeMember(header: Header, records: Records): Member {
  for (const key of records.keys())
    if (!KNOWN.has(key) && !key.startsWith(ATTRIBUTE))
      throw new Fault("corrupt", `a header has the record ${shown(key)}`)
  const hasHoles = records.has("GNU.sparse.major")
  const name = records.get(hasHoles ? "GNU.sparse.name" : "path") ?? header.name
  const stored = numberIn(records, "size") ?? header.size
  const tree = Buffer.from(TREE)
  if (!name.subarray(0, tree.length).equals(tree)) return { name, entry: undefined, stored, hasHoles }
  const inTree = name.subarray(tree.length)
  const isDirectory = header.flag === Flag.DIRECTORY
  const slash = isDirectory && inTree.length > 0 ? 1 : 0
  if (slash === 1 && inTree.at(-1) !== SLASH)
    throw new Fault("corrupt", `the directory ${shown(name)} is written otherwise`)
  const path = Buffer.from(inTree.subarray(0, inTree.length - slash))
  const target = records.get("linkpath") ?? header.linkName
  const entry =
    header.flag === Flag.LINK
      ? ({ type: "link", path, target: linkTarget(target) } as const)
      : inodeOf(header, records, {
          path,
          target,
          size: hasHoles ? (numberIn(records, "GNU.sparse.realsize") ?? 0) : stored,
        })
  if (stored > 0 && entry.type !== "file")
    throw new Fault("corrupt", `${shown(name)} is no file, but has contents`)
  return { name, entry, stored, hasHoles }
}

const SLASH = 0x2f

function linkTarget(target: Buffer): Buffer {
  const tree = Buffer.from(TREE)
  if (target.subarray(0, tree.length).equals(tree) && target.length > tree.length)
    return target.subarray(tree.length)
  throw new Fault("corrupt", `a hard link leads to ${shown(target)}, which is not in the archive`)
}

function inodeOf(
  header: Header,
  records: Records,
  { path, target, size }: { readonly path: Buffer; readonly target: Buffer; readonly size: number },
): Inode {
  const mtime = records.get("mtime")?.toString("latin1")
  const mtimeNs = mtime === undefined ? BigInt(header.mtime) * 1_000_000_000n : timeOf(mtime)
  if (mtimeNs === undefined) throw new Fault("corrupt", `a header has the time ${shown(mtime ?? "")}`)
  if (header.mode > 0o7777) throw new Fault("corrupt", "a header has a mode that is none")
  const type = typeOf(header.flag, records)
  const attributes: Attribute[] = [...records]
    .filter(([key]) => key.startsWith(ATTRIBUTE))
    .map(([key, value]) => ({ name: unescapedName(key.slice(ATTRIBUTE.length)), value }))
  return {
    ...{ path, type, mode: header.mode, mtimeNs, attributes, size: type === "file" ? size : 0 },
    uid: numberIn(records, "uid") ?? header.uid,
    gid: numberIn(records, "gid") ?? header.gid,
    target: type === "symlink" ? target : EMPTY,
    ...{ major: header.major, minor: header.minor },
  }
}

function typeOf(flag: Flag, records: Records): EntryType {
  if (records.has("CLAWFS.type") && flag === Flag.FIFO) return "socket"
  for (const [type, its] of Object.entries(FLAGS) as [EntryType, Flag][]) if (its === flag) return type
  throw new Fault("corrupt", "a header has a type that is none")
}

function numberIn(records: Records, key: string): number | undefined {
  const text = records.get(key)?.toString("latin1")
  if (text === undefined) return undefined
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN
  if (Number.isSafeInteger(value)) return value
  throw new Fault("corrupt", `a header has the number ${shown(text)}`)
}

/** A name in a message: at most as much as a line can bear. */
export function shown(name: Buffer | string): string {
  const text = JSON.stringify(name.toString())
  return text.length <= 200 ? text : `${text.slice(0, 200)}…"`
}
