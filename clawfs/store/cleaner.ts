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
import { storedBytes } from "./extents.ts"
import type { RecordRead, Segments } from "./segments.ts"

/** In the background, a segment with more live bytes than this part of it is left alone. */
const MAX_LIVE = 0.8
/** Where all is asked for, a segment is copied that gives back this part of what it costs: more than its headers. */
const MIN_GAIN = 0.02
/** So many dead bytes may always be there: a store that is used a little should not be copied around for them. */
const SLACK_BYTES = 64 * 1024 * 1024
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
  readonly #pointers: Query<[number, number], PointerRow>
  readonly #move: Query<[number, number, number, number, number, number]>
  /** Segments with a damaged record: it stays where it is, for fsck to tell of. */
  readonly #stuck = new Set<number>()
  #victim: number | undefined
  #position = 0
  #wantsAll = false
  /**
   * Bytes that copies may take. With a limit, the disk is full: then every dead byte counts, and a segment whose live ones
   * fit is emptied as a whole, which gives back more than it took.
   */
  room = Infinity

  constructor(db: Database, segments: Segments, log?: Log) {
    this.#segments = segments
    this.#log = log
    this.#next = db.query(
      "SELECT min(position) FROM extent WHERE segment = ? AND position > ? AND segment != 0",
    )
    this.#pointers = db.query(
      `SELECT body, offset, length, record, skip, plain, sequence FROM extent
       WHERE segment = ? AND position = ? AND segment != 0`,
    )
    this.#move = db.query(
      "UPDATE extent SET segment = ?, position = ?, record = ?, skip = ? WHERE body = ? AND offset = ?",
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

  /** Whether so much is dead that work in the background pays. */
  get isDue(): boolean {
    if (this.#isShort) return this.#choose() !== undefined
    const { live, dead } = this.space()
    return dead > SLACK_BYTES + SLACK_SHARE * live && this.#choose() !== undefined
  }

  get #isShort(): boolean {
    return this.room !== Infinity
  }

  /** Every segment that gives anything back counts from now on, until `step` finds none. */
  wantAll(): void {
    this.#wantsAll = true
    this.#stuck.clear()
  }

  get isWanted(): boolean {
    return this.#wantsAll
  }

  /**
   * Moves records of `bytes` or a little more, within the caller's transaction. Returns how many bytes were copied; fewer
   * than asked for when nothing is left to do. A full disk is a clean `Fault("no-space")`: what was moved before it stays.
   */
  step(bytes: number): number {
    let moved = 0
    while (moved < bytes) {
      this.#victim ??= this.#start()
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

  #start(): number | undefined {
    this.#position = 0
    return this.#choose()
  }

  #choose(): number | undefined {
    let best: { id: number; gain: number } | undefined
    for (const [id, live] of this.#segments.liveBytes()) {
      if (live === 0 || live > this.room || this.#stuck.has(id)) continue
      const size = this.#segments.sizeOf(id)
      const gain = (size - live) / live
      const pays = this.#wantsAll || this.#isShort ? gain > MIN_GAIN : live <= MAX_LIVE * size
      if (pays && (best === undefined || gain > best.gain)) best = { id, gain }
    }
    return best?.id
  }

  #moveRecord(segment: number, position: number): number {
    const pointers = this.#pointers.all(segment, position).map(asPointer)
    const [first] = pointers
    if (first === undefined) return 0
    try {
      return this.#copy({ segment, position, length: first.record, sequence: first.sequence }, pointers)
    } catch (thrown) {
      if (!(thrown instanceof Fault && thrown.kind === "corrupt")) throw thrown
      this.#log?.error("a damaged record can't be moved", { segment, position, reason: describe(thrown) })
      this.#stuck.add(segment)
      return 0
    }
  }

  /**
   * Only what something points to is copied, of an encoded record all of it; files that share the record go on sharing
   * it. The copy keeps the record's sequence number, so that it does not look newer than it is.
   */
  #copy(record: RecordRead, pointers: readonly Pointer[]): number {
    const { header, payload } = this.#segments.readRecord(record)
    const isEncoded = header.flags !== 0
    const from = isEncoded ? 0 : Math.min(...pointers.map(({ skip }) => skip))
    const to = isEncoded ? payload.length : Math.max(...pointers.map(({ skip, length }) => skip + length))
    const plain = isEncoded ? header.plain : to - from
    const copy = { ...header, offset: header.offset + from, plain }
    const place = this.#segments.appendCopy(copy, payload.subarray(from, to))
    for (const pointer of pointers) {
      const { skip, body, offset } = pointer
      this.#move.run(place.segment, place.position, to - from, skip - from, body, offset)
      this.#segments.account(record.segment, -storedBytes(pointer))
      this.#segments.account(place.segment, storedBytes(pointer))
    }
    return to - from
  }
}

function asPointer([body, offset, length, record, skip, plain, sequence]: PointerRow): Pointer {
  return { body, offset, length, record, skip, plain, sequence }
}
