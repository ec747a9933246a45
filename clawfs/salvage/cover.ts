/** Which piece covers which bytes of a file: pieces in order, none over another. Pure. */

export interface Span<T> {
  readonly start: number
  /** Behind the last byte. */
  readonly end: number
  readonly value: T
}

export class Cover<T> {
  #spans: Span<T>[] = []

  /** All pieces, in the order of the file. */
  get spans(): readonly Span<T>[] {
    return this.#spans
  }

  /** Where the last piece ends. */
  get end(): number {
    return this.#spans.at(-1)?.end ?? 0
  }

  /** Lays a piece over what is there. */
  put(start: number, end: number, value: T): void {
    if (start >= end) return
    const first = this.#firstBehind(start)
    let last = first
    const kept: Span<T>[] = []
    for (let span = this.#spans[last]; span !== undefined && span.start < end; span = this.#spans[last]) {
      if (span.start < start) kept.push({ ...span, end: start })
      if (span.end > end) kept.push({ ...span, start: end })
      last += 1
    }
    const [before, after] = [
      kept.filter((span) => span.end <= start),
      kept.filter((span) => span.start >= end),
    ]
    this.#spans.splice(first, last - first, ...before, { start, end, value }, ...after)
  }

  /** Puts a piece where nothing is yet; returns how many bytes that were. */
  fill(start: number, end: number, value: T): number {
    let filled = 0
    for (const gap of this.gaps(start, end)) {
      this.put(gap.start, gap.end, value)
      filled += gap.end - gap.start
    }
    return filled
  }

  /** What nothing covers in `[start, end)`. */
  gaps(start: number, end: number): { start: number; end: number }[] {
    const gaps: { start: number; end: number }[] = []
    let at = start
    for (let i = this.#firstBehind(start); at < end; i += 1) {
      const span = this.#spans[i]
      const next = Math.min(end, span?.start ?? end)
      if (next > at) gaps.push({ start: at, end: next })
      if (span === undefined) break
      at = Math.max(at, span.end)
    }
    return gaps
  }

  /** Index of the first span that ends behind `position`. */
  #firstBehind(position: number): number {
    let [low, high] = [0, this.#spans.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#spans[middle]?.end ?? 0) > position) high = middle
      else low = middle + 1
    }
    return low
  }
}
