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
  putChecksum(out, crc32(payload, encodeHead(out, header)))
}

/** Writes all of a header but the checksum; returns the CRC-32 of that. */
export function encodeHead(out: Buffer, header: RecordHeader): number {
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
  return crc32(out.subarray(0, CRC_AT))
}

/** Completes a header by the CRC-32 of all that stands before it and of the payload. */
export function putChecksum(out: Buffer, sum: number): void {
  out.writeUInt32LE(sum, CRC_AT)
}

/** The record that is meant. */
export interface RecordPlace {
  readonly segment: number
  readonly position: number
  /** 0: not known. */
  readonly sequence: number
}

/** Checks header and payload against each other and against what was to be read. Throws `Fault("corrupt")`. */
export function verifyRecord(header: Buffer, payload: Buffer, wanted: RecordPlace): RecordHeader {
  const found = headerFound(header, payload.length, wanted)
  if (header.readUInt32LE(CRC_AT) !== checksum(header, payload))
    throw new Fault("corrupt", `${nameOf(wanted)} is damaged`)
  requireSequence(found, wanted)
  return found
}

/**
 * Checks a header, with a payload of `length` bytes behind it, against what was to be read, and not its checksum: for a payload
 * that is authenticated together with all of the header that matters. Throws `Fault("corrupt")`.
 */
export function verifyHeader(header: Buffer, length: number, wanted: RecordPlace): RecordHeader {
  const found = headerFound(header, length, wanted)
  requireSequence(found, wanted)
  return found
}

const nameOf = ({ segment, position }: RecordPlace): string =>
  `record at segment ${segment} position ${position}`

function headerFound(header: Buffer, length: number, wanted: RecordPlace): RecordHeader {
  const { segment, position } = wanted
  const found = decodeRecordHeader(header)
  if (found === undefined) throw new Fault("corrupt", `${nameOf(wanted)} has no valid header`)
  if (found.segment !== segment || found.position !== position || found.length !== length)
    throw new Fault("corrupt", `${nameOf(wanted)} belongs elsewhere`)
  return found
}

function requireSequence(found: RecordHeader, wanted: RecordPlace): void {
  if (wanted.sequence !== 0 && found.sequence !== wanted.sequence)
    throw new Fault("corrupt", `${nameOf(wanted)} is not the one that was written last`)
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

function checksum(header: Buffer, payload: Buffer): number {
  return crc32(payload, crc32(header.subarray(0, CRC_AT)))
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
