/**
 * The records of the segment log, byte for byte (docs/FORMAT.md §3): little-endian, an 80-byte header, then the payload.
 * Pure. The CRC-32 covers header and payload, and the header names its own segment and position, so a block that was
 * damaged, torn, or written to the wrong place is never taken for the right one.
 *
 *   0 magic u32 · 4 version u8 · 5 kind u8 · 6 flags u8 · 7 header length / 8 u8 · 8 inode u64 · 16 file offset u64
 *   24 payload length u32 · 28 plain length u32 · 32 segment u32 · 36 position u32 · 40 sequence u64 · 48 key id u32
 *   52 nonce [12] · 64 reserved [12] · 76 crc u32
 */
import { crc32 } from "node:zlib"
import { Reader, Writer } from "../core/bytes.ts"
import { Fault } from "../core/fault.ts"

export const RECORD_HEADER = 80
/** Payload bytes of the largest record; longer writes become several records. */
export const RECORD_MAX = 128 * 1024
/** By so much at most an encoded payload is longer than what was given. */
export const ENCODING_GROWTH = 64

const MAGIC = 0x52574c43 // "CLWR"
const VERSION = 1
const KIND_DATA = 1
const CRC_AT = 76

export interface RecordHeader {
  readonly ino: number
  readonly offset: number
  readonly length: number
  readonly segment: number
  readonly position: number
  readonly sequence: number
  /** `RecordFlag`s: how the payload is encoded. */
  readonly flags: number
  /** Length of the decoded payload, bytes. */
  readonly plain: number
  /** 0: not encrypted. */
  readonly key: number
  /** 12 bytes, zeroes while not encrypted. */
  readonly nonce: Buffer
}

/** What a record says of its payload, wherever it lies. */
export type RecordContent = Omit<RecordHeader, "segment" | "position">

export const RecordFlag = { ENCRYPTED: 1, COMPRESSED: 2 } as const
const FLAGS = RecordFlag.ENCRYPTED | RecordFlag.COMPRESSED
const NONCE_BYTES = 12
/** Of records that are not encrypted. */
export const NO_NONCE = Buffer.alloc(NONCE_BYTES)

/** Writes the header of `payload` into `out` (80 bytes), checksum included. */
export function encodeRecordHeader(out: Buffer, header: RecordHeader, payload: Buffer): void {
  const w = new Writer(out)
  w.u32(MAGIC)
    .u8(VERSION)
    .u8(KIND_DATA)
    .u8(header.flags)
    .u8(RECORD_HEADER / 8)
  w.i53(header.ino).i53(header.offset).u32(header.length).u32(header.plain)
  w.u32(header.segment)
    .u32(header.position)
    .i53(header.sequence)
    .u32(header.key)
    .put(header.nonce)
    .zero(CRC_AT - 64)
  w.u32(checksum(out, payload))
}

/** The record that is meant. */
export interface RecordPlace {
  readonly segment: number
  readonly position: number
  /** 0: not known. */
  readonly sequence: number
}

/**
 * Checks header and payload against each other and against what was to be read; `rest`: the payload's end, where that was read
 * to another place. Throws `Fault("corrupt")`.
 */
export function verifyRecord(
  header: Buffer,
  payload: Buffer,
  wanted: RecordPlace,
  rest?: Buffer,
): RecordHeader {
  const { segment, position, sequence } = wanted
  const where = `record at segment ${segment} position ${position}`
  const found = decodeRecordHeader(header)
  if (found === undefined) throw new Fault("corrupt", `${where} has no valid header`)
  if (
    found.segment !== segment ||
    found.position !== position ||
    found.length !== payload.length + (rest?.length ?? 0)
  ) {
    throw new Fault("corrupt", `${where} belongs elsewhere`)
  }
  if (header.readUInt32LE(CRC_AT) !== checksum(header, payload, rest))
    throw new Fault("corrupt", `${where} is damaged`)
  if (sequence !== 0 && found.sequence !== sequence)
    throw new Fault("corrupt", `${where} is not the one that was written last`)
  return found
}

/** The fields, or undefined for bytes that are no record header of this version. */
export function decodeRecordHeader(bytes: Buffer): RecordHeader | undefined {
  if (bytes.length < RECORD_HEADER || bytes.readUInt32LE(0) !== MAGIC) return undefined
  if (bytes[4] !== VERSION || bytes[5] !== KIND_DATA || bytes[7] !== RECORD_HEADER / 8) return undefined
  const flags = bytes.readUInt8(6)
  if ((flags & ~FLAGS) !== 0) return undefined
  const r = new Reader(bytes)
  r.skip(8)
  try {
    const head = { flags, ino: r.u53(), offset: r.u53(), length: r.u32(), plain: r.u32() }
    const place = { segment: r.u32(), position: r.u32() }
    return { ...head, ...place, sequence: r.u53(), key: r.u32(), nonce: r.bytes(NONCE_BYTES) }
  } catch (thrown) {
    if (thrown instanceof RangeError) return undefined
    throw thrown
  }
}

function checksum(header: Buffer, payload: Buffer, rest?: Buffer): number {
  const sum = crc32(payload, crc32(header.subarray(0, CRC_AT)))
  return rest === undefined ? sum : crc32(rest, sum)
}

/** Lengths of the records for `[offset, offset + length)`: cut at multiples of 128 KiB. */
export function cut(offset: number, length: number): number[] {
  const pieces: number[] = []
  const end = offset + length
  for (let at = offset; at < end;) {
    const next = Math.min(end, (Math.floor(at / RECORD_MAX) + 1) * RECORD_MAX)
    pieces.push(next - at)
    at = next
  }
  return pieces
}
