/** The leg that finds by meaning: the query's vector from the embedder that made the chunks', and what is near to it. */
import { describe, Fault } from "../../core/fault.ts"
import type { Embedder } from "../embed/embedder.ts"
import { normalized } from "../index/normalize.ts"
import type { FoundChunk, IndexReader } from "../index/reader.ts"
import type { SelectionSql } from "../index/selection.ts"
import type { VectorSearch } from "../index/vector-search.ts"
import type { MeaningLeg } from "./search.ts"

interface Near {
  readonly hits: readonly FoundChunk[]
  readonly degraded: readonly string[]
}

export class Meaning implements MeaningLeg {
  readonly #reader: IndexReader
  readonly #vectors: VectorSearch
  readonly #embedders: (id: string) => Embedder | undefined

  /** `embedders` gives the embedder with an id: the one that answers, which a change of the configuration may have replaced. */
  constructor(reader: IndexReader, vectors: VectorSearch, embedders: (id: string) => Embedder | undefined) {
    this.#reader = reader
    this.#vectors = vectors
    this.#embedders = embedders
  }

  /** An embedder that takes over meanwhile is asked in its turn; that happens once a change of the configuration. */
  async nearest(
    text: string,
    count: number,
    within: SelectionSql | undefined,
    signal?: AbortSignal,
  ): Promise<Near> {
    for (;;) {
      const near = await this.#nearest(text, count, within, signal)
      if (near !== undefined) return near
    }
  }

  /** Undefined: another embedder has taken over. */
  async #nearest(
    text: string,
    count: number,
    within: SelectionSql | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Near | undefined> {
    const current = this.#reader.embedders().find(({ isCurrent }) => isCurrent)
    if (current === undefined)
      return { hits: [], degraded: ["there are no vectors yet: found by words alone"] }
    const embedder = this.#embedders(current.id)
    if (embedder === undefined)
      return {
        hits: [],
        degraded: [`the vectors are of ${current.id}, which is not configured: found by words alone`],
      }
    let query: Float32Array | undefined
    try {
      const vector = await embedder.embedQuery(text, signal)
      query = vector === undefined ? undefined : normalized(vector, current.dimensions)
    } catch (thrown) {
      if (signal?.aborted === true || (thrown instanceof Fault && thrown.kind === "bug")) throw thrown
      return {
        hits: [],
        degraded: [`the query could not be embedded (${describe(thrown)}): found by words alone`],
      }
    }
    const degraded: string[] = []
    const { chunks } = this.#reader.counts()
    if (current.done < chunks)
      degraded.push(`vectors are made of ${Math.floor((100 * current.done) / chunks)} % of the text so far`)
    if (query === undefined) return { hits: [], degraded }
    const { hits, how } = await this.#vectors.nearest(query, count, within, current)
    return how === "changed" ? undefined : { hits, degraded }
  }
}
