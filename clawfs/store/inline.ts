/**
 * Table `inline`: at most one piece of a body lives in the database itself, committed together with its size. For a
 * small file that is all of it; for a growing one it is the tail, so that a log line does not cost a record.
 */
import { Fault } from "../core/fault.ts"
import { damagedRow, sumOfBytes, sumOfKey, type Sum } from "./checksum.ts"
import type { Database, Query } from "./database.ts"
import type { Inode } from "./inode.ts"

/** The longest piece, in bytes. Measured: up to 16–32 KiB the database beats a record (shared/reference/fuse.md §2). */
export const INLINE_MAX = 16 * 1024

const EMPTY = Buffer.alloc(0)
/** Pieces kept in memory, with what lies beside them (`piece-memory.ts`): 4 MiB at most. An appending program reads its piece back before every write. */
const CACHE = 128

/** How a piece is stored that is not stored as it is; `offset`: where in the file it begins. */
export interface PieceCoding {
  /** Valid until it encodes another. */
  encode(offset: number, data: Buffer): Buffer
  decode(offset: number, stored: Buffer): Buffer
}

interface Change {
  readonly data: Buffer
  /** Undefined: it is stored as it is. */
  readonly coding: PieceCoding | undefined
  readonly offset: number
  /** CRC-32 of `data`; undefined: not made yet. */
  readonly sum: number | undefined
}

export class InlinePieces {
  readonly #codingOf: (inode: Inode) => PieceCoding | undefined
  readonly #cache = new Map<number, Buffer>()
  /** Changed in this transaction: the new piece, or undefined where none is left. Written once, when it is committed. */
  readonly #changed = new Map<number, Change | undefined>()
  readonly #select: Query<[number], [Buffer, Sum]>
  readonly #put: Query<[number, Buffer, number]>
  readonly #delete: Query<[number]>

  constructor(db: Database, codingOf: (inode: Inode) => PieceCoding | undefined) {
    this.#codingOf = codingOf
    this.#select = db.query("SELECT data, sum FROM inline WHERE body = ?")
    this.#put = db.query("INSERT OR REPLACE INTO inline (body, data, sum) VALUES (?, ?, ?)")
    this.#delete = db.query("DELETE FROM inline WHERE body = ?")
  }

  get(inode: Inode): Buffer {
    if (inode.inlineLength === 0) return EMPTY
    const cached = this.#changed.get(inode.body)?.data ?? this.#cache.get(inode.body)
    if (cached !== undefined) return cached
    const [stored, sum] = this.#select.get(inode.body) ?? []
    if (stored === undefined || sum !== sumOfBytes(inode.body, stored))
      throw damagedRow(`the inline piece of inode ${inode.ino}`)
    const data = this.#codingOf(inode)?.decode(inode.inlineOffset, stored) ?? stored
    // Fewer bytes than the inode says would leave somebody else's in the reply.
    if (data.length !== inode.inlineLength)
      throw new Fault("corrupt", `the inline piece of inode ${inode.ino} is not as long as it should be`)
    this.#remember(inode.body, data)
    return data
  }

  /** Replaces the piece; `data` is kept, `sum` is its CRC-32 if that is known. An empty piece is no piece. */
  set(inode: Inode, offset: number, data: Buffer, sum?: number): void {
    if (data.length === 0) {
      this.drop(inode)
      return
    }
    inode.alloc += data.length - inode.inlineLength
    inode.inlineOffset = offset
    inode.inlineLength = data.length
    this.#note(inode, inode.body, data, sum)
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
    if (inode.inlineLength > 0) this.#note(inode, body, this.get(inode))
  }

  #note(inode: Inode, body: number, data: Buffer, sum?: number): void {
    const coding = this.#codingOf(inode)
    this.#changed.set(body, { data, coding, offset: inode.inlineOffset, sum })
  }

  /** Part of every commit. Most checksums are made here: once, however often a piece was changed. */
  flush(): void {
    for (const [body, change] of this.#changed) {
      if (change === undefined) this.#delete.run(body)
      else {
        const { data, coding, offset, sum } = change
        const stored = coding?.encode(offset, data) ?? data
        const isSummed = coding === undefined && sum !== undefined
        this.#put.run(body, stored, isSummed ? sum ^ sumOfKey(body) : sumOfBytes(body, stored))
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

  /** Nothing of any piece stays in memory, where nothing is left to be written. */
  wipe(): void {
    for (const data of this.#cache.values()) data.fill(0)
    this.#cache.clear()
  }

  /** After a rollback. */
  clear(): void {
    this.#cache.clear()
    this.#changed.clear()
  }
}
