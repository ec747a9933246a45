/** Whether the archived vectors rank as the source says that its own do: cosine distance, computed anew from the files. */
import type { Ranking, Source } from "./source.ts"
import type { Target } from "./target.ts"

export interface Rankings {
  readonly compared: number
  readonly equal: number
}

const MOST = 50
const FLOAT_BYTES = 4
/** pgvector adds up in single precision: what is nearer to each other than that may stand either way round. */
const TOLERANCE = 1e-5

/** `pathOf`: the file with a dimension's vectors; undefined where the run has none. */
export async function compareRankings(
  source: Source,
  target: Target,
  pathOf: (dimensions: number) => readonly string[] | undefined,
): Promise<Rankings> {
  const byDimension = new Map<number, Ranking[]>()
  for await (const ranking of source.rankings(MOST))
    byDimension.set(ranking.dimensions, [...(byDimension.get(ranking.dimensions) ?? []), ranking])
  let [compared, equal] = [0, 0]
  for (const [dimensions, rankings] of byDimension) {
    compared += rankings.length
    const path = pathOf(dimensions)
    if (path !== undefined) equal += countEqual(target, path, dimensions, rankings)
  }
  return { compared, equal }
}

function countEqual(
  target: Target,
  path: readonly string[],
  dimensions: number,
  rankings: readonly Ranking[],
): number {
  const asked: Asked[] = []
  for (const ranking of rankings) {
    if (ranking.row < 0) continue
    const bytes = target.readAt(path, ranking.row * dimensions * FLOAT_BYTES, dimensions * FLOAT_BYTES)
    if (bytes?.length === dimensions * FLOAT_BYTES) asked.push(new Asked(ranking, floatsOf(bytes)))
  }
  let row = 0
  for (const vector of vectorsIn(target, path, dimensions)) {
    const length = lengthOf(vector)
    for (const each of asked) each.look(row, vector, length)
    row += 1
  }
  return asked.filter((each) => each.isEqual && each.rows === row).length
}

/** One sample, and what of all vectors is nearest to it. */
class Asked {
  readonly rows: number
  readonly #neighbours: readonly number[]
  readonly #wanted: ReadonlySet<number>
  readonly #vector: Float32Array
  readonly #length: number
  /** Distances, nearest first, as many as the source has named. */
  readonly #nearest: number[] = []
  readonly #distances = new Map<number, number>()

  constructor({ neighbours, rows }: Ranking, vector: Float32Array) {
    this.rows = rows
    this.#neighbours = neighbours
    this.#wanted = new Set(neighbours)
    this.#vector = vector
    this.#length = lengthOf(vector)
  }

  look(row: number, vector: Float32Array, length: number): void {
    const distance = distanceOf(this.#vector, this.#length, vector, length)
    if (this.#wanted.has(row)) this.#distances.set(row, distance)
    const nearest = this.#nearest
    const most = this.#neighbours.length
    if (nearest.length === most && !(distance < (nearest[most - 1] ?? 0))) return
    const at = nearest.findIndex((each) => distance < each)
    nearest.splice(at < 0 ? nearest.length : at, 0, distance)
    if (nearest.length > most) nearest.pop()
  }

  /** Place by place, the neighbour that the source names is as near as the nearest of all that are left. */
  get isEqual(): boolean {
    return this.#neighbours.every((row, place) => {
      const distance = this.#distances.get(row)
      return distance !== undefined && Math.abs(distance - (this.#nearest[place] ?? Infinity)) <= TOLERANCE
    })
  }
}

/** Of a vector of zeros, which has no direction: further than all others. */
const NO_DIRECTION = 3

function distanceOf(one: Float32Array, length: number, other: Float32Array, otherLength: number): number {
  let sum = 0
  // By index: iterators over arrays of numbers take several times as long.
  for (let at = 0; at < one.length; at += 1) sum += (one[at] ?? 0) * (other[at] ?? 0)
  const cosine = sum / (length * otherLength)
  return Number.isNaN(cosine) ? NO_DIRECTION : 1 - Math.max(-1, Math.min(1, cosine))
}

function lengthOf(vector: Float32Array): number {
  const { length } = vector
  let sum = 0
  for (let at = 0; at < length; at += 1) sum += (vector[at] ?? 0) ** 2
  return Math.sqrt(sum)
}

/** Copied, as they may lie at any place in a buffer; the machine is little-endian as the file is. */
function floatsOf(bytes: Buffer): Float32Array {
  return new Float32Array(new Uint8Array(bytes).buffer)
}

function* vectorsIn(target: Target, path: readonly string[], dimensions: number): Generator<Float32Array> {
  const width = dimensions * FLOAT_BYTES
  let rest: Buffer = Buffer.alloc(0)
  for (const piece of target.pieces(path)) {
    rest = Buffer.concat([rest, piece])
    const whole = rest.length - (rest.length % width)
    const floats = floatsOf(rest.subarray(0, whole))
    for (let at = 0; at < whole / width; at += 1)
      yield floats.subarray(at * dimensions, (at + 1) * dimensions)
    rest = rest.subarray(whole)
  }
}
