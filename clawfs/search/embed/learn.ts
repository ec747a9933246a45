/**
 * Learns a model from texts. Latent semantic analysis (Deerwester et al. 1990) by subspace iteration (Halko, Martinsson and Tropp
 * 2011): the cosine within the subspace does not depend on which basis it has, so no eigenvalues are needed. The same texts in the
 * same order give the same bytes.
 */
import { featuresOf, FREQUENCY_COUNT, frequencyBucket } from "./features.ts"
import { orthonormalize, times, transposedTimes, type SparseMatrix } from "./matrix.ts"
import { encodeModel, latentWidth, packedRareness, type Term } from "./model.ts"
import { stem } from "./stem.ts"
import { STOP_WORDS, wordsOf } from "./words.ts"

const ITERATIONS = 2
const SEED = 42
const LEAST_TEXTS_OF_TERM = 2
const LONGEST_TERM = 40
const TEXTS_A_DIMENSION = 2
const TERMS_A_DIMENSION = 4

export interface LearnOptions {
  readonly dimensions: number
  /** The most frequent stems are kept; memory and time grow with them. */
  readonly mostTerms?: number
}

const MOST_TERMS = 32_768

/** The model's bytes, for `decodeModel`. Takes 11 s for 20,000 texts of 1,000 characters; see `worthLearning`. */
export function learn(texts: Iterable<string>, { dimensions, mostTerms = MOST_TERMS }: LearnOptions): Buffer {
  const counted = new Counted()
  for (const text of texts) counted.add(text)
  const vocabulary = counted.vocabulary(mostTerms)
  const width = latentWidth(dimensions)
  const terms = counted.texts === 0 ? new Map<string, Term>() : latentTerms(counted, vocabulary, width)
  return encodeModel({ dimensions, width, texts: counted.texts, rareness: counted.rareness(), terms })
}

/** Fewer texts teach nothing about meaning. */
const LEAST_TEXTS = 200
const GROWTH = 1.5

/** Whether a model that has seen `seen` texts should learn anew, now that there are `texts`. */
export function worthLearning(seen: number, texts: number): boolean {
  return texts >= LEAST_TEXTS && texts >= seen * GROWTH
}

/** Counts of stems in each text, and in how many texts each feature and stem is. */
class Counted {
  readonly stems: Map<string, number>[] = []
  readonly #frequency = new Uint32Array(FREQUENCY_COUNT)
  /** The last text that counted in a bucket. */
  readonly #last = new Uint32Array(FREQUENCY_COUNT)
  readonly #textsOf = new Map<string, number>()
  readonly #buckets = new Map<string, Uint32Array>()

  get texts(): number {
    return this.stems.length
  }

  add(text: string): void {
    const words = wordsOf(text).filter((word) => !STOP_WORDS.has(word))
    const counts = new Map<string, number>()
    for (const word of words) {
      const root = stem(word)
      if (root.length <= LONGEST_TERM) counts.set(root, (counts.get(root) ?? 0) + 1)
    }
    this.stems.push(counts)
    for (const root of counts.keys()) this.#textsOf.set(root, (this.#textsOf.get(root) ?? 0) + 1)
    for (const word of new Set(words)) for (const bucket of this.#bucketsOf(word)) this.#count(bucket)
  }

  /** The stems that are in the most texts, in a fixed order, with the number of their texts. */
  vocabulary(most: number): [string, number][] {
    return [...this.#textsOf]
      .filter(([, texts]) => texts >= LEAST_TEXTS_OF_TERM)
      .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
      .slice(0, most)
  }

  rareness(): Uint8Array {
    const idf = (frequency: number): number =>
      Math.log(1 + (this.texts - frequency + 0.5) / (frequency + 0.5))
    return Uint8Array.from(this.#frequency, (frequency) => packedRareness(idf(frequency)))
  }

  #count(bucket: number): void {
    if (this.#last[bucket] === this.texts) return
    this.#last[bucket] = this.texts
    this.#frequency[bucket] = (this.#frequency[bucket] ?? 0) + 1
  }

  #bucketsOf(word: string): Uint32Array {
    let buckets = this.#buckets.get(word)
    if (buckets === undefined) {
      buckets = Uint32Array.from(featuresOf(word), ({ hash }) => frequencyBucket(hash))
      this.#buckets.set(word, buckets)
    }
    return buckets
  }
}

function latentTerms(
  { stems, texts }: Counted,
  vocabulary: readonly [string, number][],
  width: number,
): Map<string, Term> {
  const idf = Float32Array.from(vocabulary, ([, frequency]) => Math.log(1 + texts / frequency))
  const columns = new Map(vocabulary.map(([term], i) => [term, i]))
  const matrix = weighted(stems, columns, idf)
  // With as many dimensions as texts or terms nothing would be said together that was not written together.
  const rank = Math.max(
    1,
    Math.min(
      width,
      Math.floor(Math.min(matrix.rows / TEXTS_A_DIMENSION, matrix.columns / TERMS_A_DIMENSION)),
    ),
  )
  let basis = normals(matrix.columns * rank)
  for (let i = 0; i < ITERATIONS; i++) {
    basis = transposedTimes(matrix, times(matrix, basis, rank), rank)
    orthonormalize(basis, matrix.columns, rank)
  }
  return new Map(
    vocabulary.map(([term], i) => {
      const row = basis.subarray(i * rank, (i + 1) * rank)
      const largest = row.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
      const scale = largest === 0 ? 1 : largest / 127
      const vector = new Int8Array(width)
      vector.set(Int8Array.from(row, (x) => Math.round(x / scale)))
      return [term, { idf: idf[i] ?? 0, scale, vector }]
    }),
  )
}

/** Texts × stems, tf-idf with rows of length 1. */
function weighted(
  stems: readonly ReadonlyMap<string, number>[],
  columns: ReadonlyMap<string, number>,
  idf: Float32Array,
): SparseMatrix {
  const pointers = new Uint32Array(stems.length + 1)
  const indices: number[] = []
  const values: number[] = []
  for (const [row, counts] of stems.entries()) {
    const start = values.length
    let sum = 0
    for (const [term, count] of counts) {
      const column = columns.get(term)
      if (column === undefined) continue
      const value = (1 + Math.log(count)) * (idf[column] ?? 0)
      indices.push(column)
      values.push(value)
      sum += value * value
    }
    for (let i = start; i < values.length; i++) values[i] = (values[i] ?? 0) / Math.sqrt(sum)
    pointers[row + 1] = values.length
  }
  return {
    ...{ rows: stems.length, columns: columns.size, pointers },
    ...{ indices: Uint32Array.from(indices), values: Float32Array.from(values) },
  }
}

/** Normally distributed numbers, always the same (mulberry32 and Box–Muller). */
function normals(count: number): Float32Array {
  let state = SEED
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 2 ** 32
  }
  return new Float32Array(count).map(
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  )
}
