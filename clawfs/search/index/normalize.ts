/** Checks of vectors, wherever they come from: a NaN in an index is nearest to everything. */
import { Fault } from "../../core/fault.ts"

/** The vector with length 1. Throws `Fault("invalid")` unless it has `dimensions` finite numbers that are not all zero. */
export function normalized(vector: Float32Array, dimensions: number): Float32Array {
  if (vector.length !== dimensions)
    throw new Fault("invalid", `a vector has ${vector.length} dimensions instead of ${dimensions}`)
  let sum = 0
  // By index: iterators over arrays of numbers take several times as long.
  for (let i = 0; i < dimensions; i++) sum += (vector[i] ?? 0) ** 2
  if (!Number.isFinite(sum)) throw new Fault("invalid", "a vector has numbers that are not finite")
  const scale = 1 / Math.sqrt(sum)
  if (!Number.isFinite(scale)) throw new Fault("invalid", "a vector consists of zeros")
  const result = new Float32Array(dimensions)
  for (let i = 0; i < dimensions; i++) result[i] = (vector[i] ?? 0) * scale
  return result
}
