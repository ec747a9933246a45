/** The best of many scores. */

export interface Scored {
  /** Index into the scores. */
  readonly at: number
  readonly score: number
}

/** The `count` highest scores of those that `isWanted` lets through, highest first; on a tie the earlier. */
export function highest(scores: Float32Array, count: number, isWanted?: (at: number) => boolean): Scored[] {
  // A heap with the lowest of the best at its top.
  const heap: Scored[] = []
  let least = Number.NEGATIVE_INFINITY
  for (let at = 0; at < scores.length; at++) {
    const score = scores[at] ?? 0
    if (heap.length === count && score <= least) continue
    if (isWanted?.(at) === false) continue
    if (heap.length < count) {
      heap.push({ at, score })
      rise(heap)
    } else if (count > 0) {
      heap[0] = { at, score }
      sink(heap)
    }
    least = heap[0]?.score ?? least
  }
  return heap.sort((a, b) => b.score - a.score || a.at - b.at)
}

const isLower = (a: Scored | undefined, b: Scored | undefined): boolean =>
  a !== undefined && b !== undefined && (a.score < b.score || (a.score === b.score && a.at > b.at))

function exchange(heap: Scored[], i: number, j: number): void {
  const [a, b] = [heap[i], heap[j]]
  if (a === undefined || b === undefined) return
  heap[i] = b
  heap[j] = a
}

function rise(heap: Scored[]): void {
  let i = heap.length - 1
  while (i > 0) {
    const parent = (i - 1) >> 1
    if (!isLower(heap[i], heap[parent])) return
    exchange(heap, i, parent)
    i = parent
  }
}

function sink(heap: Scored[]): void {
  let i = 0
  for (;;) {
    const left = 2 * i + 1
    const child = isLower(heap[left + 1], heap[left]) ? left + 1 : left
    if (!isLower(heap[child], heap[i])) return
    exchange(heap, i, child)
    i = child
  }
}
