/** All vectors of an embedder in memory, for exact search. Catches up with the index before each use. */
import type { IndexReader } from "./reader.ts"
import { highest } from "./nearest.ts"
import { Rows } from "./simd.ts"
import type { EmbedderRow } from "./vector-store.ts"

/** Rows of chunks that are gone are only passed over, up to this part. */
const MOST_DEAD = 0.3
const A_TIME = 1000

export interface NearChunk {
  readonly chunk: number
  readonly score: number
}

export class VectorMatrix {
  readonly embedder: EmbedderRow
  readonly #reader: IndexReader
  #rows: Rows
  #chunks: number[] = []
  #last = 0
  /** Rows that were read, also those without a vector. */
  #seen = 0
  #version = -1

  constructor(reader: IndexReader, embedder: EmbedderRow) {
    this.#reader = reader
    this.embedder = embedder
    this.#rows = new Rows(embedder.dimensions)
  }

  /** The nearest chunks by cosine, best first; of those in `allowed`. Chunks that are gone may be among them. */
  nearest(query: Float32Array, count: number, allowed?: ReadonlySet<number>): NearChunk[] {
    this.#catchUp()
    const isAllowed = allowed === undefined ? undefined : (at: number) => allowed.has(this.#chunks[at] ?? 0)
    return highest(this.#rows.products(query), count, isAllowed).map(({ at, score }) => ({
      chunk: this.#chunks[at] ?? 0,
      score,
    }))
  }

  #catchUp(): void {
    const version = this.#reader.version()
    if (version === this.#version) return
    const [[live] = [0]] = this.#reader.rows<[number]>(
      `SELECT count(*) FROM vector_${this.embedder.n} WHERE sequence <= ${this.#last}`,
    )
    if (this.#seen - live > MOST_DEAD * this.#seen) this.#clear()
    const sql = `SELECT sequence, chunk, vector FROM vector_${this.embedder.n} WHERE sequence > ? ORDER BY sequence LIMIT ${A_TIME}`
    for (;;) {
      const rows = this.#reader.rows<[number, number, Buffer | null]>(sql, this.#last)
      for (const [sequence, chunk, vector] of rows) this.#add(sequence, chunk, vector)
      if (rows.length < A_TIME) break
    }
    this.#version = version
  }

  #add(sequence: number, chunk: number, vector: Buffer | null): void {
    this.#last = sequence
    this.#seen++
    if (vector?.length !== this.embedder.dimensions * 4) return
    this.#rows.add(floatsOf(vector))
    this.#chunks.push(chunk)
  }

  #clear(): void {
    this.#rows = new Rows(this.embedder.dimensions)
    this.#chunks = []
    this.#last = 0
    this.#seen = 0
  }
}

/** A row's bytes as numbers; a copy, as SQLite's need not lie at a multiple of 4. */
export function floatsOf(bytes: Buffer): Float32Array {
  return new Float32Array(
    bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer,
  )
}
