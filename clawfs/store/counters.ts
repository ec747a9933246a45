/**
 * The one row of table `state`, written with every commit: totals that make statfs O(1), the next inode number, and
 * which request was executed last. One row, one page, whatever the operation.
 */
import type { NodeId } from "../core/brand.ts"
import { damagedRow, sumOf, type Sum } from "./checksum.ts"
import type { Database, Query, Value } from "./database.ts"

/** Which request made the last change that must not be executed twice, and what its answer needs: an inode or a count. */
export interface ReplyRecord {
  readonly uniqueLow: number
  readonly uniqueHigh: number
  readonly value: number
}

type Sums = [segments: number, shared: number, snapshots: number, schedules: number]
type Row = [
  ...[number, number, number, number, number, number, number],
  ...[number, number, number, number, number, number],
]

/** All but the key and the checksums. */
export const STATE_COLUMNS = `next_ino, inodes, bytes, sequence, batch, last_segment, reply_low, reply_high, reply_value,
  log_end, log_synced, feed_epoch, feed_last`

/** Sums over all rows of a table each (`checksum.ts`). */
export const SET_SUM_COLUMNS = "segment_sum, shared_sum, snapshot_sum, schedule_sum"
const SET_SUMS = 4

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
  /** Over the rows of tables `segment`, `shared`, `snapshot` and `snapshot_schedule`; kept up by whoever changes these. */
  segmentSum = 0
  sharedSum = 0
  snapshotSum = 0
  scheduleSum = 0
  reply: ReplyRecord = { uniqueLow: 0, uniqueHigh: 0, value: 0 }
  #nextIno = 0
  #sequence = 0
  readonly #select: Query<[], [...Sums, ...Row, sum: Sum]>
  readonly #update: Query<Value[]>

  constructor(db: Database) {
    const all = `${SET_SUM_COLUMNS}, ${STATE_COLUMNS}, sum`
    this.#select = db.query(`SELECT ${all} FROM state WHERE id = 1`)
    const columns = all.split(",").map((name) => name.trim())
    this.#update = db.query(
      `UPDATE state SET ${columns.map((name) => `${name} = ?`).join(", ")} WHERE id = 1`,
    )
    this.load()
  }

  load(): void {
    const all = this.#select.get()
    if (all === undefined) throw damagedRow("the row of totals")
    const row = [...all]
    const sum = row.pop()
    if (sum !== sumOf(1, row)) throw damagedRow("the row of totals")
    ;[this.segmentSum, this.sharedSum, this.snapshotSum, this.scheduleSum] = row as Sums
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
    ] = row.slice(SET_SUMS) as Row
    this.reply = { uniqueLow, uniqueHigh, value }
  }

  save(): void {
    const { uniqueLow, uniqueHigh, value } = this.reply
    const row = [
      this.segmentSum,
      this.sharedSum,
      this.snapshotSum,
      this.scheduleSum,
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
    ]
    this.#update.run(...row, sumOf(1, row))
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
