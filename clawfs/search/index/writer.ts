/**
 * Writes the index. One process has it (the indexer); others read through `IndexReader` meanwhile. What belongs together goes
 * into one `transact`; vectors come afterwards, in batches, as the embedder gets to them (`vectors`).
 */
import type { Database, Query } from "../../store/database.ts"
import { ChunkRows, type ChunkChanges } from "./chunk-rows.ts"
import { GramStore } from "./gram-store.ts"
import { openForWriting } from "./open.ts"
import { PathRows } from "./path-rows.ts"
import type { PreparedText } from "./prepare.ts"
import { VectorStore } from "./vector-store.ts"

/** indexed: its text is searchable; skipped: by a rule (binary, too large, ignored); failed: its extractor gave up. */
export type DocumentState = "indexed" | "skipped" | "failed"

/** A file as the indexer saw it. */
export interface IndexedFile {
  readonly ino: number
  /** Of the content; at least 8 bytes, the same function always. Empty: not known. */
  readonly hash: Buffer
  readonly state: DocumentState
  /** One sentence for state skipped and failed, else "". */
  readonly error: string
  /** Bytes of the file. */
  readonly size: number
  /** Seconds since 1970, and nanoseconds 0–999,999,999. */
  readonly mtime: number
  readonly mtimeNanos: number
}

/** What of the change feed is in the index: the store's epoch and the feed's sequence number. */
export interface Applied {
  readonly epoch: string
  readonly sequence: number
}

type DocumentRow = [
  number,
  Buffer,
  string,
  string,
  string,
  string,
  string,
  number,
  number,
  number,
  number,
  number,
  number,
]

export class IndexWriter implements Disposable {
  readonly db: Database
  /** Why the index was empty when it was opened; undefined: it was not. Everything must then be handed in again. */
  readonly rebuiltBecause: string | undefined
  readonly vectors: VectorStore
  readonly #chunks: ChunkRows
  readonly #paths: PathRows
  readonly #grams: GramStore
  readonly #title: Query<[number], [string, number]>
  readonly #put: Query<DocumentRow>
  readonly #delete: Query<[number]>
  readonly #meta: Query<[string, string | number]>
  readonly #changes: Query<[], [number]>

  /** Throws `Fault("unsupported")` if the index there is of a newer version (`openForWriting`). */
  constructor(directory: string) {
    const { db, rebuiltBecause } = openForWriting(directory)
    this.db = db
    this.rebuiltBecause = rebuiltBecause
    this.vectors = new VectorStore(db)
    this.#chunks = new ChunkRows(db, this.vectors)
    this.#paths = new PathRows(db)
    this.#grams = new GramStore(db)
    this.#title = db.query("SELECT title, grams FROM document WHERE ino = ?")
    this.#put = db.query(`INSERT INTO document
      (ino, hash, state, error, extractor, kind, title, is_verbatim, is_whole, size, mtime, mtime_nanos, grams)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#delete = db.query("DELETE FROM document WHERE ino = ?")
    this.#meta = db.query("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)")
    this.#changes = db.query("SELECT total_changes()")
  }

  /** Everything that `work` changes is committed as a whole, or nothing of it if it throws. */
  transact<T>(work: () => T): T {
    this.db.beginWriting()
    try {
      const result = work()
      this.db.commit()
      return result
    } catch (thrown) {
      this.db.rollback()
      // What was counted in memory may be of rows that are not there now.
      this.vectors.forget()
      this.#chunks.forget()
      this.#grams.forget()
      throw thrown
    }
  }

  /**
   * Puts a file in, or anew. Chunks whose title, heading and text are as before keep their ids and vectors, wherever they stand
   * now. `text` is undefined for a file without searchable text.
   */
  replaceDocument(file: IndexedFile, text: PreparedText | undefined): ChunkChanges {
    const [title, grams] = this.#title.get(file.ino) ?? [undefined, 0]
    const number = this.#grams.replace(grams, text?.grams ?? NONE)
    // Not OR REPLACE, for the reason in chunk-rows.ts.
    this.#delete.run(file.ino)
    this.#put.run(
      ...[file.ino, file.hash, file.state, file.error],
      ...[text?.extractor ?? "", text?.kind ?? "", text?.title ?? ""],
      ...[text?.isVerbatim === true ? 1 : 0, text?.isWhole === false ? 0 : 1],
      ...[file.size, file.mtime, file.mtimeNanos, number],
    )
    if ((text?.title ?? "") !== title) this.#paths.refresh(file.ino)
    return this.#chunks.replace(file.ino, text)
  }

  /** All names of an inode, from the root without a slash in front. A name that was another inode's is taken from it. */
  setPaths(ino: number, paths: readonly Buffer[]): void {
    this.#paths.set(ino, paths)
  }

  /**
   * A file or a whole tree got another name: `from` and all that is below it. What was at the new names is taken away from
   * there. Changes nothing but names; returns how many.
   */
  movePrefix(from: Buffer, to: Buffer): number {
    return this.#paths.move(from, to)
  }

  /** Takes everything of an inode out: it is unlinked, or no longer to be searched. */
  removeDocument(ino: number): void {
    const [, grams] = this.#title.get(ino) ?? ["", 0]
    this.#grams.replace(grams, NONE)
    this.#chunks.replace(ino, undefined)
    this.#paths.set(ino, [])
    this.#delete.run(ino)
  }

  setApplied({ epoch, sequence }: Applied): void {
    this.#meta.run("epoch", epoch)
    this.#meta.run("applied", sequence)
  }

  /**
   * Tidies up for up to some 100 ms: merges parts of the indexes of words and of grams, gives free pages back. For moments
   * without work; returns whether there is more to do.
   */
  tidy(): boolean {
    const hasMerged = this.transact(() => {
      const words = ["chunk_fts", "path_fts"].map((table) => this.#mergeWords(table))
      return this.#grams.merge() || words.includes(true)
    })
    this.db.pragma(`incremental_vacuum(${FREE_PAGES_A_TIME})`)
    return hasMerged
  }

  /** FTS5's own merging is done where somebody waits for it; this does it beforehand. */
  #mergeWords(table: string): boolean {
    const before = this.#changes.get()?.[0] ?? 0
    this.db.execute(`INSERT INTO ${table} (${table}, rank) VALUES ('merge', ${MERGED_PAGES})`)
    // One change is that of the command itself (SQLite's documentation of FTS5, 6.8).
    return (this.#changes.get()?.[0] ?? 0) - before > 1
  }

  [Symbol.dispose](): void {
    this.db[Symbol.dispose]()
  }
}

const FREE_PAGES_A_TIME = 500
/** Pages of FTS5's merge command. */
const MERGED_PAGES = 500
const NONE = new Uint8Array()
