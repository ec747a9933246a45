/**
 * Table `inline`: at most one piece of a body lives in the database itself, committed together with its size. For a
 * small file that is all of it; for a growing one it is the tail, so that a log line does not cost a record.
 */
import { Fault } from "../core/fault.ts"
import type { Database, Query } from "./database.ts"
import type { Inode } from "./inode.ts"

/** The longest piece, in bytes. Measured: up to 16–32 KiB the database beats a record (shared/reference/fuse.md §2). */
export const INLINE_MAX = 16 * 1024

const EMPTY = Buffer.alloc(0)
/** Pieces kept in memory: 2 MiB at most. An appending program reads its piece back before every write. */
const CACHE = 128

export class InlinePieces {
  readonly #cache = new Map<number, Buffer>()
  /** Changed in this transaction: the new piece, or undefined where none is left. Written once, when it is committed. */
  readonly #changed = new Map<number, Buffer | undefined>()
  readonly #select: Query<[number], [Buffer]>
  readonly #put: Query<[number, Buffer]>
  readonly #delete: Query<[number]>

  constructor(db: Database) {
    this.#select = db.query("SELECT data FROM inline WHERE body = ?")
    this.#put = db.query("INSERT OR REPLACE INTO inline (body, data) VALUES (?, ?)")
    this.#delete = db.query("DELETE FROM inline WHERE body = ?")
  }

  get(inode: Inode): Buffer {
    if (inode.inlineLength === 0) return EMPTY
    const cached = this.#changed.get(inode.body) ?? this.#cache.get(inode.body)
    if (cached !== undefined) return cached
    const data = this.#select.get(inode.body)?.[0] ?? EMPTY
    // Fewer bytes than the inode says would leave somebody else's in the reply.
    if (data.length !== inode.inlineLength)
      throw new Fault("corrupt", `the inline piece of inode ${inode.ino} is not as long as it should be`)
    this.#remember(inode.body, data)
    return data
  }

  /** Replaces the piece; `data` is kept. An empty piece is no piece. */
  set(inode: Inode, offset: number, data: Buffer): void {
    if (data.length === 0) {
      this.drop(inode)
      return
    }
    inode.alloc += data.length - inode.inlineLength
    inode.inlineOffset = offset
    inode.inlineLength = data.length
    this.#changed.set(inode.body, data)
  }

  drop(inode: Inode): void {
    if (inode.inlineLength === 0) return
    inode.alloc -= inode.inlineLength
    inode.inlineOffset = 0
    inode.inlineLength = 0
    this.#changed.set(inode.body, undefined)
    this.#cache.delete(inode.body)
  }

  /** Gives the inode's piece to `body` too. */
  copy(inode: Inode, body: number): void {
    if (inode.inlineLength > 0) this.#changed.set(body, this.get(inode))
  }

  flush(): void {
    for (const [body, data] of this.#changed) {
      if (data === undefined) this.#delete.run(body)
      else {
        this.#put.run(body, data)
        this.#remember(body, data)
      }
    }
    this.#changed.clear()
  }

  #remember(body: number, data: Buffer): void {
    this.#cache.delete(body)
    this.#cache.set(body, data)
    if (this.#cache.size <= CACHE) return
    const [oldest] = this.#cache.keys()
    if (oldest !== undefined) this.#cache.delete(oldest)
  }

  /** After a rollback. */
  clear(): void {
    this.#cache.clear()
    this.#changed.clear()
  }
}
