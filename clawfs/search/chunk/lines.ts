/** Where the lines of a text start. Only "\n" ends a line, as editors and grep count them. */

export class Lines {
  readonly text: string
  readonly count: number
  readonly #starts: Uint32Array

  constructor(text: string) {
    this.text = text
    let starts = new Uint32Array(1024)
    let count = 0
    for (let at = 0; ; count += 1) {
      if (count === starts.length) {
        const larger = new Uint32Array(4 * starts.length)
        larger.set(starts)
        starts = larger
      }
      starts[count] = at
      const newline = text.indexOf("\n", at)
      if (newline < 0) break
      at = newline + 1
    }
    this.#starts = starts
    this.count = count + 1
  }

  /** Of a line's first character; the text's length behind the last line. */
  start(line: number): number {
    return line < this.count ? (this.#starts[line] ?? 0) : this.text.length
  }

  /** A line without what ends it, up to `length` characters. */
  slice(line: number, length = Number.MAX_SAFE_INTEGER): string {
    const start = this.start(line)
    let end = this.start(line + 1)
    while (end > start && isLineEnd(this.text.charCodeAt(end - 1))) end -= 1
    return this.text.slice(start, Math.min(end, start + length))
  }

  /** The line, counted from 0, that has the character at `position`. */
  at(position: number): number {
    let [low, high] = [0, this.count - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.start(middle) <= position) low = middle
      else high = middle - 1
    }
    return low
  }
}

const isLineEnd = (unit: number): boolean => unit === 0x0a || unit === 0x0d

/** What `\s` matches. */
export function isBlank(unit: number): boolean {
  if (unit <= 0x20) return unit === 0x20 || (unit >= 0x09 && unit <= 0x0d)
  if (unit < 0xa0) return false
  return (
    unit === 0xa0 ||
    (unit >= 0x2000 && unit <= 0x200a) ||
    unit === 0x1680 ||
    unit === 0x2028 ||
    unit === 0x2029 ||
    unit === 0x202f ||
    unit === 0x205f ||
    unit === 0x3000 ||
    unit === 0xfeff
  )
}

/** The first character from `from` on that is not blank, or `to`. */
export function skipBlank(text: string, from: number, to = text.length): number {
  let at = from
  while (at < to && isBlank(text.charCodeAt(at))) at += 1
  return at
}

/** Behind the last character before `to` that is not blank, or `from`. */
export function trimBlank(text: string, from: number, to: number): number {
  let at = to
  while (at > from && isBlank(text.charCodeAt(at - 1))) at -= 1
  return at
}
