/** From places in a text to places in its file. Asked for places close to each other, each answer costs only the way between. */
import type { Encoding } from "../extract/extraction.ts"

export class ByteOffsets {
  readonly #text: string
  readonly #encoding: Encoding
  readonly #isOneByte: boolean
  #position = 0
  #bytes = 0

  constructor(text: string, encoding: Encoding) {
    this.#text = text
    this.#encoding = encoding
    this.#isOneByte =
      encoding.form === "single-byte" ||
      (encoding.form !== "utf-16" && encoding.form !== "utf-32" && isAscii(text))
  }

  /** The offset in the file of the character at `position`, which must not be inside of a surrogate pair. */
  at(position: number): number {
    const { form, bom } = this.#encoding
    if (this.#isOneByte) return bom + position
    if (form === "utf-16") return bom + 2 * position
    const [low, high] = position < this.#position ? [position, this.#position] : [this.#position, position]
    const between = this.#text.slice(low, high)
    const bytes = form === "utf-32" ? 4 * codePoints(between) : Buffer.byteLength(between)
    this.#bytes += position < this.#position ? -bytes : bytes
    this.#position = position
    return bom + this.#bytes
  }
}

const isAscii = (text: string): boolean => Buffer.byteLength(text) === text.length

function codePoints(text: string): number {
  let count = 0
  for (const _ of text) count += 1
  return count
}
