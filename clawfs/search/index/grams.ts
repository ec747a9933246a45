/**
 * Grams of a text: hashes of each three bytes in a row within a line, ASCII letters in lower case. A text that contains a string
 * has all grams of the string, whatever the case of either; other texts that have them all are few.
 *
 * The two letters outside of ASCII that a regular expression without case takes for ASCII ones (the Kelvin sign and the long s) are
 * those ASCII letters here.
 */
import { Fault } from "../../core/fault.ts"

export const GRAM_BITS = 18
export const GRAM_COUNT = 2 ** GRAM_BITS
const MULTIPLIER = 0x9e3779b1
const LINE_END = 0x0a
const GRAM_BYTES = 3

/** A to Z as a to z, the rest as it is. */
const lower = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte,
)

const present = new Uint32Array(GRAM_COUNT / 32)

/** The grams of a text, each once, ascending. */
export function gramsOf(text: string): Uint32Array {
  const folded = /[\u212a\u017f]/.test(text) ? text.replaceAll("\u212a", "k").replaceAll("\u017f", "s") : text
  const bytes = Buffer.from(folded)
  present.fill(0)
  let count = 0
  let run = 0
  let last = 0
  // By index: an iterator over a Buffer takes several times as long.
  for (let at = 0, end = bytes.length; at < end; at++) {
    const byte = lower[bytes[at] ?? 0] ?? 0
    run = byte === LINE_END ? 0 : run + 1
    last = ((last << 8) | byte) & 0xff_ff_ff
    if (run < GRAM_BYTES) continue
    const gram = Math.imul(last, MULTIPLIER) >>> (32 - GRAM_BITS)
    const bit = 1 << (gram & 31)
    const word = present[gram >>> 5] ?? 0
    if ((word & bit) !== 0) continue
    present[gram >>> 5] = word | bit
    count++
  }
  return collected(count)
}

function collected(count: number): Uint32Array {
  const grams = new Uint32Array(count)
  let at = 0
  for (let i = 0; at < count; i++) {
    let word = present[i] ?? 0
    while (word !== 0) {
      grams[at++] = i * 32 + (31 - Math.clz32(word & -word))
      word &= word - 1
    }
  }
  return grams
}

/** Grows as it is written to: LEB128 numbers. */
export class VarintWriter {
  #bytes = Buffer.alloc(256)
  #length = 0

  get length(): number {
    return this.#length
  }

  put(value: number): void {
    if (this.#length + 5 > this.#bytes.length) this.#grow(this.#length + 5)
    let rest = value
    while (rest > 0x7f) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    this.#bytes[this.#length++] = rest
  }

  append(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#bytes.length) this.#grow(this.#length + bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
  }

  /** What was written, valid until the next change. */
  view(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  clear(): void {
    this.#length = 0
  }

  #grow(least: number): void {
    const bytes = Buffer.alloc(Math.max(least, this.#bytes.length * 2))
    bytes.set(this.view())
    this.#bytes = bytes
  }
}

/** Reads what VarintWriter wrote; throws `Fault("corrupt")` beyond the end. */
export class VarintReader {
  readonly #bytes: Uint8Array
  at: number
  readonly end: number

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.#bytes = bytes
    this.at = at
    this.end = end
  }

  next(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      if (this.at >= this.end) break
      const byte = this.#bytes[this.at++] ?? 0
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value >>> 0
    }
    throw new Fault("corrupt", "the gram index is damaged")
  }
}

/** Ascending numbers as differences. */
export function packAscending(numbers: Uint32Array, out: VarintWriter): void {
  let last = 0
  for (const number of numbers) {
    out.put(number - last)
    last = number
  }
}

export function unpackAscending(reader: VarintReader): Uint32Array {
  // A number has a byte at least.
  const numbers = new Uint32Array(reader.end - reader.at)
  let count = 0
  let last = 0
  while (reader.at < reader.end) {
    last += reader.next()
    numbers[count++] = last
  }
  return numbers.subarray(0, count)
}
