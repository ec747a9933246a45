/**
 * Checksums of rows: SQLite has none of its own, and a flipped bit in a page is a wrong size, owner or byte that nothing
 * would notice. Signed 32-bit numbers, as those cost least on the way to a column and back. They say that a row is as it
 * was written, and sums of them that a set of rows is all there: additions modulo 2^32, so that a row more or less is one
 * addition (docs/FORMAT.md §1).
 *
 * Every step of `mix` is one to one in the sum so far and in each half of the number: damage within the lower half of one
 * number is always found, any other with all but one in 2^32.
 */
import { crc32 } from "node:zlib"
import { Fault } from "../core/fault.ts"

/** As its column is read. Every row has one: NULL, as a damaged header of a row makes it seem, is damage. */
export type Sum = number | null

/** What a sum begins with. */
const START = 0x434c_4157
const FIRST = 0x9e37_79b1
const SECOND = 0x85eb_ca6b
const TWO_32 = 2 ** 32
/** Stand for NULL and for bytes: with high halves that no number of ours has. */
const NOTHING = -(2 ** 53) + 1
const BYTES = -(2 ** 53) + 2 ** 40

/** Takes one more number in: an integer within ±2^53. Anything else, which no row of ours has, changes the sum too. */
export function mix(sum: number, value: number): number {
  const low = value | 0
  let h = Math.imul(sum ^ low, FIRST)
  h ^= h >>> 15
  return low === value ? h : mixHigh(h, value)
}

function mixHigh(sum: number, value: number): number {
  const h = Math.imul(sum ^ (Number.isSafeInteger(value) ? Math.floor(value / TWO_32) : FIRST), SECOND)
  return h ^ (h >>> 13)
}

/** Takes one more column in. Apart from `mix`, which is three times as fast where it meets nothing but numbers. */
function mixColumn(sum: number, value: unknown): number {
  if (typeof value === "number") return mix(sum, value)
  // Bytes are never as good as a number: no bytes at all have the CRC 0.
  if (Buffer.isBuffer(value)) return mixHigh(mix(sum, crc32(value)), BYTES)
  return mixHigh(mix(sum, 0), value === null ? NOTHING : NaN)
}

/** Takes `count` columns in, all of them numbers. */
export function sumOfNumbers(key: number, row: readonly number[], count: number): number {
  let h = START
  for (let at = 0; at < count; at += 1) h = mix(h, row[at] ?? 0)
  return h ^ sumOfKey(key)
}

/** What a key adds to the sum of its row, by XOR: a row gets another key without being read. */
export function sumOfKey(key: number): number {
  return mix(START, key)
}

/** The sum of a row, its key included: a row that is found under another key is not taken for that one's. */
export function sumOf(key: number, values: readonly unknown[]): number {
  let h = START
  for (const value of values) h = mixColumn(h, value)
  return h ^ sumOfKey(key)
}

/** A row of bytes: an inline piece, the target of a link, a name. */
export function sumOfBytes(key: number, data: Buffer): number {
  return crcOf(data) ^ sumOfKey(key)
}

/** Also of what should be bytes and is not: damage can make text or a number of them. */
function crcOf(data: Buffer): number {
  return Buffer.isBuffer(data) ? crc32(data) : -1
}

/** A directory entry but for its name, which its cookie is a hash of. */
export function sumOfName(parent: number, cookie: number, ino: number, type: number): number {
  return mix(mix(mix(mix(START, parent), cookie), ino), type)
}

/** The sum of a row that gets another key. What does not fit its sum does not become right by that. */
export function rekeyed(sum: Sum, from: number, to: number): Sum {
  return sum === null ? null : sum ^ sumOfKey(from) ^ sumOfKey(to)
}

/** The sum of a directory entry whose copy, in `toParent`, leads to `to`; likewise. */
export function renamed(
  sum: Sum,
  cookie: number,
  type: number,
  parent: number,
  ino: number,
  toParent: number,
  to: number,
): Sum {
  if (sum === null) return null
  return sum ^ sumOfName(parent, cookie, ino, type) ^ sumOfName(toParent, cookie, to, type)
}

/** Words `from` to `to` of some memory: for less than a kilobyte faster than any call. */
export function sumOfWords(words: Uint32Array, from: number, to: number): number {
  let h = START
  for (let at = from; at < to; at += 1) {
    h = Math.imul(h ^ (words[at] ?? 0), FIRST)
    h ^= h >>> 15
  }
  return h
}

/** What an element of a set adds to the set's sum. */
export function sumOfPart(first: number, second: number): number {
  return mix(mix(START, first), second)
}

/**
 * What each inode that has a body, but for the first, adds to the sum of table `shared`. Odd, so that no wrong number of
 * them adds up to the same.
 */
export function sumOfSharing(body: number): number {
  return mix(START, body) | 1
}

/** Stands for a text within the sum of a row; bytes or a number in its place are damage. */
export function sumOfText(text: unknown): number {
  return typeof text === "string" ? crc32(text) : -1
}

/** What an extended attribute adds to the sum of those of its inode. */
export function sumOfAttribute(name: Buffer, value: Buffer): number {
  return sumOfPart(crcOf(name), crcOf(value))
}

/** `sum` plus what comes in, minus what goes. */
export function moved(sum: number, added: number, removed: number): number {
  return (sum + added - removed) | 0
}

/** A row or a set of rows that is not what was written. */
export function damagedRow(what: string): Fault {
  return new Fault("corrupt", `${what} is damaged in meta.db`, { hint: "clawfs fsck tells what else is" })
}

/** Where the bytes of the present request are, and which of them were summed last. */
let request: ArrayBufferLike | undefined
let [lastOffset, lastLength, last] = [-1, -1, 0]

/** The bytes of a request are in `buffer` from now on, and stay as they are until the next call. */
export function beginData(buffer: ArrayBufferLike | undefined): void {
  request = buffer
  lastOffset = -1
}

/** CRC-32 of data. Those of a request have more than one checksum: the second time it costs nothing. */
export function sumOfData(data: Buffer): number {
  if (data.buffer !== request) return crc32(data)
  if (lastOffset !== data.byteOffset || lastLength !== data.length) {
    last = crc32(data)
    lastOffset = data.byteOffset
    lastLength = data.length
  }
  return last
}
