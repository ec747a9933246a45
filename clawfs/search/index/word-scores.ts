/** Adds up BM25, word by word: `idf * f * (k1 + 1) / (f + k1 * (1 - b + b * length / average))`, with FTS5's parameters (fts5_aux.c). */
import type { Postings, PostingsReader, Totals } from "./postings.ts"

const K1 = 1.2
const B = 0.75
const LOWEST_IDF = 1e-6
/** Scores are kept in pages of so many ids. */
const PAGE = 4096

export interface ScoredChunk {
  readonly chunk: number
  readonly score: number
}

export class WordScores {
  readonly #lengths: Pick<PostingsReader, "lengthOf">
  readonly #totals: Totals
  /** By id; 0 for a chunk that was not found. */
  readonly #pages = new Map<number, Float64Array>()
  readonly #chunks: number[] = []

  constructor(lengths: Pick<PostingsReader, "lengthOf">, totals: Totals) {
    this.#lengths = lengths
    this.#totals = totals
  }

  /** Those that were found, in no order that counts. */
  get chunks(): readonly number[] {
    return this.#chunks
  }

  /** A word (or phrase) that a chunk is found by. */
  add({ chunks, counts }: Postings): void {
    const idf = this.#idf(chunks.length)
    for (let i = 0; i < chunks.length; i++) {
      const chunk = chunks[i] ?? 0
      const page = this.#page(chunk)
      const score = page[chunk % PAGE] ?? 0
      if (score === 0) this.#chunks.push(chunk)
      page[chunk % PAGE] = score + idf * this.#weight(chunk, counts[i] ?? 1)
    }
  }

  /** A word that `frequency` chunks have adds to those of them that were found, once each. */
  lift(chunks: readonly number[], frequency: number): void {
    const idf = this.#idf(frequency)
    for (const chunk of chunks) {
      const page = this.#page(chunk)
      const score = page[chunk % PAGE] ?? 0
      if (score > 0) page[chunk % PAGE] = score + idf * this.#weight(chunk, 1)
    }
  }

  /** The `count` best, best first; of equal ones the older first. `among`: only these. */
  best(count: number, among: ReadonlyMap<number, unknown> | undefined): ScoredChunk[] {
    const best: ScoredChunk[] = []
    let lowest = 0
    for (const chunk of this.#chunks) {
      const score = this.#scoreOf(chunk)
      if (score < lowest || (among !== undefined && !among.has(chunk))) continue
      best.push({ chunk, score })
      if (best.length < 2 * count) continue
      lowest = keepBest(best, count)
    }
    keepBest(best, count)
    return best
  }

  #scoreOf(chunk: number): number {
    return this.#page(chunk)[chunk % PAGE] ?? 0
  }

  #page(chunk: number): Float64Array {
    const number = Math.floor(chunk / PAGE)
    let page = this.#pages.get(number)
    if (page === undefined) {
      page = new Float64Array(PAGE)
      this.#pages.set(number, page)
    }
    return page
  }

  /** Never 0, so that what was found has a score. */
  #idf(frequency: number): number {
    const idf = Math.log((this.#totals.chunks - frequency + 0.5) / (frequency + 0.5))
    return Math.max(LOWEST_IDF, idf)
  }

  #weight(chunk: number, times: number): number {
    const average = this.#totals.words / this.#totals.chunks
    const length = this.#lengths.lengthOf(chunk)
    return (times * (K1 + 1)) / (times + K1 * (1 - B + (B * length) / average))
  }
}

/** Leaves the `count` best, best first, and returns the score of the last. */
function keepBest(scored: ScoredChunk[], count: number): number {
  scored.sort((a, b) => b.score - a.score || a.chunk - b.chunk).splice(count)
  return scored.at(-1)?.score ?? 0
}
