/**
 * The one row of table `state`, written with every commit: totals that make statfs O(1), the next inode number, and
 * which request was executed last. One row, one page, whatever the operation.
 */
import type { NodeId } from "../core/brand.ts"
import type { Database, Query } from "./database.ts"

/** Which request made the last change that must not be executed twice, and what its answer needs: an inode or a count. */
export interface ReplyRecord {
  readonly uniqueLow: number
  readonly uniqueHigh: number
  readonly value: number
}

type Row = [
  ...[number, number, number, number, number, number, number],
  ...[number, number, number, number, number, number],
]

export class Counters {
  inodes = 0
  /** Sum of `alloc` over all inodes; of those that share their contents, one counts. */
  bytes = 0
  /** Number of the last committed batch: entries of the journal that belong to the next one are not in the database. */
  batch = 0
  /** The highest number that a segment ever had. */
  lastSegment = 0
  /** The log that this commit rests on, and what of it is known to be on the disk (`log-position.ts`); 0: not known. */
  logEnd = 0
  logSynced = 0
  /** Of table `feed`: see `feed.ts`. */
  feedEpoch = 0
  feedLast = 0
  reply: ReplyRecord = { uniqueLow: 0, uniqueHigh: 0, value: 0 }
  #nextIno = 0
  #sequence = 0
  readonly #select: Query<[], Row>
  readonly #update: Query<Row>

  constructor(db: Database) {
    const columns = [
      "next_ino",
      "inodes",
      "bytes",
      "sequence",
      "batch",
      "last_segment",
      "reply_low",
      "reply_high",
      "reply_value",
      "log_end",
      "log_synced",
      "feed_epoch",
      "feed_last",
    ]
    this.#select = db.query(`SELECT ${columns.join(", ")} FROM state WHERE id = 1`)
    this.#update = db.query(
      `UPDATE state SET ${columns.map((name) => `${name} = ?`).join(", ")} WHERE id = 1`,
    )
    this.load()
  }

  load(): void {
    const row = this.#select.get()
    if (row === undefined) return
    let uniqueLow: number, uniqueHigh: number, value: number
    ;[
      this.#nextIno,
      this.inodes,
      this.bytes,
      this.#sequence,
      this.batch,
      this.lastSegment,
      uniqueLow,
      uniqueHigh,
      value,
      this.logEnd,
      this.logSynced,
      this.feedEpoch,
      this.feedLast,
    ] = row
    this.reply = { uniqueLow, uniqueHigh, value }
  }

  save(): void {
    const { uniqueLow, uniqueHigh, value } = this.reply
    this.#update.run(
      this.#nextIno,
      this.inodes,
      this.bytes,
      this.#sequence,
      this.batch,
      this.lastSegment,
      uniqueLow,
      uniqueHigh,
      value,
      this.logEnd,
      this.logSynced,
      this.feedEpoch,
      this.feedLast,
    )
  }

  /** A number that no inode of this store ever had. */
  allocateIno(): NodeId {
    const ino = this.#nextIno
    this.#nextIno += 1
    return ino as NodeId
  }

  /** `count` numbers in a row that no inode of this store ever had; returns the first. */
  allocateInos(count: number): number {
    const first = this.#nextIno
    this.#nextIno += count
    return first
  }

  /** Orders the records of the log: a higher number is newer. */
  nextSequence(): number {
    this.#sequence += 1
    return this.#sequence
  }
}
