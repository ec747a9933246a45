/**
 * Gives the dead bytes of the log back: the records of the emptiest segment that something still points to are appended
 * again, all extents that point to them follow, and the segment, now empty, is deleted once that is on the disk. Between
 * any two records it may stop, or be killed: old and new copy are both whole, and the extents name one of them.
 *
 * The segment that gives most bytes back for each that is copied goes first (Rosenblum and Ousterhout, "The Design and
 * Implementation of a Log-Structured File System", 1992, section 3.5, without the age).
 */
import { Fault, describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import type { Database, Query } from "./database.ts"
import { storedBytes, sumOfExtent, toRow } from "./extents.ts"
import { NO_NONCE, RECORD_HEADER, type RecordHeader } from "./record.ts"
import type { RecordRead } from "./record-reads.ts"
import type { Encode, Segments } from "./segments.ts"

/** In the background, a segment with more live bytes than this part of it is left alone. */
const MAX_LIVE = 0.8
/** Where all is asked for, a segment is copied that gives back this part of what it costs: more than its headers. */
const MIN_GAIN = 0.02
/** ... and the one that is being filled if so many bytes come back, which is worth a new file. */
const FILLING_GAIN = 1024 * 1024
/** So many dead bytes may always be there: a store that is used a little should not be copied around for them. */
const SLACK_BYTES = 64 * 1024 * 1024
/** A short record takes as long to move as so many bytes. */
const RECORD_COST = 4096
/** Above the slack, dead bytes may be this part of the live ones. */
const SLACK_SHARE = 0.25

interface Pointer {
  readonly body: number
  readonly offset: number
  readonly length: number
  readonly record: number
  readonly skip: number
  readonly plain: number
  readonly sequence: number
}

type PointerRow = [number, number, number, number, number, number, number]

/** The part of a decoded payload from `from` to `to` that something points to. */
interface Run {
  readonly from: number
  to: number
  readonly pointers: Pointer[]
}

/** Decodes a record of a body and encodes parts of it. */
export interface Recoding {
  decode(header: RecordHeader, payload: Buffer): Buffer
  readonly encode: Encode
}

/** Undefined where that is not possible now: then only whole records are moved. */
export type RecodingOf = (header: RecordHeader, body: number) => Recoding | undefined

/** Of the segments that nothing is appended to. */
export interface LogSpace {
  /** Bytes that extents point to; shared ones count for each. */
  readonly live: number
  /** Bytes of the files that nothing points to. */
  readonly dead: number
}

export class Cleaner {
  readonly #segments: Segments
  readonly #log: Log | undefined
  readonly #next: Query<[number, number], [number | null]>
  readonly #records: Query<[number], [number]>
  readonly #pointers: Query<[number, number], PointerRow>
  readonly #move: Query<[number, number, number, number, number, number, number, number]>
  readonly #recodingOf: RecodingOf
  /** Segments with a record that can't be moved: a damaged one, for fsck to tell of, or a part of one that can't be decoded. */
  readonly #stuck = new Set<number>()
  /** By segment, as long as as much of it is live. */
  readonly #headers = new Map<number, { live: number; bytes: number }>()
  #victim: number | undefined
  #position = 0
  #wantsAll = false

  constructor(db: Database, segments: Segments, recodingOf: RecodingOf, log?: Log) {
    this.#segments = segments
    this.#recodingOf = recodingOf
    this.#log = log
    this.#next = db.query(
      "SELECT min(position) FROM extent WHERE segment = ? AND position > ? AND segment != 0",
    )
    this.#records = db.query("SELECT count(DISTINCT position) FROM extent WHERE segment = ? AND segment != 0")
    this.#pointers = db.query(
      `SELECT body, offset, length, record, skip, plain, sequence FROM extent
       WHERE segment = ? AND position = ? AND segment != 0`,
    )
    this.#move = db.query(
      "UPDATE extent SET segment = ?, position = ?, record = ?, skip = ?, plain = ?, sum = ? WHERE body = ? AND offset = ?",
    )
  }

  space(): LogSpace {
    let [live, dead] = [0, 0]
    for (const [id, bytes] of this.#segments.liveBytes()) {
      live += bytes
      dead += Math.max(0, this.#segments.sizeOf(id) - bytes)
    }
    return { live, dead }
  }

  /** As `space`, with the segment that is being filled. */
  wholeSpace(): LogSpace {
    const { live, dead } = this.space()
    const filling = this.#segments.filling ?? { live: 0, bytes: 0 }
    return { live: live + filling.live, dead: dead + Math.max(0, filling.bytes - filling.live) }
  }

  /**
   * Whether so much is dead that work in the background pays. `room`: bytes that copies may take. With a limit, the disk is
   * full: then every dead byte counts, and a segment whose live ones fit is emptied as a whole, which gives back more than it
   * took.
   */
  isDue(room = Infinity): boolean {
    if (this.#wantsAll) return true
    if (room === Infinity) {
      const { live, dead } = this.space()
      if (dead <= SLACK_BYTES + SLACK_SHARE * live) return false
    }
    return this.#choose(room) !== undefined
  }

  /** Every segment that gives anything back counts from now on, until `step` finds none. */
  wantAll(): void {
    this.goOn()
    if (this.#paysToFinish()) this.#segments.finishFilling()
    this.retry()
  }

  /** The same without what `step` could not move: there is more room by now. */
  goOn(): void {
    this.#wantsAll = true
  }

  /** Whether the segment that is being filled is to be emptied too. */
  #paysToFinish(): boolean {
    const { id, live, bytes } = this.#segments.filling ?? { id: 0, live: 0, bytes: 0 }
    if (live === 0) return false
    const cost = live + this.#headersIn(id, live)
    return bytes - cost >= FILLING_GAIN && (bytes - cost) / cost > MIN_GAIN
  }

  /** What could not be moved is tried again: a tree has been unlocked. */
  retry(): void {
    this.#stuck.clear()
  }

  /**
   * Moves records of `bytes` or a little more, within the caller's transaction. Returns how many bytes were copied, short
   * records counting for what they cost; fewer than asked for when nothing is left to do. `room` as for `isDue`. A full disk is
   * a clean `Fault("no-space")`: what was moved before it stays.
   */
  step(bytes: number, room = Infinity): number {
    let moved = 0
    while (moved < bytes) {
      this.#victim ??= this.#start(room)
      if (this.#victim === undefined) {
        this.#wantsAll = false
        break
      }
      const position = this.#next.get(this.#victim, this.#position)?.[0]
      if (typeof position === "number") {
        moved += this.#moveRecord(this.#victim, position)
        this.#position = position
      } else this.#victim = undefined
    }
    return moved
  }

  #start(room: number): number | undefined {
    this.#position = 0
    return this.#choose(room)
  }

  /** Whether anything would pay to copy, were there room for it. */
  get hasMore(): boolean {
    return this.#choose(Infinity, true) !== undefined
  }

  #choose(room: number, isThorough = this.#wantsAll || room !== Infinity): number | undefined {
    const candidates: { id: number; live: number; gain: number }[] = []
    for (const [id, live] of this.#segments.liveBytes()) {
      if (live === 0 || this.#stuck.has(id)) continue
      const gain = this.#segments.sizeOf(id) / live
      if (live <= room && this.#pays(id, live, isThorough)) candidates.push({ id, live, gain })
    }
    candidates.sort((a, b) => b.gain - a.gain)
    return candidates.find(({ id, live }) => {
      const cost = live + this.#headersIn(id, live)
      return cost <= room && this.#pays(id, cost, isThorough)
    })?.id
  }

  /** Whether it pays to copy `cost` bytes out of a segment. */
  #pays(id: number, cost: number, isThorough: boolean): boolean {
    const size = this.#segments.sizeOf(id)
    return isThorough ? (size - cost) / cost > MIN_GAIN : cost <= MAX_LIVE * size
  }

  /** Bytes of the headers that a copy needs: where records are short they are much of a segment, and never come back. */
  #headersIn(id: number, live: number): number {
    const known = this.#headers.get(id)
    if (known?.live === live) return known.bytes
    const bytes = RECORD_HEADER * (this.#records.get(id)?.[0] ?? 0)
    this.#headers.set(id, { live, bytes })
    return bytes
  }

  #moveRecord(segment: number, position: number): number {
    const pointers = this.#pointers.all(segment, position).map(asPointer)
    const [first] = pointers
    if (first === undefined) return 0
    try {
      return this.#copy({ segment, position, length: first.record, sequence: first.sequence }, pointers)
    } catch (thrown) {
      if (!(thrown instanceof Fault && (thrown.kind === "corrupt" || thrown.kind === "unsupported")))
        throw thrown
      if (thrown.kind === "corrupt")
        this.#log?.error("a damaged record can't be moved", { segment, position, reason: describe(thrown) })
      this.#stuck.add(segment)
      return 0
    }
  }

  /**
   * Only what something points to is copied, each run of it as a record of its own; files that share the record go on
   * sharing it. The copies keep the record's sequence number, so that they do not look newer than they are.
   */
  #copy(record: RecordRead, pointers: readonly Pointer[]): number {
    const { header, payload } = this.#segments.records.readRecord(record)
    const runs = liveRuns(pointers)
    const [first] = runs
    if (first?.from === 0 && first.to === header.plain) {
      this.#place(record, header, first, payload)
      return Math.max(RECORD_COST, payload.length)
    }
    const body = pointers[0]?.body ?? 0
    const coding = header.flags === 0 ? undefined : this.#recodingOf(header, body)
    if (header.flags !== 0 && coding === undefined)
      throw new Fault("unsupported", "a part of an encoded record can't be moved")
    const plain = coding?.decode(header, payload) ?? payload
    let moved = 0
    for (const run of runs) {
      const data = plain.subarray(run.from, run.to)
      const offset = header.offset + run.from
      const encoded = coding?.encode({ offset, sequence: header.sequence }, data)
      const { payload: stored, ...how } = encoded ?? { payload: data, ...UNENCODED }
      this.#place(record, { ...header, ...how, offset, plain: data.length }, run, stored)
      moved += Math.max(RECORD_COST, data.length)
    }
    return moved
  }

  /** Appends a run, stored as `payload`, and lets all that points to it follow. */
  #place(from: RecordRead, header: RecordHeader, run: Run, payload: Buffer): void {
    const place = this.#segments.appendCopy(header, payload)
    const record = payload.length
    const plain = header.flags === 0 ? 0 : header.plain
    for (const pointer of run.pointers) {
      const { body, offset } = pointer
      const skip = pointer.skip - run.from
      const sum = sumOfExtent(body, toRow({ ...pointer, ...place, record, skip, plain }))
      this.#move.run(place.segment, place.position, record, skip, plain, sum, body, offset)
      this.#segments.account(from.segment, -storedBytes(pointer))
      this.#segments.account(place.segment, storedBytes({ ...pointer, record, skip, plain }))
    }
  }
}

const UNENCODED = { flags: 0, key: 0, nonce: NO_NONCE } as const

/** What the pointers mean, in order, without the gaps; one that is no longer than a header goes along. */
function liveRuns(pointers: readonly Pointer[]): Run[] {
  const runs: Run[] = []
  for (const pointer of [...pointers].sort((a, b) => a.skip - b.skip)) {
    const last = runs.at(-1)
    const [from, to] = [pointer.skip, pointer.skip + pointer.length]
    if (last === undefined || from > last.to + RECORD_HEADER) runs.push({ from, to, pointers: [pointer] })
    else {
      last.to = Math.max(last.to, to)
      last.pointers.push(pointer)
    }
  }
  return runs
}

function asPointer([body, offset, length, record, skip, plain, sequence]: PointerRow): Pointer {
  return { body, offset, length, record, skip, plain, sequence }
}
