/**
 * Vectors of chunks, a table for each embedder: `vector_n (sequence, chunk, vector)`. Row numbers are never used again, so "all
 * after the last one I have seen" is what is new, for whoever keeps a copy. Vectors have length 1, so that the scalar product is
 * the cosine; a chunk that has no meaning for the embedder (no word in it) has a row with NULL.
 *
 * One embedder answers (`meta.embedder`). Another one's vectors are made beside it, and it takes over when it has them all.
 */
import { present } from "../../core/assert.ts"
import { Fault } from "../../core/fault.ts"
import type { Database, Query } from "../../store/database.ts"
import { unpackText } from "./chunk-text.ts"
import { normalized } from "./normalize.ts"

export const MIN_DIMENSIONS = 128
export const MAX_DIMENSIONS = 4096

export interface EmbedderRow {
  readonly n: number
  /** provider:model:dimensions:version. */
  readonly id: string
  readonly dimensions: number
}

export interface ChunkToEmbed {
  readonly id: number
  readonly title: string
  readonly heading: string
  readonly text: string
}

export interface ChunkVector {
  readonly chunk: number
  /** Undefined: the chunk means nothing to the embedder. */
  readonly vector: Float32Array | undefined
}

interface Statements {
  readonly missing: Query<[number, number], [number, string, string, Buffer]>
  readonly put: Query<[number, Buffer | null, number]>
  readonly remove: Query<[number]>
}

export class VectorStore {
  readonly #db: Database
  readonly #statements = new Map<number, Statements>()
  /** By embedder: all chunks up to this id have a row. */
  readonly #completeTo = new Map<number, number>()
  #rows: readonly EmbedderRow[] | undefined

  constructor(db: Database) {
    this.#db = db
  }

  all(): readonly EmbedderRow[] {
    return (this.#rows ??= this.#db
      .query<[], [number, string, number]>("SELECT n, id, dimensions FROM embedder ORDER BY n")
      .all()
      .map(([n, id, dimensions]) => ({ n, id, dimensions })))
  }

