import { expect, test } from "vitest"
import { orthonormalize } from "../../../clawfs/search/embed/matrix.ts"
import { Random, seed } from "../support/random.ts"

/** Columns × columns: 1 on the diagonal, or 0 for a column of zeros, and 0 elsewhere. */
function products(x: Float32Array, rows: number, width: number): number[][] {
  return Array.from({ length: width }, (_, a) =>
    Array.from({ length: width }, (_, b) => {
      let sum = 0
      for (let row = 0; row < rows; row += 1) sum += (x[row * width + a] ?? 0) * (x[row * width + b] ?? 0)
      return sum
    }),
  )
}

test("columns that depend on others become zero, the others are orthonormal", () => {
  const random = new Random(seed)
  const [rows, width, independent] = [60, 24, 9]
  const x = new Float32Array(rows * width)
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const own = column < independent ? random.below(2001) / 1000 - 1 : undefined
      // The others are sums of those before, at very different sizes.
      const sum =
        (x[row * width + (column % independent)] ?? 0) + (x[row * width + ((column + 1) % independent)] ?? 0)
      x[row * width + column] = own ?? sum * 10 ** (column % 5)
    }
  }
  orthonormalize(x, rows, width)
  expect([...x].every(Number.isFinite)).toBe(true)
  const all = products(x, rows, width)
  for (const [a, line] of all.entries())
    for (const [b, value] of line.entries()) expect(value).toBeCloseTo(a === b && a < independent ? 1 : 0, 3)
})
