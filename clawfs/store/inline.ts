/**
 * Table `inline`: at most one piece of a file lives in the database itself, committed together with its size. For a
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
    this.#select = db.query("SELECT data FROM inline WHERE ino = ?")
    this.#put = db.query("INSERT OR REPLACE INTO inline (ino, data) VALUES (?, ?)")
    this.#delete = db.query("DELETE FROM inline WHERE ino = ?")
  }

  get(inode: Inode): Buffer {
    if (inode.inlineLength === 0) return EMPTY
    const cached = this.#changed.get(inode.ino) ?? this.#cache.get(inode.ino)
    if (cached !== undefined) return cached
    const data = this.#select.get(inode.ino)?.[0] ?? EMPTY
    // Fewer bytes than the inode says would leave somebody else's in the reply.
    if (data.length !== inode.inlineLength)
      throw new Fault("corrupt", `the inline piece of inode ${inode.ino} is not as long as it should be`)
    this.#remember(inode.ino, data)
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
    this.#changed.set(inode.ino, data)
  }

  drop(inode: Inode): void {
    if (inode.inlineLength === 0) return
    inode.alloc -= inode.inlineLength
    inode.inlineOffset = 0
    inode.inlineLength = 0
    this.#changed.set(inode.ino, undefined)
    this.#cache.delete(inode.ino)
  }

  flush(): void {
    for (const [ino, data] of this.#changed) {
      if (data === undefined) this.#delete.run(ino)
      else {
        this.#put.run(ino, data)
        this.#remember(ino, data)
      }
    }
    this.#changed.clear()
  }

  #remember(ino: number, data: Buffer): void {
    this.#cache.delete(ino)
    this.#cache.set(ino, data)
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
