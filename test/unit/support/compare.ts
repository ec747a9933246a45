/** Where two buffers differ first; -1 when they are equal. `toEqual` takes a second for each 64 KiB. */
export function firstDifference(a: Buffer, b: Buffer): number {
  if (a.equals(b)) return -1
  const shorter = Math.min(a.length, b.length)
  for (let i = 0; i < shorter; i += 1) if (a[i] !== b[i]) return i
  return shorter
}