  /** The one whose vectors answer queries. */
  current(): EmbedderRow | undefined {
    return currentEmbedder(this.#db)
  }

  /**
   * The embedder with this id, put in if it is new; in a transaction. The first one answers at once, with what it has; later ones
   * after `switchTo`. Throws `Fault("invalid")` for dimensions outside of 128–4096.
   */
  use(id: string, dimensions: number, model?: Buffer): EmbedderRow {
    if (!Number.isInteger(dimensions) || dimensions < MIN_DIMENSIONS || dimensions > MAX_DIMENSIONS)
      throw new Fault(
        "invalid",
        `an embedder must have ${MIN_DIMENSIONS} to ${MAX_DIMENSIONS} dimensions, not ${dimensions}`,
      )
    const known = this.all().find((row) => row.id === id)
    if (known !== undefined) return known
    const row = this.#db
      .query<[string, number, Buffer | null], [number]>(
        "INSERT INTO embedder (id, dimensions, model) VALUES (?, ?, ?) RETURNING n",
      )
      .get(id, dimensions, model ?? null)
    const [n] = present(row, "the new embedder's number")
    this.#rows = undefined
    this.#db
      .execute(`CREATE TABLE vector_${n} (sequence INTEGER PRIMARY KEY AUTOINCREMENT, chunk INTEGER NOT NULL, vector BLOB);
      CREATE UNIQUE INDEX vector_${n}_chunk ON vector_${n} (chunk)`)
    if (this.current() === undefined) this.switchTo({ n, id, dimensions })
    return { n, id, dimensions }
  }

  /** What an embedder has learned, as it was given to `use`. */
  model(n: number): Buffer | undefined {
    return embedderModel(this.#db, n)
  }

  /** Makes it the one that answers, in a transaction; the others' vectors are deleted. */
  switchTo(embedder: EmbedderRow): void {
    this.#db
      .query<[number]>("INSERT OR REPLACE INTO meta (key, value) VALUES ('embedder', ?)")
      .run(embedder.n)
    for (const other of this.all()) if (other.n !== embedder.n) this.#drop(other.n)
  }

  /** No embedder any more: search by words alone. */
  clear(): void {
    this.#db.execute("DELETE FROM meta WHERE key = 'embedder'")
    for (const { n } of this.all()) this.#drop(n)
  }

  /** The next chunks without a vector, in the order of their ids; none: it has them all. */
  missing({ n }: EmbedderRow, limit: number): ChunkToEmbed[] {
    const from = this.#completeTo.get(n) ?? 0
    const rows = this.#of(n).missing.all(from, limit)
    const [first] = rows
    const last = first === undefined ? this.#lastChunk() : first[0] - 1
    this.#completeTo.set(n, Math.max(from, last))
    return rows.map(([id, title, heading, text]) => ({ id, title, heading, text: unpackText(text) }))
  }

  /**
   * Stores vectors, in a transaction. Chunks that are gone meanwhile are passed over. Throws `Fault("invalid")` for a vector of
   * another length, one that is not finite, and one of zeros; nothing is stored then.
   */
  put(embedder: EmbedderRow, vectors: readonly ChunkVector[]): void {
    const ready = vectors.map(({ chunk, vector }) => ({
      chunk,
      bytes: vector === undefined ? null : bytesOf(normalized(vector, embedder.dimensions)),
    }))
    for (const { chunk, bytes } of ready) this.#of(embedder.n).put.run(chunk, bytes, chunk)
  }

  /** A chunk is gone. */
  remove(chunk: number): void {
    for (const { n } of this.all()) this.#of(n).remove.run(chunk)
  }

  /** After a rollback. */
  forget(): void {
    this.#statements.clear()
    this.#completeTo.clear()
    this.#rows = undefined
  }

  #lastChunk(): number {
    return this.#db.query<[], [number]>("SELECT coalesce(max(id), 0) FROM chunk").get()?.[0] ?? 0
  }

  #drop(n: number): void {
    this.#statements.delete(n)
    this.#completeTo.delete(n)
    this.#rows = undefined
    this.#db.execute(
      `DROP TABLE IF EXISTS vector_${n}; DELETE FROM embedder WHERE n = ${n}; DELETE FROM snap WHERE embedder = ${n}`,
    )
  }

  #of(n: number): Statements {
    const known = this.#statements.get(n)
    if (known !== undefined) return known
    const made: Statements = {
      missing: this.#db
        .query(`SELECT c.id, d.title, c.heading, c.text FROM chunk c JOIN document d ON d.ino = c.ino
        WHERE c.id > ? AND NOT EXISTS (SELECT 1 FROM vector_${n} v WHERE v.chunk = c.id) ORDER BY c.id LIMIT ?`),
      put: this.#db.query(`INSERT OR IGNORE INTO vector_${n} (chunk, vector)
        SELECT ?, ? WHERE EXISTS (SELECT 1 FROM chunk WHERE id = ?)`),
      remove: this.#db.query(`DELETE FROM vector_${n} WHERE chunk = ?`),
    }
    this.#statements.set(n, made)
    return made
  }
}

/** For readers too. */
export function currentEmbedder(db: Database): EmbedderRow | undefined {
  const row = db
    .query<[], [number, string, number]>(
      "SELECT e.n, e.id, e.dimensions FROM meta m JOIN embedder e ON e.n = m.value WHERE m.key = 'embedder'",
    )
    .get()
  return row === undefined ? undefined : { n: row[0], id: row[1], dimensions: row[2] }
}

export function embedderModel(db: Database, n: number): Buffer | undefined {
  return (
    db.query<[number], [Buffer | null]>("SELECT model FROM embedder WHERE n = ?").get(n)?.[0] ?? undefined
  )
}

const bytesOf = (vector: Float32Array): Buffer =>
  Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength)
