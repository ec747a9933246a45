/**
 * The nearest chunks of a vector. Exact wherever that takes no time that anybody could notice: over few selected chunks, and over
 * all up to 25 million numbers, in memory. Above that the HNSW graph proposes and exact distances decide; whenever it can't answer,
 * SQLite goes through all rows.
 */
import { Fault } from "../../core/fault.ts"
import type { HnswSearch } from "./hnsw-search.ts"
import type { FoundChunk, IndexReader } from "./reader.ts"
import type { SelectionSql } from "./selection.ts"
import { product } from "./simd.ts"
import { loadVectorDistance } from "./vector-distance.ts"
import { floatsOf, VectorMatrix, type NearChunk } from "./vector-matrix.ts"
import type { EmbedderRow } from "./vector-store.ts"

/** Numbers (chunks × dimensions) that are kept in memory and scanned: 100 MB, some 15 ms. */
export const MOST_EXACT = 25_000_000
/** A selection with at most as many chunks is scanned by SQLite. */
const FEW_CHUNKS = 20_000
/** Of what the graph proposes some is gone, or not selected: it is asked for so many times as much, and then for more. */
const MORE_CANDIDATES = [1.25, 5]
const MORE_SELECTED_CANDIDATES = [10]

export interface NearestAnswer {
  readonly hits: readonly FoundChunk[]
  /** "changed": another embedder answers by now, and the query's vector means nothing to it. */
  readonly how: "none" | "memory" | "selected" | "hnsw" | "database" | "changed"
}

export interface VectorSearchOptions {
  /** Above it the graph is used; for tests. */
  readonly mostExact?: number
  readonly hnsw?: HnswSearch | undefined
  /** Leaves sqlite-vec out; for tests. */
  readonly isPlain?: boolean
}

export class VectorSearch {
  readonly #reader: IndexReader
  readonly #options: VectorSearchOptions
  #matrix: VectorMatrix | undefined
  #hasDistance: boolean | undefined

  constructor(reader: IndexReader, options: VectorSearchOptions = {}) {
    this.#reader = reader
    this.#options = options
  }

