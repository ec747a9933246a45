/** The linear algebra of latent semantic analysis: products with a sparse matrix, and orthonormal columns. */

/** Rows of a sparse matrix, one after the other: row i has the columns and values from pointers[i] to pointers[i + 1]. */
export interface SparseMatrix {
  readonly rows: number
  readonly columns: number
  readonly pointers: Uint32Array
  readonly indices: Uint32Array
  readonly values: Float32Array
}

/** A · X for X of columns × width, by rows. */
export function times(a: SparseMatrix, x: Float32Array, width: number): Float32Array {
  const y = new Float32Array(a.rows * width)
  for (let row = 0; row < a.rows; row++)
    for (let at = a.pointers[row] ?? 0, end = a.pointers[row + 1] ?? 0; at < end; at++)
      addScaled(y, row * width, x, (a.indices[at] ?? 0) * width, a.values[at] ?? 0, width)
  return y
}

/** Aᵀ · Y for Y of rows × width. */
export function transposedTimes(a: SparseMatrix, y: Float32Array, width: number): Float32Array {
  const x = new Float32Array(a.columns * width)
  for (let row = 0; row < a.rows; row++)
    for (let at = a.pointers[row] ?? 0, end = a.pointers[row + 1] ?? 0; at < end; at++)
      addScaled(x, (a.indices[at] ?? 0) * width, y, row * width, a.values[at] ?? 0, width)
  return x
}
function addScaled(
  to: Float32Array,
  i: number,
  from: Float32Array,
  j: number,
  scale: number,
  width: number,
): void {
  for (let k = 0; k < width; k++) to[i + k] = (to[i + k] ?? 0) + scale * (from[j + k] ?? 0)
}

/** A column whose own part is less than this of it (squared) depends on the ones before: what is left of it is rounding. */
const DEPENDENT = 1e-12

/**
 * Makes the columns of X (rows × width) orthonormal in place: X = Q R with R from the Cholesky decomposition of XᵀX. Twice, because
 * once leaves errors of the size of the condition number squared (Yamamoto et al. 2015). Columns that depend on others become zero.
 */
export function orthonormalize(x: Float32Array, rows: number, width: number): void {
  for (let round = 0; round < 2; round++) {
    const r = cholesky(gram(x, rows, width), width)
    for (let row = 0; row < rows; row++) solveRow(x, row * width, r, width)
  }
}

/** The upper half of XᵀX. */
function gram(x: Float32Array, rows: number, width: number): Float64Array {
  const g = new Float64Array(width * width)
  for (let row = 0; row < rows; row++) {
    const at = row * width
    for (let a = 0; a < width; a++) {
      const value = x[at + a] ?? 0
      if (value === 0) continue
      for (let b = a; b < width; b++) g[a * width + b] = (g[a * width + b] ?? 0) + value * (x[at + b] ?? 0)
    }
  }
  return g
}

/** The upper triangle R with RᵀR = G. */
function cholesky(g: Float64Array, width: number): Float64Array {
  const r = new Float64Array(width * width)
  for (let a = 0; a < width; a++) {
    let pivot = g[a * width + a] ?? 0
    for (let c = 0; c < a; c++) pivot -= (r[c * width + a] ?? 0) ** 2
    // Divided by infinity it is zero, and takes nothing from the columns behind it.
    const isDependent = !(pivot > DEPENDENT * (g[a * width + a] ?? 0))
    const diagonal = isDependent ? Infinity : Math.sqrt(pivot)
    r[a * width + a] = diagonal
    for (let b = a + 1; b < width; b++) {
      let sum = g[a * width + b] ?? 0
      for (let c = 0; c < a; c++) sum -= (r[c * width + a] ?? 0) * (r[c * width + b] ?? 0)
      r[a * width + b] = sum / diagonal
    }
  }
  return r
}

/** One row of Q = X R⁻¹. */
function solveRow(x: Float32Array, at: number, r: Float64Array, width: number): void {
  for (let a = 0; a < width; a++) {
    const value = (x[at + a] ?? 0) / (r[a * width + a] ?? 1)
    x[at + a] = value
    if (value === 0) continue
    for (let b = a + 1; b < width; b++) x[at + b] = (x[at + b] ?? 0) - value * (r[a * width + b] ?? 0)
  }
}
