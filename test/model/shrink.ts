/** Delta debugging: the few operations of a long sequence that a failure needs. */

/**
 * Removes ever smaller parts as long as the rest still fails. Stops when the time is over, with the best so far.
 * `fails` runs a sequence from scratch.
 */
export function minimise<T>(
  operations: readonly T[],
  fails: (operations: readonly T[]) => boolean,
  seconds: number,
): T[] {
  const end = performance.now() + seconds * 1000
  let current = [...operations]
  let size = Math.ceil(current.length / 2)
  while (size >= 1) {
    let removed = false
    for (let from = current.length - size; from > -size; from -= size) {
      if (performance.now() > end) return current
      const candidate = [...current.slice(0, Math.max(from, 0)), ...current.slice(from + size)]
      if (candidate.length === current.length || !fails(candidate)) continue
      current = candidate
      removed = true
    }
    if (size === 1 && !removed) break
    size = removed ? Math.min(size, Math.ceil(current.length / 2)) : Math.floor(size / 2)
  }
  return current
}

/** Replaces operations by simpler ones as long as the sequence still fails. */
export function simplify<T>(
  operations: readonly T[],
  simpler: (operation: T) => readonly T[],
  fails: (operations: readonly T[]) => boolean,
  seconds: number,
): T[] {
  const end = performance.now() + seconds * 1000
  const current = [...operations]
  for (let i = 0; i < current.length; i++) {
    for (const candidate of simpler(current[i] as T)) {
      if (performance.now() > end) return current
      const before = current[i] as T
      current[i] = candidate
      if (!fails(current)) current[i] = before
    }
  }
  return current
}
