/**
 * The segment log: append-only files `segments/NNNNNNNN.seg` of some 64 MiB. Nothing in them is ever overwritten, so a
 * crash can only lose an end that no committed extent points to. Live bytes are counted by segment (table `segment`);
 * one without any is deleted once the commit that emptied it is durable.
 */
import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  openSync,
  readSync,
  statSync,
  statfsSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from "node:fs"
import { E } from "../core/errno.ts"
import { Fault, describe, errnoOfThrown } from "../core/fault.ts"
import { checked, sysFault } from "../sys/ffi.ts"
import { HeldDirectory } from "../sys/held-directory.ts"
import { ftruncate, pwritev } from "../sys/libc.ts"
import { damagedRow, moved, sumOfPart } from "./checksum.ts"
import type { Counters } from "./counters.ts"
import type { Database, Query } from "./database.ts"
import { logPosition, positionOf, segmentOf } from "./log-position.ts"
import { SEGMENT_HEADER, decodeSegmentHeader, encodeSegmentHeader } from "./log-scan.ts"
import {
  NO_NONCE,
  RECORD_HEADER,
  cut,
  encodeHead,
  encodeRecordHeader,
  putChecksum,
  type RecordContent,
  type RecordPlace,
} from "./record.ts"
import { Iovec, MOST_RECORDS, RecordReads } from "./record-reads.ts"
import { recordWorker, type RecordJob } from "../../keyring/record-jobs.ts"
import { rewriteLog } from "./rewrite.ts"
import { segmentIds, segmentPath } from "./segment-files.ts"

const SEGMENT_LIMIT = 64 * 1024 * 1024
const SEGMENT_LIMIT_LEAST = 4 * 1024 * 1024
/** A segment is emptied as a whole, which takes room: on a small disk it is no more than this part. */
const DISK_SHARE = 1 / 32
/** A dead segment that is still being filled is given up from this size on. */
const RETIRE_BYTES = 1024 * 1024
const OPEN_FILES = 128

export interface Placement {
  readonly segment: number
  readonly position: number
}

/** A record that was appended. */
export interface Placed {
  /** Of the bytes that were given. */
  readonly length: number
  /** Of the payload: the same, unless it was encoded. */
  readonly stored: number
  readonly isEncoded: boolean
  readonly place: RecordPlace
}

/** How a payload is stored. */
export interface Encoded extends Pick<RecordContent, "flags" | "key" | "nonce"> {
  readonly payload: Buffer
  /** Makes the payload, and is still to be done: of all records of a write together. */
  readonly job?: RecordJob
}

/** Encodes the bytes of one record; undefined: they are stored as they are. */
export type Encode = (
  record: { readonly offset: number; readonly sequence: number },
  data: Buffer,
) => Encoded | undefined

export class Segments implements Disposable {
  readonly #directory: string
  readonly #held: HeldDirectory
  readonly #uuid: Buffer
  readonly #counters: Counters
  readonly #readOnly: boolean
  readonly #live = new Map<number, number>()
  /** As it stands in the table. */
  readonly #rows = new Map<number, number>()
  readonly #changed = new Set<number>()
  readonly #files = new Map<number, number>()
  /** Lengths of segments that are complete. */
  readonly #sizes = new Map<number, number>()
  readonly #headers = Buffer.allocUnsafeSlow(MOST_RECORDS * RECORD_HEADER)
  readonly #iovec = new Iovec(2 * MOST_RECORDS)
  /** Reads and verifies records. */
  readonly records = new RecordReads((id) => this.#file(id))
  readonly #save: Query<[number, number]>
  readonly #drop: Query<[number]>
  readonly #select: Query<[], [number, number]>
  readonly #limit: number
  /** Emptied by commits of an earlier server, which was killed before it had deleted them. */
  readonly #strays: number[] = []
  #current = 0
  /** Where the current segment ends; 0 when that is not known. */
  #tail = 0
  /** Bytes of the longest one, without the current. */
  #largest = 0
  /** Nothing more is appended to the current segment. */
  #isFull = true
  /** A segment's file without a header that could not be removed. */
  #abandoned: string | undefined

  constructor(db: Database, directory: string, uuid: Buffer, counters: Counters, readOnly: boolean) {
    this.#directory = directory
    this.#held = new HeldDirectory(directory)
    this.#uuid = uuid
    this.#counters = counters
    this.#readOnly = readOnly
    this.#limit = limitFor(directory)
    this.#save = db.query("INSERT OR REPLACE INTO segment (id, live) VALUES (?, ?)")
    this.#drop = db.query("DELETE FROM segment WHERE id = ?")
    this.#select = db.query("SELECT id, live FROM segment")
    try {
      this.reload()
      this.#requireRows()
      this.#current = this.#resumeAt()
      if (!readOnly) {
        this.#strays.push(...this.#withoutRows())
        for (const [id] of this.liveBytes()) this.#largest = Math.max(this.#largest, this.sizeOf(id))
      }
    } catch (thrown) {
      this[Symbol.dispose]()
      throw thrown
    }
  }

  /** Live bytes by segment as the last commit left them. */
  reload(): void {
    this.#live.clear()
    this.#changed.clear()
    this.#rows.clear()
    for (const [id, live] of this.#select.all()) {
      this.#live.set(id, live)
      this.#rows.set(id, live)
    }
  }

  #withoutRows(): number[] {
    return segmentIds(this.#directory).filter((id) => id < this.#current && !this.#rows.has(id))
  }

  /** A segment that counts too little would be deleted: nothing is done with a table that is damaged. */
  #requireRows(): void {
    let sum = 0
    for (const [id, live] of this.#rows) sum = moved(sum, sumOfPart(id, live), 0)
    if (sum !== this.#counters.segmentSum) throw damagedRow("the table of segments")
  }

  /** Writes or removes (`live` undefined) a row, and keeps the sum of all up. */
  #putRow(id: number, live: number | undefined): void {
    const before = this.#rows.get(id)
    const removed = before === undefined ? 0 : sumOfPart(id, before)
    this.#counters.segmentSum = moved(
      this.#counters.segmentSum,
      live === undefined ? 0 : sumOfPart(id, live),
      removed,
    )
    if (live === undefined) {
      this.#drop.run(id)
      this.#rows.delete(id)
    } else {
      this.#save.run(id, live)
      this.#rows.set(id, live)
    }
  }

