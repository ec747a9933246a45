/**
 * Gives the free pages of `meta.db` back: SQLite keeps what deleted rows took for later. With `auto_vacuum = INCREMENTAL`
 * (measured: no cost to creates and unlinks) the pages at the file's end are moved into free ones, within a transaction like
 * any other; the next complete checkpoint cuts the file.
 */
import type { Database, Query } from "./database.ts"

const PAGE_BYTES = 4096
const INCREMENTAL = 2
/** In the background: so many bytes may be free, ... */
const SLACK_BYTES = 16 * 1024 * 1024
/** ... and this part of the file. */
const SLACK_SHARE = 0.25

export class FreePages {
  readonly #db: Database
  readonly #free: Query<[], [number]>
  readonly #all: Query<[], [number]>
  readonly #canShrink: boolean
  #wantsAll = false

  constructor(db: Database) {
    this.#db = db
    this.#free = db.query("SELECT freelist_count FROM pragma_freelist_count")
    this.#all = db.query("SELECT page_count FROM pragma_page_count")
    this.#canShrink = Number(db.pragma("auto_vacuum")) === INCREMENTAL
  }

  /** Bytes of the database that hold nothing. */
  get bytes(): number {
    return (this.#free.get()?.[0] ?? 0) * PAGE_BYTES
  }

  /** Bytes of the database, those that wait in the WAL included. */
  get databaseBytes(): number {
    return (this.#all.get()?.[0] ?? 0) * PAGE_BYTES
  }

  /** All of them are to go, until `step` finds none. */
  wantAll(): void {
    this.#wantsAll = true
  }

  get isDue(): boolean {
    if (!this.#canShrink) return false
    const { bytes } = this
    if (this.#wantsAll) return bytes > 0
    return bytes > SLACK_BYTES && bytes > SLACK_SHARE * this.databaseBytes
  }

  /** Gives up to `bytes` back, within the caller's transaction. Returns how many; 0: there was nothing to do. */
  step(bytes: number): number {
    if (!this.isDue) {
      this.#wantsAll = false
      return 0
    }
    const pages = Math.min(Math.ceil(bytes / PAGE_BYTES), this.bytes / PAGE_BYTES)
    this.#db.execute(`PRAGMA incremental_vacuum(${pages})`)
    return pages * PAGE_BYTES
  }
}
