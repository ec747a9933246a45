/**
 * Reads the index, beside the writer or without one. Each method sees what is committed; `snapshot` makes several see the same.
 * When the writer has dropped the index and begun anew, `isStale` says so: dispose of this one and open another.
 */
import { statSync } from "node:fs"
import { join } from "node:path"
import { Database, type Query, type Value } from "../../store/database.ts"
import { unpackText } from "./chunk-text.ts"
import { DATABASE_NAME, openForReading } from "./open.ts"
import type { SelectionSql } from "./selection.ts"
import { currentEmbedder, embedderModel, type EmbedderRow } from "./vector-store.ts"
import type { Applied, DocumentState } from "./writer.ts"

export interface FoundChunk {
  readonly chunk: number
  readonly ino: number
  /** Higher is better. Words: BM25; meaning: cosine. */
  readonly score: number
}

export interface ChunkRow {
  readonly id: number
  readonly ino: number
  readonly start: number
  readonly end: number
  readonly firstLine: number
  readonly lastLine: number
  readonly heading: string
  readonly text: string
}

export interface DocumentRow {
  readonly ino: number
  readonly state: DocumentState
  readonly error: string
  readonly extractor: string
  readonly kind: string
  readonly title: string
  readonly isVerbatim: boolean
  readonly isWhole: boolean
  readonly size: number
  readonly mtime: number
  readonly mtimeNanos: number
  readonly hash: Buffer
  /** All names, from the root, without a slash in front, in the order of bytes. */
  readonly paths: readonly Buffer[]
}

export interface IndexCounts {
  readonly indexed: number
  readonly skipped: number
  readonly failed: number
  readonly chunks: number
}

export interface EmbedderProgress extends EmbedderRow {
  /** Whether it answers queries now. */
  readonly isCurrent: boolean
  /** Chunks that it has gone through. */
  readonly done: number
  /** The saved graph: vectors in it and its measured recall; "exact": there is none, or it is not to be used. */
  readonly graph: { readonly vectors: number; readonly recall: number } | "exact"
}

type DocumentSql = [string, string, string, string, string, number, number, number, number, number, Buffer]

export class IndexReader implements Disposable {
  readonly directory: string
  readonly db: Database
  readonly #file: number
  readonly #queries = new Map<string, Query<Value[], Value[]>>()
  readonly #remembered = new Map<string, unknown>()
  #version = -1
  #isInSnapshot = false

  /** Throws `Fault("not-found")` while there is no index, `Fault("unsupported")` for one of a newer version. */
  constructor(directory: string) {
    this.directory = directory
    this.db = openForReading(directory)
    this.#file = this.#fileNow()
  }

  /** All reads in `work`, which must not wait for anything, are of one moment; in another's `work`, of its moment. */
  snapshot<T>(work: () => T): T {
    if (this.#isInSnapshot) return work()
    this.db.begin()
    this.#isInSnapshot = true
    try {
      return work()
    } finally {
      this.#isInSnapshot = false
      this.db.rollback()
    }
  }

  /** Whether the file has been replaced since this was opened. */
  isStale(): boolean {
    return this.#fileNow() !== this.#file
  }

  /** A number that changes when anything in the index does. */
  version(): number {
    return Number(this.db.pragma("data_version"))
  }

  /** What `find` gave at the index's present version: for counts that each query needs. */
  remembered<T>(what: string, find: () => T): T {
    const version = this.version()
    if (version !== this.#version) this.#remembered.clear()
    this.#version = version
    if (!this.#remembered.has(what)) this.#remembered.set(what, this.snapshot(find))
    return this.#remembered.get(what) as T
  }

  applied(): Applied | undefined {
    const meta = new Map(this.#all<[string, string | number]>("SELECT key, value FROM meta"))
    const epoch = meta.get("epoch")
    return epoch === undefined ? undefined : { epoch: String(epoch), sequence: Number(meta.get("applied")) }
  }

  counts(): IndexCounts {
    return this.remembered("counts", () => this.#counts())
  }

  #counts(): IndexCounts {
    const states = new Map(this.#all<[string, number]>("SELECT state, count(*) FROM document GROUP BY state"))
    const [[chunks] = [0]] = this.#all<[number]>("SELECT count(*) FROM chunk")
    const of = (state: DocumentState): number => states.get(state) ?? 0
    return { indexed: of("indexed"), skipped: of("skipped"), failed: of("failed"), chunks }
  }

  embedder(): EmbedderRow | undefined {
    return currentEmbedder(this.db)
  }

  model(n: number): Buffer | undefined {
    return embedderModel(this.db, n)
  }

  /** The embedder that answers and the one that is being filled, if any. */
  embedders(): EmbedderProgress[] {
    return this.remembered("embedders", () => this.#embedders())
  }

  #embedders(): EmbedderProgress[] {
    const current = this.embedder()?.n
    return this.#all<[number, string, number]>("SELECT n, id, dimensions FROM embedder ORDER BY n").map(
      ([n, id, dimensions]) => {
        const [[done] = [0]] = this.#all<[number]>(`SELECT count(*) FROM vector_${n}`)
        const [snap] = this.#all<[number, number]>(
          "SELECT entries, recall FROM snap WHERE embedder = ? AND ef > 0",
          n,
        )
        const graph = snap === undefined ? "exact" : { vectors: snap[0], recall: snap[1] }
        return { n, id, dimensions, isCurrent: n === current, done, graph } as const
      },
    )
  }

  /** The files whose names or titles match best. */
  names(
    expression: string,
    within: SelectionSql | undefined,
    limit: number,
  ): { readonly ino: number; readonly score: number }[] {
    const inside = within === undefined ? "" : `AND +rowid IN (${within.sql})`
    return this.#all<[number, number]>(
      `SELECT rowid, -bm25(path_fts, 4.0, 1.0, 2.0) AS score FROM path_fts
        WHERE path_fts MATCH ? ${inside} ORDER BY score DESC, rowid LIMIT ?`,
      ...[expression, ...(within?.parameters ?? []), limit],
    ).map(([ino, score]) => ({ ino, score }))
  }

  /** How many chunks a selection keeps, counted up to `most`. */
  countChunks(within: SelectionSql, most: number): number {
    const [[count] = [0]] = this.#all<[number]>(
      `SELECT count(*) FROM (SELECT 1 FROM chunk WHERE ino IN (${within.sql}) LIMIT ?)`,
      ...[...within.parameters, most],
    )
    return count
  }

  /** Which of these chunks are there (and within the selection), with their inodes. */
  inodesOf(chunks: readonly number[], within?: SelectionSql): Map<number, number> {
    const inside = within === undefined ? "" : `AND ino IN (${within.sql})`
    return new Map(
      this.#all<[number, number]>(
        `SELECT id, ino FROM chunk WHERE id IN (SELECT value FROM json_each(?)) ${inside}`,
        ...[JSON.stringify(chunks), ...(within?.parameters ?? [])],
      ),
    )
  }