  /**
   * Up to `count` chunks that are there and selected, best first, by cosine. The query must be normalized, and the vector that `of`
   * gave: the embedder that answers may be replaced, and its vectors removed, while the query is embedded or the graph is asked.
   */
  async nearest(
    query: Float32Array,
    count: number,
    within?: SelectionSql,
    of: EmbedderRow | undefined = this.#reader.embedder(),
  ): Promise<NearestAnswer> {
    this.#hasDistance ??= this.#options.isPlain !== true && (await loadVectorDistance(this.#reader.db))
    if (of === undefined) return { hits: [], how: "none" }
    if (query.length !== of.dimensions)
      throw new Fault("bug", `BUG: a query of ${query.length} dimensions for ${of.id}`)
    const atOnce = this.#whileItAnswers(of, () => this.#withoutGraph(of, query, count, within))
    if (atOnce !== undefined) return atOnce
    const there = await this.#proposed(of, query, count, within)
    return this.#whileItAnswers<NearestAnswer>(of, () =>
      there === undefined
        ? { hits: this.#inDatabase(of, query, count, within), how: "database" }
        : { hits: this.#exact(of, query, there).slice(0, count), how: "hnsw" },
    )
  }

  /** What `look` finds, all of one moment in which `of` is the embedder that answers. */
  #whileItAnswers<T>({ n, id }: EmbedderRow, look: () => T): T | NearestAnswer {
    return this.#reader.snapshot(() => {
      const now = this.#reader.embedder()
      return now?.n === n && now.id === id ? look() : { hits: [], how: "changed" }
    })
  }

  /** Undefined: there are so many that the graph is to be asked. */
  #withoutGraph(
    embedder: EmbedderRow,
    query: Float32Array,
    count: number,
    within: SelectionSql | undefined,
  ): NearestAnswer | undefined {
    if (this.#size(embedder) <= (this.#options.mostExact ?? MOST_EXACT))
      return { hits: this.#inMemory(embedder, query, count, within), how: "memory" }
    this.#matrix = undefined
    if (within !== undefined && this.#reader.countChunks(within, FEW_CHUNKS + 1) <= FEW_CHUNKS)
      return { hits: this.#inDatabase(embedder, query, count, within), how: "selected" }
    return undefined
  }

  #size({ n, dimensions }: EmbedderRow): number {
    const { done = 0 } = this.#reader.embedders().find((embedder) => embedder.n === n) ?? {}
    return done * dimensions
  }

  #inMemory(
    embedder: EmbedderRow,
    query: Float32Array,
    count: number,
    within: SelectionSql | undefined,
  ): FoundChunk[] {
    if (this.#matrix?.embedder.n !== embedder.n) this.#matrix = new VectorMatrix(this.#reader, embedder)
    const matrix = this.#matrix
    const allowed = within === undefined ? undefined : this.#chunksWithin(within)
    // Chunks that are gone take places: ask for more until there are enough that are not.
    for (let asked = count; ; asked *= 2) {
      const near = matrix.nearest(query, asked, allowed)
      const hits = this.#there(near, undefined)
      if (hits.length >= count || near.length < asked) return hits.slice(0, count)
    }
  }

  #chunksWithin({ sql, parameters }: SelectionSql): Set<number> {
    const rows = this.#reader.rows<[number]>(`SELECT id FROM chunk WHERE ino IN (${sql})`, ...parameters)
    return new Set(rows.map(([id]) => id))
  }

  #there(near: readonly NearChunk[], within: SelectionSql | undefined): FoundChunk[] {
    const inodes = this.#reader.inodesOf(
      near.map(({ chunk }) => chunk),
      within,
    )
    return near.flatMap(({ chunk, score }) => {
      const ino = inodes.get(chunk)
      return ino === undefined ? [] : [{ chunk, ino, score }]
    })
  }

  /** Exact cosines of chunks with their inodes, best first. */
  #exact({ n }: EmbedderRow, query: Float32Array, there: ReadonlyMap<number, number>): FoundChunk[] {
    const chunks = JSON.stringify([...there.keys()])
    const from = `FROM vector_${n} WHERE chunk IN (SELECT value FROM json_each(?)) AND vector IS NOT NULL`
    const scores: (readonly [chunk: number, score: number])[] = this.#hasDistance
      ? this.#reader.rows<[number, number]>(
          `SELECT chunk, 1 - vec_distance_cosine(vector, ?) ${from}`,
          ...[bytesOf(query), chunks],
        )
      : this.#reader
          .rows<[number, Buffer]>(`SELECT chunk, vector ${from}`, chunks)
          .map(([chunk, vector]) => [chunk, product(floatsOf(vector), 0, query)])
    return scores
      .map(([chunk, score]) => ({ chunk, ino: there.get(chunk) ?? 0, score }))
      .sort((a, b) => b.score - a.score || a.chunk - b.chunk)
  }

  /** Chunks that the graph proposes, and that are there; undefined: it can't answer, or not enough of them is selected. */
  async #proposed(
    embedder: EmbedderRow,
    query: Float32Array,
    count: number,
    within: SelectionSql | undefined,
  ): Promise<Map<number, number> | undefined> {
    for (const more of within === undefined ? MORE_CANDIDATES : MORE_SELECTED_CANDIDATES) {
      const asked = Math.ceil(count * more)
      const proposed = await this.#options.hnsw?.nearest(embedder, query, asked)
      if (proposed === undefined) return undefined
      const there = this.#reader.inodesOf(proposed, within)
      if (there.size >= count || proposed.length < asked) return there
    }
    return undefined
  }

  #inDatabase(
    embedder: EmbedderRow,
    query: Float32Array,
    count: number,
    within: SelectionSql | undefined,
  ): FoundChunk[] {
    const chunks =
      within === undefined ? "SELECT id FROM chunk" : `SELECT id FROM chunk WHERE ino IN (${within.sql})`
    return this.#scores(embedder, query, chunks, within?.parameters ?? [], count)
  }

  /** Exact cosines of the chunks that a query gives, best first. */
  #scores(
    { n }: EmbedderRow,
    query: Float32Array,
    chunks: string,
    parameters: SelectionSql["parameters"],
    count: number,
  ): FoundChunk[] {
    const from = `FROM chunk c JOIN vector_${n} v ON v.chunk = c.id WHERE c.id IN (${chunks}) AND v.vector IS NOT NULL`
    if (this.#hasDistance === true) {
      return this.#reader
        .rows<[number, number, number]>(
          `SELECT c.id, c.ino, 1 - vec_distance_cosine(v.vector, ?) AS score ${from} ORDER BY score DESC, c.id LIMIT ?`,
          ...[bytesOf(query), ...parameters, count],
        )
        .map(([chunk, ino, score]) => ({ chunk, ino, score }))
    }
    return this.#scoresHere(query, from, parameters, count)
  }

  #scoresHere(
    query: Float32Array,
    from: string,
    parameters: SelectionSql["parameters"],
    count: number,
  ): FoundChunk[] {
    const found: FoundChunk[] = []
    for (let last = 0; ;) {
      const rows = this.#reader.rows<[number, number, Buffer]>(
        `SELECT c.id, c.ino, v.vector ${from} AND c.id > ? ORDER BY c.id LIMIT ${ROWS_A_TIME}`,
        ...[...parameters, last],
      )
      for (const [chunk, ino, vector] of rows)
        found.push({ chunk, ino, score: product(floatsOf(vector), 0, query) })
      last = rows.at(-1)?.[0] ?? 0
      if (rows.length < ROWS_A_TIME) break
    }
    found.sort((a, b) => b.score - a.score || a.chunk - b.chunk)
    return found.slice(0, count)
  }
}

const ROWS_A_TIME = 1000

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength)
