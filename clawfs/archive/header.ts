/**
 * A header of a tar archive: 512 bytes of the ustar format (POSIX.1-2017, pax(1)). What does not fit into its fields is in pax
 * records before it (pax.ts). Names are bytes. (tar-stream, modern-tar and node-tar decode names and records as UTF-8, so that
 * other names and the values of attributes would come back changed: hence this code.)
 */
import { Fault } from "../core/fault.ts"

export const BLOCK = 512

/** `typeflag` */
export const Flag = {
  FILE: "0",
  LINK: "1",
  SYMLINK: "2",
  CHARACTER: "3",
  BLOCK_DEVICE: "4",
  DIRECTORY: "5",
  FIFO: "6",
  RECORDS: "x",
  GLOBAL: "g",
} as const
export type Flag = (typeof Flag)[keyof typeof Flag]

export interface Header {
  readonly name: Buffer
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  /** Seconds since 1970. */
  readonly mtime: number
  readonly flag: Flag
  readonly linkName: Buffer
  readonly major: number
  readonly minor: number
}

export const MOST_NAME = 100
/** What seven and eleven octal digits hold. */
export const MOST_ID = 0o7777777
export const MOST_SIZE = 0o77777777777

const FLAGS: ReadonlySet<string> = new Set(Object.values(Flag))
const CHECKSUM = { at: 148, length: 8 }
const MAGIC = Buffer.from("ustar\u000000", "latin1")

/** Throws a `RangeError` for what does not fit: whoever writes it puts that into records. */
export function encodeHeader(header: Header): Buffer {
  const block = Buffer.alloc(BLOCK)
  const bytes = (value: Buffer, at: number, length: number): void => {
    if (value.length > length) throw new RangeError(`${value.length} bytes in a field of ${length}`)
    value.copy(block, at)
  }
  const octal = (value: number, at: number, length: number): void => {
    const text = value.toString(8).padStart(length - 1, "0")
    if (value < 0 || text.length >= length) throw new RangeError(`${value} in a field of ${length}`)
    block.write(text, at, "latin1")
  }
  bytes(header.name, 0, MOST_NAME)
  octal(header.mode, 100, 8)
  octal(header.uid, 108, 8)
  octal(header.gid, 116, 8)
  octal(header.size, 124, 12)
  octal(header.mtime, 136, 12)
  block.write(header.flag, 156, "latin1")
  bytes(header.linkName, 157, MOST_NAME)
  MAGIC.copy(block, 257)
  octal(header.major, 329, 8)
  octal(header.minor, 337, 8)
  block.fill(0x20, CHECKSUM.at, CHECKSUM.at + CHECKSUM.length)
  block.write(`${sumOf(block).toString(8).padStart(6, "0")}\0 `, CHECKSUM.at, "latin1")
  return block
}

/** Undefined for a block of zeroes, which ends an archive. Throws `Fault("corrupt")` for one that `encodeHeader` has not made. */
export function decodeHeader(block: Buffer): Header | undefined {
  if (block.every((byte) => byte === 0)) return undefined
  const octal = (at: number, length: number): number => {
    const text = block.toString("latin1", at, at + length - 1).replace(/\0$/, "")
    if (!/^[0-7]+$/.test(text)) throw bad()
    return Number.parseInt(text, 8)
  }
  const bytes = (at: number): Buffer => {
    const field = block.subarray(at, at + MOST_NAME)
    const end = field.indexOf(0)
    return Buffer.from(end < 0 ? field : field.subarray(0, end))
  }
  const flag = block.toString("latin1", 156, 157)
  const isOurs = block.subarray(257, 265).equals(MAGIC) && FLAGS.has(flag)
  if (!isOurs || block.subarray(345, BLOCK).some((byte) => byte !== 0)) throw bad()
  const plain = Buffer.from(block)
  plain.fill(0x20, CHECKSUM.at, CHECKSUM.at + CHECKSUM.length)
  if (octal(CHECKSUM.at, 7) !== sumOf(plain)) throw bad()
  return {
    name: bytes(0),
    mode: octal(100, 8),
    uid: octal(108, 8),
    gid: octal(116, 8),
    size: octal(124, 12),
    mtime: octal(136, 12),
    flag: flag as Flag,
    linkName: bytes(157),
    major: octal(329, 8),
    minor: octal(337, 8),
  }
}

function sumOf(block: Buffer): number {
  return block.reduce((sum, byte) => sum + byte, 0)
}

function bad(): Fault {
  return new Fault("corrupt", "a header is damaged, or not of an export")
}

/** How many bytes follow `length` bytes of contents up to the next block. */
export function padding(length: number): number {
  return (BLOCK - (length % BLOCK)) % BLOCK
}
