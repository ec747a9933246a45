/** Tables `chunk` and `chunk_fts`: a document's chunks are compared by hash, so that only what has changed gets new rows. */
import type { Database, Query } from "../../store/database.ts"
import { hashOf, packedOf, type PreparedChunk, type PreparedText } from "./prepare.ts"
import type { VectorStore } from "./vector-store.ts"

/** How many chunks were left as they are, are new, and are gone. */
export interface ChunkChanges {
  readonly kept: number
  readonly added: number
  readonly removed: number
}

type Place = [n: number, start: number, end: number, firstLine: number, lastLine: number]

export class ChunkRows {
  readonly #vectors: VectorStore
  readonly #ofDocument: Query<[number], [id: number, hash: Buffer]>
  readonly #insert: Query<[number, number, ...Place, string, Buffer, Buffer]>
  readonly #lastId: Query<[], [number]>
  /** The highest number that was ever used; undefined: not known. */
  #last: number | undefined
  readonly #place: Query<[...Place, number]>
  readonly #delete: Query<[number]>
  readonly #insertWords: Query<[number, string, string, string]>
  readonly #deleteWords: Query<[number]>

  constructor(db: Database, vectors: VectorStore) {
    this.#vectors = vectors
    this.#ofDocument = db.query("SELECT id, hash FROM chunk WHERE ino = ? ORDER BY n")
    this.#insert = db.query(`INSERT INTO chunk
      (id, ino, n, start, end, first_line, last_line, heading, text, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#lastId = db.query("SELECT seq FROM sqlite_sequence WHERE name = 'chunk'")
    this.#place = db.query(
      "UPDATE chunk SET n = ?, start = ?, end = ?, first_line = ?, last_line = ? WHERE id = ?",
    )
    this.#delete = db.query("DELETE FROM chunk WHERE id = ?")
    this.#insertWords = db.query("INSERT INTO chunk_fts (rowid, title, heading, body) VALUES (?, ?, ?, ?)")
    this.#deleteWords = db.query("DELETE FROM chunk_fts WHERE rowid = ?")
  }

  /** `text` undefined: there are no chunks any more. */
  replace(ino: number, text: PreparedText | undefined): ChunkChanges {
    const chunks = text?.chunks ?? []
    const before = new Map<string, number[]>()
    const rows = this.#ofDocument.all(ino)
    for (const [id, hash] of rows) before.set(key(hash), [...(before.get(key(hash)) ?? []), id])
    let kept = 0
    for (const [n, chunk] of chunks.entries()) {
      if (text === undefined) break
      const hash = hashOf(text, chunk)
      const place: Place = [n, chunk.start, chunk.end, chunk.firstLine, chunk.lastLine]
      const same = before.get(key(hash))?.shift()
      if (same === undefined) this.#add(ino, place, text, chunk, hash)
      else {
        this.#place.run(...place, same)
        kept++
      }
    }
    for (const id of [...before.values()].flat()) this.#remove(id)
    return { kept, added: chunks.length - kept, removed: rows.length - kept }
  }

  /** After a rollback. */
  forget(): void {
    this.#last = undefined
  }

  #add(ino: number, place: Place, document: PreparedText, chunk: PreparedChunk, hash: Buffer): void {
    const { heading, text } = chunk
    // Not RETURNING, which opens a statement transaction: at each one FTS5 writes out what it has gathered (measured: 4.7 instead of
    // 6.7 MB/s).
    const id = (this.#last ?? this.#lastId.get()?.[0] ?? 0) + 1
    this.#last = id
    this.#insert.run(id, ino, ...place, heading, packedOf(document, chunk), hash)
    this.#insertWords.run(id, document.title, heading, text)
  }

  #remove(id: number): void {
    this.#deleteWords.run(id)
    this.#vectors.remove(id)
    this.#delete.run(id)
  }
}

const key = (hash: Buffer): string => hash.toString("latin1")
