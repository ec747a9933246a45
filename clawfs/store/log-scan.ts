/** Segments read from front to back, without the database: how much of one is what was written. */
import { closeSync, openSync, readSync } from "node:fs"
import { crc32 } from "node:zlib"
import { Fault } from "../core/fault.ts"
import { RECORD_HEADER, decodeRecordHeader, verifyRecord } from "./record.ts"

export const SEGMENT_HEADER = 64
export const SEGMENT_MAGIC = Buffer.from("CLAWSEG1", "latin1")

const VERSION = 1
const PREVIOUS_END_AT = 32
const CRC_AT = SEGMENT_HEADER - 4

export interface SegmentHeader {
  readonly id: number
  readonly uuid: Buffer
  /** Where the segment before this one ends, bytes; 0 when that is not known. */
  readonly previousEnd: number
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER)
  SEGMENT_MAGIC.copy(bytes)
  bytes.writeUInt32LE(VERSION, 8)
  bytes.writeUInt32LE(header.id, 12)
  header.uuid.copy(bytes, 16)
  bytes.writeUInt32LE(header.previousEnd, PREVIOUS_END_AT)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, CRC_AT)), CRC_AT)
  return bytes
}

/** Undefined for bytes that are no segment header. */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | undefined {
  if (bytes.length < SEGMENT_HEADER || !bytes.subarray(0, 8).equals(SEGMENT_MAGIC)) return undefined
  if (bytes.readUInt32LE(8) !== VERSION || bytes.readUInt32LE(CRC_AT) !== crc32(bytes.subarray(0, CRC_AT)))
    return undefined
  return {
    id: bytes.readUInt32LE(12),
    uuid: bytes.subarray(16, 32),
    previousEnd: bytes.readUInt32LE(PREVIOUS_END_AT),
  }
}

export interface ScannedSegment {
  readonly header: SegmentHeader
  /** Behind the last of the records that follow each other whole from `from` on. */
  readonly goodUntil: number
}

/** Undefined when there is no such file, or no header of this store's segment `id` in it. */
export function scanSegment(
  path: string,
  segment: { id: number; uuid: Buffer },
  from: number,
): ScannedSegment | undefined {
  const bytes = readIfThere(path)
  const header = bytes === undefined ? undefined : decodeSegmentHeader(bytes)
  if (bytes === undefined || header?.id !== segment.id || !header.uuid.equals(segment.uuid)) return undefined
  let at = Math.max(from, SEGMENT_HEADER)
  for (;;) {
    const end = recordEnd(bytes, segment.id, at)
    if (end === undefined) return { header, goodUntil: at }
    at = end
  }
}

/** Where the whole and undamaged record at `at` ends. */
function recordEnd(bytes: Buffer, id: number, at: number): number | undefined {
  const head = bytes.subarray(at, at + RECORD_HEADER)
  const length = decodeRecordHeader(head)?.length
  if (length === undefined || at + RECORD_HEADER + length > bytes.length) return undefined
  const end = at + RECORD_HEADER + length
  try {
    verifyRecord(head, bytes.subarray(at + RECORD_HEADER, end), { segment: id, position: at, sequence: 0 })
    return end
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.kind === "corrupt") return undefined
    throw thrown
  }
}

function readIfThere(path: string): Buffer | undefined {
  let fd: number
  try {
    fd = openSync(path, "r")
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw cause
  }
  try {
    return readAll(fd)
  } finally {
    closeSync(fd)
  }
}

const CHUNK = 8 * 1024 * 1024

function readAll(fd: number): Buffer {
  const parts: Buffer[] = []
  for (;;) {
    const part = Buffer.allocUnsafeSlow(CHUNK)
    const got = readSync(fd, part, 0, CHUNK, null)
    if (got === 0) return Buffer.concat(parts)
    parts.push(part.subarray(0, got))
  }
}
