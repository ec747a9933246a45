/** Where a file has bytes, and where holes; in a file, and as the map that stands before the contents in an archive. */
import { E } from "../core/errno.ts"
import { Fault } from "../core/fault.ts"
import { lastErrno, sysFault } from "../sys/ffi.ts"
import { lseek } from "../sys/libc.ts"
import { BLOCK, padding } from "./header.ts"

/** `length` bytes of the file from `at` on; all else is zero. */
export interface Range {
  readonly at: number
  readonly length: number
}

const SEEK_DATA = 3
const SEEK_HOLE = 4
/** With more pieces than that the holes are written as zeroes. */
export const MOST_PIECES = 50_000

/** The parts of an open file that are no holes; one for all of it where there are none, or too many. */
export function rangesOf(fd: number, size: number): readonly Range[] {
  const whole = size === 0 ? [] : [{ at: 0, length: size }]
  const ranges: Range[] = []
  for (let at = 0; at < size;) {
    const data = seek(fd, at, SEEK_DATA)
    if (data === undefined || data >= size) break
    const end = Math.min(size, seek(fd, data, SEEK_HOLE) ?? size)
    if (end <= data || ranges.length === MOST_PIECES) return whole
    ranges.push({ at: data, length: end - data })
    at = end
  }
  return ranges
}

/** Undefined behind the last byte of that kind. */
function seek(fd: number, from: number, whence: number): number | undefined {
  const at = lseek(fd, from, whence)
  if (at >= 0) return at
  if (lastErrno() === E.ENXIO) return undefined
  throw sysFault("lseek")
}

export function isWhole(ranges: readonly Range[], size: number): boolean {
  const [first] = ranges
  return size === 0 || (ranges.length === 1 && first?.at === 0 && first.length === size)
}

/** GNU tar's format 1.0: how many pieces, then offset and length of each, a number a line; filled up to a whole block. */
export function encodeMap(ranges: readonly Range[], size: number): Buffer {
  const last = ranges.at(-1)
  const endsInHole = (last?.at ?? 0) + (last?.length ?? 0) < size
  const all = endsInHole ? [...ranges, { at: size, length: 0 }] : ranges
  const text = [all.length, ...all.flatMap(({ at, length }) => [at, length])]
    .map((value) => `${value}\n`)
    .join("")
  return Buffer.concat([Buffer.from(text), Buffer.alloc(padding(text.length))])
}

/**
 * The map that begins with `bytes`, and how long it is; `size`: of the file. Undefined: more bytes are needed. Throws
 * `Fault("corrupt")` for a map that is not in order or leads out of the file.
 */
export function decodeMap(
  bytes: Buffer,
  size: number,
): { readonly ranges: readonly Range[]; readonly length: number } | undefined {
  let at = 0
  const next = (): number | undefined => {
    const newline = bytes.indexOf(0x0a, at)
    if (newline < 0 && bytes.length - at <= MOST_DIGITS) return undefined
    const text = bytes.toString("latin1", at, newline)
    if (newline < 0 || !/^\d{1,16}$/.test(text)) throw badMap()
    at = newline + 1
    return Number(text)
  }
  const count = next()
  if (count === undefined) return undefined
  if (count > MOST_PIECES + 1) throw badMap()
  const ranges: Range[] = []
  for (let end = 0; ranges.length < count;) {
    const [start, length] = [next(), next()]
    if (start === undefined || length === undefined) return undefined
    if (start < end || !Number.isSafeInteger(start + length) || start + length > size) throw badMap()
    ranges.push({ at: start, length })
    end = start + length
  }
  return { ranges: ranges.filter(({ length }) => length > 0), length: Math.ceil(at / BLOCK) * BLOCK }
}

const MOST_DIGITS = 16

function badMap(): Fault {
  return new Fault("corrupt", "the map of a file's holes is damaged")
}
