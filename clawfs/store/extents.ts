/**
 * Table `extent`: which bytes of a file lie where. Extents of a file never overlap. One with segment 0 is unwritten:
 * reserved, reads as zeroes. A part of a record is named by `skip` bytes into its payload.
 */
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
  /** Where this extent's bytes begin in the payload. */
  readonly skip: number
}

type Row = [number, number, number, number, number, number]

const COLUMNS = "offset, length, segment, position, record, skip"

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
  readonly #floor: Query<[number, number], Row>
  readonly #range: Query<[number, number, number], Row>
  readonly #last: Query<[number], [number, number]>
  readonly #insert: Query<[number, ...Row]>
  readonly #delete: Query<[number, number]>
  readonly #deleteAll: Query<[number]>
  readonly #account: (segment: number, bytes: number) => void

  /** `account` hears of every byte that an extent gains or loses in a segment. */
  constructor(db: Database, account: (segment: number, bytes: number) => void) {
    this.#account = account
    this.#floor = db.query(
      `SELECT ${COLUMNS} FROM extent WHERE ino = ? AND offset < ? ORDER BY offset DESC LIMIT 1`,
    )
    this.#range = db.query(
      `SELECT ${COLUMNS} FROM extent WHERE ino = ? AND offset >= ? AND offset < ? ORDER BY offset`,
    )
    this.#last = db.query("SELECT offset, length FROM extent WHERE ino = ? ORDER BY offset DESC LIMIT 1")
    this.#insert = db.query(`INSERT INTO extent (ino, ${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)`)
    this.#delete = db.query("DELETE FROM extent WHERE ino = ? AND offset = ?")
    this.#deleteAll = db.query("DELETE FROM extent WHERE ino = ?")
  }

  /** An upper bound of where extents reach; a read of the table only the first time. */
  end(inode: Inode): number {
    if (inode.extentsEnd < 0) {
      const last = inode.alloc > inode.inlineLength ? this.#last.get(inode.ino) : undefined
      inode.extentsEnd = last === undefined ? 0 : last[0] + last[1]
    }
    return inode.extentsEnd
  }

  /** Extents that overlap `[start, end)`, clipped to it, in order. */
  within(inode: Inode, start: number, end: number): Extent[] {
    return this.#overlapping(inode, start, end).map((extent) => clip(extent, start, end))
  }

  #overlapping(inode: Inode, start: number, end: number): Extent[] {
    if (start >= this.end(inode) || start >= end) return []
    const found = this.#range.all(inode.ino, start, end).map(fromRow)
    const before = this.#floor.get(inode.ino, start)
    const floor = before === undefined ? undefined : fromRow(before)
    if (floor !== undefined && endOf(floor) > start) found.unshift(floor)
    return found
  }

  /** Adds an extent where none is. */
  insert(inode: Inode, extent: Extent): void {
    inode.extentsEnd = Math.max(this.end(inode), endOf(extent))
    this.#put(inode, extent)
    inode.alloc += extent.length
    if (extent.segment !== 0) this.#account(extent.segment, extent.length)
  }

  /** Takes `[start, end)` out of the file's extents, splitting those that reach over an edge. */
  remove(inode: Inode, start: number, end: number): void {
    for (const extent of this.#overlapping(inode, start, end)) {
      const gone = clip(extent, start, end)
      this.#delete.run(inode.ino, extent.offset)
      if (extent.offset < start) this.#put(inode, clip(extent, extent.offset, start))
      if (endOf(extent) > end) this.#put(inode, clip(extent, end, endOf(extent)))
      inode.alloc -= gone.length
      if (gone.segment !== 0) this.#account(gone.segment, -gone.length)
    }
  }

  /** All of them, of a file that goes away. */
  removeAll(inode: Inode): void {
    for (const extent of this.#overlapping(inode, 0, Number.MAX_SAFE_INTEGER)) {
      inode.alloc -= extent.length
      if (extent.segment !== 0) this.#account(extent.segment, -extent.length)
    }
    this.#deleteAll.run(inode.ino)
    inode.extentsEnd = 0
  }

  #put(inode: Inode, e: Extent): void {
    this.#insert.run(inode.ino, e.offset, e.length, e.segment, e.position, e.record, e.skip)
  }
}

function fromRow([offset, length, segment, position, record, skip]: Row): Extent {
  return { offset, length, segment, position, record, skip }
}
