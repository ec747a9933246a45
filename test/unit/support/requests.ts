/** Builds requests as the kernel would, and reads replies as it would. */
import { Opcode } from "../../../clawfs/fuse/abi.ts"

export interface Head {
  readonly unique?: bigint
  readonly node?: number | bigint
  readonly uid?: number
  readonly gid?: number
  readonly pid?: number
}

export const FIRST_UNIQUE = 0x1122_3344_5566n

/** One whole request: the header and whatever bodies follow it. */
export function request(opcode: number, bodies: readonly Uint8Array[] = [], head: Head = {}): Buffer {
  const body = Buffer.concat(bodies)
  const out = Buffer.alloc(40 + body.length)
  out.writeUInt32LE(out.length, 0)
  out.writeUInt32LE(opcode, 4)
  out.writeBigUInt64LE(head.unique ?? FIRST_UNIQUE, 8)
  out.writeBigUInt64LE(BigInt(head.node ?? 1), 16)
  out.writeUInt32LE(head.uid ?? 0, 24)
  out.writeUInt32LE(head.gid ?? 0, 28)
  out.writeUInt32LE(head.pid ?? 1, 32)
  body.copy(out, 40)
  return out
}

/** The mark of a request that comes again after its server was killed. */
export const RESENT = 1n << 63n

/** A name as it follows a struct. */
export function z(name: string): Buffer {
  return Buffer.from(`${name}\0`, "latin1")
}

/** 32-bit words; a bigint takes two. */
export function words(...values: readonly (number | bigint)[]): Buffer {
  return Buffer.concat(
    values.map((value) => {
      const out = Buffer.alloc(typeof value === "bigint" ? 8 : 4)
      if (typeof value === "bigint") out.writeBigUInt64LE(BigInt.asUintN(64, value))
      else out.writeUInt32LE(value >>> 0)
      return out
    }),
  )
}

export interface ReplyHead {
  readonly length: number
  readonly error: number
  readonly unique: bigint
}

export function readReply(bytes: Buffer): ReplyHead {
  return { length: bytes.readUInt32LE(0), error: bytes.readInt32LE(4), unique: bytes.readBigUInt64LE(8) }
}

export interface ListedEntry {
  readonly name: string
  readonly ino: number
  readonly type: number
  readonly cookie: number
  /** The node that a plus listing hands out; 0: none. */
  readonly node: number
}

/** The payload of a READDIR or READDIRPLUS reply. */
export function unpack(payload: Buffer, plus: boolean): ListedEntry[] {
  const entries: ListedEntry[] = []
  const head = plus ? 128 : 0
  for (let at = 0; at < payload.length;) {
    const node = plus ? Number(payload.readBigUInt64LE(at)) : 0
    const dirent = at + head
    const length = payload.readUInt32LE(dirent + 16)
    entries.push({
      name: payload.toString("latin1", dirent + 24, dirent + 24 + length),
      ino: Number(payload.readBigUInt64LE(dirent)),
      type: payload.readUInt32LE(dirent + 20),
      cookie: Number(payload.readBigUInt64LE(dirent + 8)),
      node,
    })
    at += Math.ceil((head + 24 + length) / 8) * 8
  }
  return entries
}

/** A valid body for every opcode that has one: what the kernel sends, with `node` where another node is named. */
export function validBody(opcode: number, node = 1n): Buffer[] {
  const O = Opcode
  switch (opcode) {
    case O.LOOKUP:
    case O.UNLINK:
    case O.RMDIR:
    case O.REMOVEXATTR:
      return [z(opcode === O.REMOVEXATTR ? "user.name" : "name")]
    case O.FORGET:
      return [words(1n)]
    case O.BATCH_FORGET:
      return [words(2, 0, node, 1n, node, 1n)]
    case O.SETATTR:
      return [words(1, 0, 0n, 0n, 0n, 1n, 2n, 3n, 4, 5, 6, 0o100600, 0, 7, 8, 0)]
    case O.SYMLINK:
      return [z("link"), z("target")]
    case O.MKNOD:
      return [words(0o100644, 0, 0o022, 0), z("made")]
    case O.MKDIR:
      return [words(0o755, 0o022), z("made")]
    case O.RENAME:
      return [words(node), z("name"), z("other")]
    case O.RENAME2:
      return [words(node, 0, 0), z("name"), z("other")]
    case O.LINK:
      return [words(node), z("linked")]
    case O.OPEN:
    case O.OPENDIR:
      return [words(2, 0)]
    case O.CREATE:
    case O.TMPFILE:
      return [words(0o102, 0o100644, 0o022, 0), z("made")]
    case O.READ:
    case O.READDIR:
    case O.READDIRPLUS:
      return [words(0n, 0n, 4096, 0, 0n, 0, 0)]
    case O.WRITE:
      return [words(0n, 0n, 5, 0, 0n, 0, 0), Buffer.from("bytes")]
    case O.RELEASE:
    case O.RELEASEDIR:
      return [words(0n, 0, 0, 0n)]
    case O.FSYNC:
    case O.FSYNCDIR:
      return [words(0n, 0, 0)]
    case O.SETXATTR:
      return [words(5, 0, 0, 0), z("user.name"), Buffer.from("value")]
    case O.GETXATTR:
      return [words(100, 0), z("user.name")]
    case O.LISTXATTR:
      return [words(100, 0)]
    case O.INIT:
      return [words(7, 38, 131_072, 0x73ff_fffb, 0x1d), Buffer.alloc(44)]
    case O.IOCTL:
      return [words(0n, 0, 0x8008_6601, 0n, 0, 8)]
    case O.FALLOCATE:
      return [words(0n, 0n, 4096n, 0, 0)]
    case O.LSEEK:
      return [words(0n, 0n, 3, 0)]
    case O.COPY_FILE_RANGE:
    case O.COPY_FILE_RANGE_64:
      return [words(0n, 0n, node, 0n, 8192n, 4096n, 0n)]
    case O.STATX:
      return [words(0, 0, 0n, 0, 0xfff)]
    case O.SYNCFS:
      return [words(0n)]
    case O.GETATTR:
      return [words(0, 0, 0n)]
    case O.ACCESS:
      return [words(4, 0)]
    case O.FLUSH:
      return [words(0n, 0, 0, 0n)]
    case O.INTERRUPT:
      return [words(FIRST_UNIQUE)]
    default:
      return []
  }
}

/** The same request again, as the kernel marks it. */
export function resent(message: Buffer): Buffer {
  const again = Buffer.from(message)
  again.writeBigUInt64LE(again.readBigUInt64LE(8) | RESENT, 8)
  return again
}

const names = new Map<number, string>(Object.entries(Opcode).map(([name, opcode]) => [opcode, name]))
/** "MKDIR of node 1" */
export function nameOf(message: Buffer): string {
  return `${names.get(message.readUInt32LE(4)) ?? ""} of node ${message.readBigUInt64LE(16)}`
}