  /**
   * Appending goes on where the last commit left the log; what was written behind it belongs to nothing and goes, whole
   * segments included. Without that knowledge (a store of format 1) it goes on behind the newest segment. A segment that
   * is missing, shorter than commits say, or without a header, counts as full: nothing may be written where something
   * else is looked for.
   */
  #resumeAt(): number {
    const { logEnd, lastSegment } = this.#counters
    if (logEnd > 0 && !this.#readOnly) this.#dropBehind(logEnd)
    const ids = segmentIds(this.#directory)
    const newest = Math.max(lastSegment, ...ids, ...this.#live.keys())
    if (newest === 0 || this.#readOnly) return newest
    if (!ids.includes(newest)) {
      // It was deleted, with nothing in it any more. The log still ends there, or it would end before what was synced.
      if (newest === segmentOf(logEnd)) this.#tail = positionOf(logEnd)
      return newest
    }
    try {
      const { size } = fstatSync(this.#file(newest))
      this.#isFull = newest === segmentOf(logEnd) && size < positionOf(logEnd)
      this.#tail = this.#isFull ? 0 : size
    } catch (thrown) {
      if (!(thrown instanceof Fault && thrown.kind === "corrupt")) throw thrown
    }
    return newest
  }

  #dropBehind(end: number): void {
    for (const id of segmentIds(this.#directory)) {
      const path = segmentPath(this.#directory, id)
      if (id > segmentOf(end)) unlinkSync(path)
      else if (id === segmentOf(end) && statSync(path).size > positionOf(end))
        truncateSync(path, positionOf(end))
    }
  }

  /** Where the log ends. */
  get end(): number {
    return this.#current === 0 ? 0 : logPosition(this.#current, this.#tail)
  }

  /**
   * Appends `data` as records of at most 128 KiB, cut where file offsets are multiples of it, with one write call.
   * Returns the place of each; the caller makes extents of them in the same transaction. A `Fault` from here is clean.
   */
  append(ino: number, offset: number, data: Buffer, encode?: Encode): Placed[] {
    return cleanly(() => this.#append(ino, offset, data, encode))
  }

  #append(ino: number, offset: number, data: Buffer, encode?: Encode): Placed[] {
    this.#makeRoom()
    const placed: Placed[] = []
    let [position, at] = [this.#tail, 0]
    const pieces = cut(offset, data.length)
    const jobs: { job: RecordJob; header: Buffer }[] = []
    // Held until it is written: the iovec knows its address alone.
    const payloads = pieces.map((length, index) => {
      const bytes = data.subarray(at, at + length)
      const sequence = this.#counters.nextSequence()
      const encoded = encode?.({ offset: offset + at, sequence }, bytes)
      const { payload, flags, key, nonce } = encoded ?? { payload: bytes, flags: 0, key: 0, nonce: NO_NONCE }
      const place = { segment: this.#current, position, sequence }
      const header = this.#headers.subarray(index * RECORD_HEADER, (index + 1) * RECORD_HEADER)
      const content = { ino, offset: offset + at, length: payload.length, plain: length, flags, key, nonce }
      const job = encoded?.job
      if (job === undefined) encodeRecordHeader(header, { ...content, ...place }, payload)
      else {
        job.sum = encodeHead(header, { ...content, ...place })
        jobs.push({ job, header })
      }
      this.#setIovec(index, header, payload)
      placed.push({ length, stored: payload.length, isEncoded: encoded !== undefined, place })
      position += RECORD_HEADER + payload.length
      at += length
      return payload
    })
    if (jobs.length > 0) {
      recordWorker().seal(jobs.map(({ job }) => job))
      for (const { job, header } of jobs) putChecksum(header, job.sum)
    }
    this.#writeAll(payloads.length, position - this.#tail)
    this.#tail = position
    return placed
  }

  /** Appends one record as it is, however its offset lies: a copy of another one, or of a part of it. */
  appendCopy(content: Omit<RecordContent, "length">, payload: Buffer): Placement {
    return cleanly(() => this.#appendCopy(content, payload))
  }

  #appendCopy(content: Omit<RecordContent, "length">, payload: Buffer): Placement {
    this.#makeRoom()
    const place = { segment: this.#current, position: this.#tail }
    const header = this.#headers.subarray(0, RECORD_HEADER)
    encodeRecordHeader(header, { ...content, length: payload.length, ...place }, payload)
    this.#setIovec(0, header, payload)
    this.#writeAll(1, RECORD_HEADER + payload.length)
    this.#tail += RECORD_HEADER + payload.length
    return place
  }

  #makeRoom(): void {
    if (this.#isFull || this.#tail >= this.#limit) this.#startSegment()
  }

  #setIovec(index: number, header: Buffer, payload: Buffer): void {
    this.#iovec.set(2 * index, header)
    this.#iovec.set(2 * index + 1, payload)
  }

  /** A short write means a full disk: what did fit is cut off again, as if nothing had been written. */
  #writeAll(records: number, bytes: number): void {
    const fd = this.#file(this.#current)
    const written = pwritev(fd, this.#iovec.bytes, 2 * records, this.#tail)
    if (written === bytes) return
    const failure =
      written < 0 ? sysFault("pwritev") : new Fault("no-space", "the disk below the store is full")
    checked("ftruncate", ftruncate(fd, this.#tail))
    throw failure
  }

  #startSegment(): void {
    const id = this.#current + 1
    const path = segmentPath(this.#directory, id)
    this.#held.requireHere()
    this.#removeAbandoned()
    const fd = this.#opened(path, "wx+")
    const header = encodeSegmentHeader({ id, uuid: this.#uuid, previousEnd: this.#tail })
    try {
      if (writeSync(fd, header, 0, header.length, 0) < header.length)
        throw new Fault("no-space", "the disk below the store is full")
    } catch (thrown) {
      closeSync(fd)
      this.#abandoned = path
      this.#tryToRemoveAbandoned()
      throw thrown
    }
    this.#remember(id, fd)
    this.#largest = this.largest
    this.#current = id
    this.#counters.lastSegment = id
    this.#tail = SEGMENT_HEADER
    this.#isFull = false
  }

  #removeAbandoned(): void {
    if (this.#abandoned !== undefined) unlinkSync(this.#abandoned)
    this.#abandoned = undefined
  }

  #tryToRemoveAbandoned(): void {
    try {
      this.#removeAbandoned()
    } catch {
      // A disk that fails may do so here as well. What has failed first is told; this is done before the next is made.
    }
  }

  /** Bytes that something points to, by segment; the one being filled is left out. */
  *liveBytes(): Generator<[id: number, live: number]> {
    for (const [id, live] of this.#live) if (id !== this.#current || this.#isFull) yield [id, live]
  }

  /** The segment that is being filled, if there is one. */
  get filling(): { readonly id: number; readonly live: number; readonly bytes: number } | undefined {
    if (this.#isFull || this.#current === 0) return undefined
    return { id: this.#current, live: this.#live.get(this.#current) ?? 0, bytes: this.#tail }
  }

  /** What is appended from now on goes into a new segment. */
  finishFilling(): void {
    this.#isFull = true
  }

  /** Length of the file of a segment that nothing is appended to; 0 for one that is missing. */
  sizeOf(id: number): number {
    const known = this.#sizes.get(id)
    if (known !== undefined) return known
    const size = statSync(segmentPath(this.#directory, id), { throwIfNoEntry: false })?.size ?? 0
    this.#sizes.set(id, size)
    return size
  }

  /** Bytes of the longest segment that there has been since the store was opened. */
  get largest(): number {
    return Math.max(this.#largest, this.#tail)
  }

  /** Forces the segments from number `first` on to the disk, whoever wrote them: a killed server leaves some behind. */
  syncAll(first = 0): void {
    this.#held.requireHere()
    for (const id of segmentIds(this.#directory).filter((each) => each >= first)) {
      const fd = openSync(segmentPath(this.#directory, id), "r")
      try {
        fdatasyncSync(fd)
      } finally {
        closeSync(fd)
      }
    }
  }

  /** After a failed sync: see `rewriteLog`. */
  rewrite(synced: number, end: number): void {
    this.#held.requireHere()
    rewriteLog(this.#directory, this.#uuid, synced, end)
  }

  /** Adds to (or takes from) the live bytes of a segment. */
  account(segment: number, bytes: number): void {
    this.#live.set(segment, (this.#live.get(segment) ?? 0) + bytes)
    this.#changed.add(segment)
  }

  /** Writes the changed counts; part of every commit. Returns segments that nothing points to any more. */
  save(): number[] {
    const dead = this.#strays.splice(0)
    // A server that was killed, or a batch that was rolled back, may have made a segment that no commit had heard of.
    this.#counters.lastSegment = Math.max(this.#counters.lastSegment, this.#current)
    for (const id of this.#changed) {
      const live = this.#live.get(id) ?? 0
      if (live > 0 || (id === this.#current && !this.#retire())) this.#putRow(id, live)
      else {
        this.#putRow(id, undefined)
        this.#live.delete(id)
        this.#sizes.delete(id)
        dead.push(id)
      }
    }
    this.#changed.clear()
    return dead
  }

  /** The newest segment is dead too: if that is worth a new file, nothing more is appended to it. */
  #retire(): boolean {
    if (this.#tail < RETIRE_BYTES) return false
    this.#isFull = true
    return true
  }

  #file(id: number): number {
    const open = this.#files.get(id)
    if (open !== undefined) return open
    const path = segmentPath(this.#directory, id)
    this.#held.requireHere()
    let fd: number
    try {
      fd = this.#opened(path, this.#readOnly ? "r" : "r+")
    } catch (cause) {
      const isLost = (cause as NodeJS.ErrnoException).code === "ENOENT"
      throw new Fault(isLost ? "corrupt" : "io", `segment ${id} can't be opened`, { cause })
    }
    this.#checkHeader(id, fd)
    this.#remember(id, fd)
    return fd
  }

  /** Where no more files may be open, those that are kept open only for later make room. */
  #opened(path: string, flags: string): number {
    try {
      return openSync(path, flags, 0o600)
    } catch (thrown) {
      const { code } = thrown as NodeJS.ErrnoException
      if ((code !== "EMFILE" && code !== "ENFILE") || this.#files.size === 0) throw thrown
      this.closeAll()
      return openSync(path, flags, 0o600)
    }
  }

  /** A segment of another store, or a file under a wrong name, is never read from. */
  #checkHeader(id: number, fd: number): void {
    const bytes = Buffer.alloc(SEGMENT_HEADER)
    const header = decodeSegmentHeader(bytes.subarray(0, readSync(fd, bytes, 0, SEGMENT_HEADER, 0)))
    if (header?.id === id && header.uuid.equals(this.#uuid)) return
    closeSync(fd)
    throw new Fault("corrupt", `segment ${id} has a damaged header or belongs to another store`)
  }

  #remember(id: number, fd: number): void {
    if (this.#files.size >= OPEN_FILES) {
      const [oldest] = this.#files
      if (oldest !== undefined) this.close(oldest[0])
    }
    this.#files.set(id, fd)
  }

  /** Closes a segment's file, which may be opened again. */
  close(id: number): void {
    const fd = this.#files.get(id)
    if (fd === undefined) return
    this.#files.delete(id)
    closeSync(fd)
  }

  closeAll(): void {
    for (const id of [...this.#files.keys()]) this.close(id)
  }

  [Symbol.dispose](): void {
    this.closeAll()
    this.#held[Symbol.dispose]()
  }
}

function limitFor(directory: string): number {
  const { blocks, bsize } = statfsSync(directory)
  return Math.min(SEGMENT_LIMIT, Math.max(SEGMENT_LIMIT_LEAST, blocks * bsize * DISK_SHARE))
}

/** A failed append has written nothing that anything points to. */
function cleanly<T>(append: () => T): T {
  try {
    return append()
  } catch (cause) {
    const kind = errnoOfThrown(cause) === E.ENOSPC ? "no-space" : "io"
    throw new Fault(kind, describe(cause), { cause, isClean: true })
  }
}
