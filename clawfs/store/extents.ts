/**
 * Table `extent`: which bytes of a body lie where. Extents of a body never overlap. One with segment 0 is unwritten:
 * reserved, reads as zeroes. A part of a record is named by `skip` bytes into its payload, decoded where it is encoded.
 */
import type { Fault } from "../core/fault.ts"
import { damagedRow, moved, sumOf, sumOfKey, sumOfPart } from "./checksum.ts"
import type { Database, Query } from "./database.ts"
import type { Inode } from "./inode.ts"

export interface Extent {
  readonly offset: number
  readonly length: number
  /** 0: unwritten. */
  readonly segment: number
  readonly position: number
  /** Payload length of the whole record. */
  readonly record: number
  /** Where this extent's bytes begin in the decoded payload. */
  readonly skip: number
  /** Length of the decoded payload; 0: it is stored as it is. */
  readonly plain: number
  /** The record's sequence number; 0: not known. */
  readonly sequence: number
}

/** What an extent says of the log when nothing has been written. */
export const UNWRITTEN = { segment: 0, position: 0, record: 0, skip: 0, plain: 0, sequence: 0 } as const

type Row = [number, number, number, number, number, number, number, number]
type SummedRow = [...Row, sum: number | null]

/** All but the key's first column and the checksum. */
export const EXTENT_COLUMNS = "offset, length, segment, position, record, skip, plain, sequence"

/**
 * Bytes of its segment that an extent keeps alive. Of an encoded record that is its share of the payload; the shares of
 * all parts of a record add up to the whole, wherever it is cut.
 */
export function storedBytes({
  length,
  record,
  skip,
  plain,
}: Pick<Extent, "length" | "record" | "skip" | "plain">): number {
  if (plain === 0) return length
  return Math.floor(((skip + length) * record) / plain) - Math.floor((skip * record) / plain)
}

/** Rows that are read at once to see whether they are all there. */
const PAGE = 10_000

export function endOf(extent: Extent): number {
  return extent.offset + extent.length
}

/** The part of an extent that lies within `[start, end)`; the ranges must overlap. */
export function clip(extent: Extent, start: number, end: number): Extent {
  const offset = Math.max(extent.offset, start)
  const skip = extent.segment === 0 ? 0 : extent.skip + (offset - extent.offset)
  return { ...extent, offset, length: Math.min(endOf(extent), end) - offset, skip }
}

export class Extents {
  readonly #floor: Query<[number, number], SummedRow>
  readonly #range: Query<[number, number, number], SummedRow>
  readonly #places: Query<[number, number, number], [number, number]>
  readonly #last: Query<[number], [number, number]>
  readonly #isAt: Query<[number, number], [number]>
  readonly #insert: Query<[number, ...SummedRow]>
  readonly #delete: Query<[number, number]>
  readonly #deleteAll: Query<[number]>
  readonly #copy: Query<[number, number, number, number]>
  readonly #account: (segment: number, bytes: number) => void

