/** "did you mean": the known word nearest to a mistyped one. */

const MOST_EDITS = 2

/** The one of `words` that differs from `given` by at most two edits, or starts with it; undefined if there is none. */
export function closest(given: string, words: readonly string[]): string | undefined {
  const [nearest] = words
    .map((word) => ({ word, edits: edits(given, word) }))
    .filter(({ word, edits: count }) => count <= MOST_EDITS && count < word.length / 2)
    .sort((a, b) => a.edits - b.edits)
  if (nearest !== undefined) return nearest.word
  return given.length < 2 ? undefined : words.find((word) => word.startsWith(given))
}

/** How many letters must be added, taken, replaced or swapped with their neighbour (optimal string alignment). */
function edits(a: string, b: string): number {
  let [beforeLast, last] = [[] as number[], Array.from({ length: b.length + 1 }, (_, at) => at)]
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      row[j] = Math.min(
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last[j - 1] ?? 0) + cost,
        swapped ? (beforeLast[j - 2] ?? 0) + 1 : Infinity,
      )
    }
    ;[beforeLast, last] = [last, row]
  }
  return last[b.length] ?? 0
}