  chunk(id: number): ChunkRow | undefined {
    const [row] = this.#all<[number, number, number, number, number, string, Buffer]>(
      "SELECT ino, start, end, first_line, last_line, heading, text FROM chunk WHERE id = ?",
      id,
    )
    if (row === undefined) return undefined
    const [ino, start, end, firstLine, lastLine, heading, text] = row
    return { id, ino, start, end, firstLine, lastLine, heading, text: unpackText(text) }
  }

  /** The chunks of a document in their order. */
  chunksOf(ino: number): ChunkRow[] {
    return this.#all<[number]>("SELECT id FROM chunk WHERE ino = ? ORDER BY n", ino).flatMap(
      ([id]) => this.chunk(id) ?? [],
    )
  }

  document(ino: number): DocumentRow | undefined {
    const [row] = this.#all<DocumentSql>(
      `SELECT state, error, extractor, kind, title, is_verbatim, is_whole, size, mtime, mtime_nanos, hash
        FROM document WHERE ino = ?`,
      ino,
    )
    if (row === undefined) return undefined
    const [state, error, extractor, kind, title, isVerbatim, isWhole, size, mtime, mtimeNanos, hash] = row
    return {
      ...{ ino, state: state as DocumentState, error, extractor, kind, title, size, mtime, mtimeNanos, hash },
      ...{ isVerbatim: isVerbatim === 1, isWhole: isWhole === 1 },
      paths: this.paths(ino),
    }
  }

  /** As in `document`. */
  paths(ino: number): Buffer[] {
    return this.#all<[Buffer]>("SELECT path FROM path WHERE ino = ? ORDER BY path", ino).map(([path]) => path)
  }

  /** Kinds and extractors that there are. */
  types(): string[] {
    return this.#all<[string]>(
      "SELECT kind FROM document WHERE kind <> '' UNION SELECT extractor FROM document WHERE extractor <> ''",
    ).map(([type]) => type)
  }

  /** Any query; for the other readers of the index in this folder. */
  rows<R extends Value[]>(sql: string, ...parameters: Value[]): R[] {
    return this.#all<R>(sql, ...parameters)
  }

  /** Changes a temporary table of this connection; the index itself is read-only. */
  change(sql: string, ...parameters: Value[]): void {
    this.#prepared(sql).run(...parameters)
  }

  [Symbol.dispose](): void {
    this.db[Symbol.dispose]()
  }

  #fileNow(): number {
    return statSync(join(this.directory, DATABASE_NAME), { throwIfNoEntry: false })?.ino ?? 0
  }

  #all<R extends Value[]>(sql: string, ...parameters: Value[]): R[] {
    return this.#prepared(sql).all(...parameters) as R[]
  }

  /** Statements are kept: preparing one takes as long as a small query. */
  #prepared(sql: string): Query<Value[], Value[]> {
    let query = this.#queries.get(sql)
    if (query === undefined) {
      if (this.#queries.size >= MAX_STATEMENTS) this.#queries.clear()
      query = this.db.query<Value[], Value[]>(sql)
      this.#queries.set(sql, query)
    }
    return query
  }
}

const MAX_STATEMENTS = 200