  /** `account` hears of every byte that an extent gains or loses in a segment. */
  constructor(db: Database, account: (segment: number, bytes: number) => void) {
    this.#account = account
    this.#floor = db.query(
      `SELECT ${EXTENT_COLUMNS}, sum FROM extent WHERE body = ? AND offset < ? ORDER BY offset DESC LIMIT 1`,
    )
    this.#places = db.query(
      "SELECT offset, length FROM extent WHERE body = ? AND offset > ? ORDER BY offset LIMIT ?",
    )
    this.#range = db.query(
      `SELECT ${EXTENT_COLUMNS}, sum FROM extent WHERE body = ? AND offset >= ? AND offset < ? ORDER BY offset`,
    )
    this.#last = db.query("SELECT offset, length FROM extent WHERE body = ? ORDER BY offset DESC LIMIT 1")
    this.#isAt = db.query("SELECT 1 FROM extent WHERE body = ? AND offset = ?")
    this.#insert = db.query(
      `INSERT INTO extent (body, ${EXTENT_COLUMNS}, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    )
    this.#delete = db.query("DELETE FROM extent WHERE body = ? AND offset = ?")
    this.#copy = db.query(
      `INSERT INTO extent (body, ${EXTENT_COLUMNS}, sum)
       SELECT ?, ${EXTENT_COLUMNS}, (sum | ?) - (sum & ?) FROM extent WHERE body = ?`,
    )
    this.#deleteAll = db.query("DELETE FROM extent WHERE body = ?")
  }

  /** An upper bound of where extents reach; a read of the table only the first time. */
  end(inode: Inode): number {
    if (inode.extentsEnd < 0) {
      const last = inode.alloc > inode.inlineLength ? this.#last.get(inode.body) : undefined
      inode.extentsEnd = last === undefined ? 0 : last[0] + last[1]
    }
    return inode.extentsEnd
  }

  /** Extents that overlap `[start, end)`, clipped to it, in order. */
  within(inode: Inode, start: number, end: number): Extent[] {
    const found = this.#overlapping(inode, start, end).map((extent) => clip(extent, start, end))
    if (inode.isWhole || covers(found, start, end)) return found
    const count = this.#requireWhole(inode, start, end)
    if (count !== found.length) throw notFound(inode)
    return found
  }

  /**
   * Throws `Fault("corrupt")` unless all extents are there, and are found: where none is found there may have been one. Reads
   * them once; afterwards the sum is kept up with every change. Returns how many overlap `[start, end)`.
   */
  #requireWhole(inode: Inode, start: number, end: number): number {
    let [overlapping, sum, last] = [0, 0, 0]
    const hasAny = inode.alloc > inode.inlineLength
    for (const [offset, length] of hasAny ? this.#walk(inode.body) : []) {
      // A damaged row of another body, or an inner page, leads a search astray that a walk from row to row does not see.
      if (this.#isAt.get(inode.body, offset) === undefined) throw notFound(inode)
      if (offset < end && offset + length > start) overlapping += 1
      last = Math.max(last, offset + length)
      sum = moved(sum, sumOfPart(offset, length), 0)
    }
    if (hasAny && (sum !== inode.partSum || last > this.end(inode))) throw notFound(inode)
    inode.isWhole = true
    return overlapping
  }

  /** Where all extents of a body are, in order. */
  *#walk(body: number): Generator<[offset: number, length: number]> {
    for (let after = -1; ;) {
      const rows = this.#places.all(body, after, PAGE)
      yield* rows
      after = rows.at(-1)?.[0] ?? 0
      if (rows.length < PAGE) return
    }
  }

  #overlapping(inode: Inode, start: number, end: number): Extent[] {
    if (start >= this.end(inode) || start >= end) return []
    const found = this.#range.all(inode.body, start, end).map((row) => fromRow(inode, row))
    const before = this.#floor.get(inode.body, start)
    const floor = before === undefined ? undefined : fromRow(inode, before)
    if (floor !== undefined && endOf(floor) > start) found.unshift(floor)
    return found
  }

  /** Adds an extent where none is. */
  insert(inode: Inode, extent: Extent): void {
    inode.extentsEnd = Math.max(this.end(inode), endOf(extent))
    this.#put(inode, extent)
    inode.alloc += extent.length
    if (extent.segment !== 0) this.#account(extent.segment, storedBytes(extent))
  }

  /** Takes `[start, end)` out of the file's extents, splitting those that reach over an edge. */
  remove(inode: Inode, start: number, end: number): void {
    for (const extent of this.#overlapping(inode, start, end)) {
      const gone = clip(extent, start, end)
      this.#delete.run(inode.body, extent.offset)
      inode.partSum = moved(inode.partSum, 0, sumOfPart(extent.offset, extent.length))
      if (extent.offset < start) this.#put(inode, clip(extent, extent.offset, start))
      if (endOf(extent) > end) this.#put(inode, clip(extent, end, endOf(extent)))
      inode.alloc -= gone.length
      if (gone.segment !== 0) this.#account(gone.segment, -storedBytes(gone))
    }
  }

  /** Gives the inode's extents to `body` too. */
  copy(inode: Inode, body: number): void {
    if (inode.alloc === inode.inlineLength) return
    // The sum of a row with another key, by XOR, which SQL spells like that.
    const change = sumOfKey(body) ^ sumOfKey(inode.body)
    this.#copy.run(body, change, change, inode.body)
    for (const extent of this.#overlapping(inode, 0, Number.MAX_SAFE_INTEGER))
      if (extent.segment !== 0) this.#account(extent.segment, storedBytes(extent))
  }

  /** All of them, of a file that goes away. */
  removeAll(inode: Inode): void {
    for (const extent of this.#overlapping(inode, 0, Number.MAX_SAFE_INTEGER)) {
      inode.alloc -= extent.length
      if (extent.segment !== 0) this.#account(extent.segment, -storedBytes(extent))
    }
    this.#deleteAll.run(inode.body)
    inode.extentsEnd = 0
    inode.partSum = 0
  }

  #put(inode: Inode, extent: Extent): void {
    const row = toRow(extent)
    this.#insert.run(inode.body, ...row, sumOfExtent(inode.body, row))
    inode.partSum = moved(inode.partSum, sumOfPart(extent.offset, extent.length), 0)
  }
}

function notFound({ ino }: Inode): Fault {
  return damagedRow(`the list of extents of inode ${ino}`)
}

/** Whether nothing between `start` and `end` is left over; the extents are in order. */
function covers(extents: readonly Extent[], start: number, end: number): boolean {
  let at = start
  for (const extent of extents) {
    if (extent.offset > at) return false
    at = endOf(extent)
  }
  return at >= end
}

/** The checksum of a row without its last column. */
export function sumOfExtent(body: number, row: readonly (number | null)[]): number {
  return sumOf(body, row)
}

export function toRow(e: Extent): Row {
  return [e.offset, e.length, e.segment, e.position, e.record, e.skip, e.plain, e.sequence]
}

/** Throws `Fault("corrupt")` for a row that is not as it was written. */
function fromRow(inode: Inode, row: SummedRow): Extent {
  const sum = row.pop() as number | null
  if (sum !== sumOfExtent(inode.body, row)) throw damagedRow(`an extent of inode ${inode.ino}`)
  const [offset, length, segment, position, record, skip, plain, sequence] = row
  return { offset, length, segment, position, record, skip, plain, sequence }
}
