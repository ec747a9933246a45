/** The kernel's structures, read from and written to bytes (little-endian, 64-bit). */
import { S, UTIME } from "./abi.ts"

const NS = 1_000_000_000n

export interface Stat {
  readonly mode: number
  /** `S.IFREG` … */
  readonly type: number
  /** the twelve permission bits */
  readonly perm: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  readonly ino: bigint
  readonly dev: string
  readonly rdev: string
  readonly size: number
  readonly blocks: number
  readonly blksize: number
  /** nanoseconds since 1970, also negative */
  readonly atime: bigint
  readonly mtime: bigint
  readonly ctime: bigint
  readonly btime: bigint | undefined
}

const STATX_BTIME = 0x800

/** struct statx, from <linux/stat.h> */
export function readStat(b: Buffer): Stat {
  const time = (at: number) => b.readBigInt64LE(at) * NS + BigInt(b.readUInt32LE(at + 8))
  const device = (at: number) => `${b.readUInt32LE(at)}:${b.readUInt32LE(at + 4)}`
  const mode = b.readUInt16LE(28)
  return {
    mode,
    type: mode & S.IFMT,
    perm: mode & 0o7777,
    blksize: b.readUInt32LE(4),
    nlink: b.readUInt32LE(16),
    uid: b.readUInt32LE(20),
    gid: b.readUInt32LE(24),
    ino: b.readBigUInt64LE(32),
    size: Number(b.readBigUInt64LE(40)),
    blocks: Number(b.readBigUInt64LE(48)),
    atime: time(64),
    btime: (b.readUInt32LE(0) & STATX_BTIME) === 0 ? undefined : time(80),
    ctime: time(96),
    mtime: time(112),
    rdev: device(128),
    dev: device(136),
  }
}

export type TimeSpec = bigint | "now" | "omit"

/** struct timespec[2]; nanoseconds since 1970 are split so that the nanosecond part is never negative. */
export function writeTimes(...times: readonly TimeSpec[]): Buffer {
  const b = Buffer.alloc(16 * times.length)
  times.forEach((time, index) => {
    const nanoseconds = typeof time === "bigint" ? ((time % NS) + NS) % NS : 0n
    const seconds = typeof time === "bigint" ? (time - nanoseconds) / NS : 0n
    const special = time === "now" ? UTIME.NOW : UTIME.OMIT
    b.writeBigInt64LE(seconds, index * 16)
    b.writeBigInt64LE(typeof time === "bigint" ? nanoseconds : BigInt(special), index * 16 + 8)
  })
  return b
}

export function readTime(b: Buffer): bigint {
  return b.readBigInt64LE(0) * NS + b.readBigInt64LE(8)
}

export interface Entry {
  readonly ino: bigint
  /** the cookie to continue after this entry */
  readonly next: bigint
  /** `S.IFREG` … or 0 if the filesystem does not say */
  readonly type: number
  /** Latin-1 bytes */
  readonly name: string
}

/** struct linux_dirent64[] as getdents64(2) gives them */
export function readEntries(b: Buffer): Entry[] {
  const entries: Entry[] = []
  for (let at = 0; at < b.length; at += b.readUInt16LE(at + 16)) {
    entries.push({
      ino: b.readBigUInt64LE(at),
      next: b.readBigInt64LE(at + 8),
      type: b.readUInt8(at + 18) << 12,
      name: b.toString("latin1", at + 19, b.indexOf(0, at + 19)),
    })
  }
  return entries
}

export interface StatFs {
  readonly type: bigint
  readonly bsize: number
  readonly blocks: bigint
  readonly bfree: bigint
  readonly bavail: bigint
  readonly files: bigint
  readonly ffree: bigint
  readonly namelen: number
  readonly frsize: number
  readonly flags: number
}

/** struct statfs; its fields are all of register size */
export function readStatFs(b: Buffer): StatFs {
  const field = (index: number) => b.readBigInt64LE(index * 8)
  return {
    type: field(0),
    bsize: Number(field(1)),
    blocks: field(2),
    bfree: field(3),
    bavail: field(4),
    files: field(5),
    ffree: field(6),
    namelen: Number(field(8)),
    frsize: Number(field(9)),
    flags: Number(field(10)),
  }
}

export interface Range {
  readonly type: number
  readonly start: number
  readonly length: number
  readonly pid?: number
}

/** struct flock */
export function writeRange({ type, start, length }: Range): Buffer {
  const b = Buffer.alloc(32)
  b.writeInt16LE(type, 0)
  b.writeBigInt64LE(BigInt(start), 8)
  b.writeBigInt64LE(BigInt(length), 16)
  return b
}

export function readRange(b: Buffer): Range {
  return {
    type: b.readInt16LE(0),
    start: Number(b.readBigInt64LE(8)),
    length: Number(b.readBigInt64LE(16)),
    pid: b.readInt32LE(24),
  }
}

const aclTags = { u: [1, 2], g: [4, 8], m: [16, 16], o: [32, 32] } as const
const rwx = ["r", "w", "x"] as const
const ACL_VERSION = 2
const NO_ID = 0xffffffff

/** `"u::rwx,u:7:r-x,g::r--,m::rwx,o::---"` to the value of system.posix_acl_* */
export function writeAcl(text: string): Buffer {
  const entries = text.split(",").map((entry) => {
    const [kind, id = "", perms = ""] = entry.split(":")
    const [unnamed, named] = aclTags[kind as keyof typeof aclTags]
    const bits = rwx.reduce((sum, bit, index) => sum + (perms[index] === bit ? 4 >> index : 0), 0)
    const b = Buffer.alloc(8)
    b.writeUInt16LE(id === "" ? unnamed : named, 0)
    b.writeUInt16LE(bits, 2)
    b.writeUInt32LE(id === "" ? NO_ID : Number(id), 4)
    return b
  })
  return Buffer.concat([Buffer.from([ACL_VERSION, 0, 0, 0]), ...entries])
}

export function readAcl(b: Buffer): string {
  const kinds = new Map<number, string>(
    Object.entries(aclTags).flatMap(([kind, tags]) => tags.map((tag) => [tag, kind] as const)),
  )
  const texts: string[] = []
  for (let at = 4; at < b.length; at += 8) {
    const tag = b.readUInt16LE(at)
    const perms = b.readUInt16LE(at + 2)
    const isNamed = tag === 2 || tag === 8
    const shown = rwx.map((bit, index) => ((perms & (4 >> index)) === 0 ? "-" : bit)).join("")
    texts.push(`${kinds.get(tag) ?? "?"}:${isNamed ? b.readUInt32LE(at + 4) : ""}:${shown}`)
  }
  return texts.join(",")
}
