/**
 * `STORE/reserve`: space kept back for the moment when the disk is full: answered requests are still to be committed, and
 * segments to be emptied, whose live bytes need a second place before the first one is free. Given back to the disk then;
 * taken again when there is room.
 */
import { closeSync, ftruncateSync, openSync, rmSync, statSync, statfsSync } from "node:fs"
import { join } from "node:path"
import { Fault, kindOfThrown } from "../core/fault.ts"
import { HeldDirectory } from "../sys/held-directory.ts"
import { fallocate } from "../sys/libc.ts"

const MIB = 1024 * 1024
/** More than the pages that the largest batch can dirty. */
const RESERVE_BYTES = 16 * MIB
/** What a large batch takes in the WAL and the log. */
const BATCH_BYTES = 8 * MIB
/** What is not for copies: the WAL's part, as it is folded back, and a batch's. */
const COPYING_MARGIN = 8 * MIB
/** More than the WAL ever holds for the database: with so much room it need not be looked how much that is. */
const LOOK_BELOW_BYTES = 256 * MIB
/** Of a disk with so much room the least is kept back: more is taken when there is less. */
const PLENTY_BYTES = 4096 * MIB
/** It grows in steps of so many bytes. */
const STEP_BYTES = 2 * MIB

export class Reserve implements Disposable {
  readonly #path: string
  readonly #directory: string
  /** What took its place has a reserve of its own. */
  readonly #place: HeldDirectory
  readonly #largestSegment: () => number
  /** What was taken. */
  #held = 0
  /** What was given back, and is to be taken again before the room belongs to programs. */
  #owed = RESERVE_BYTES

  /** `largestSegment`: bytes of the longest segment of the log; the reserve grows to that, so that each can be emptied. */
  constructor(directory: string, largestSegment: () => number = (): number => 0) {
    this.#directory = directory
    this.#path = join(directory, "reserve")
    this.#place = new HeldDirectory(directory)
    this.#largestSegment = largestSegment
  }

  /** Bytes that the disk has left for an ordinary user. Where that can't be asked, the next write meets the reason. */
  get room(): number {
    try {
      const { bavail, bsize } = statfsSync(this.#directory)
      return bavail * bsize
    } catch (cause) {
      if (kindOfThrown(cause) === "bug") throw cause
      return Infinity
    }
  }

  /** Bytes for copies of what is live in a segment, once the space has been given back. */
  get roomForCopies(): number {
    return this.room + this.#blockBytes - COPYING_MARGIN
  }

  /** Bytes that are never for programs: what is held back, or is to be again. */
  get bytes(): number {
    return Math.max(this.#held, this.#owed)
  }

  #wantedOf(room: number): number {
    if (room >= PLENTY_BYTES) return RESERVE_BYTES
    const whole = this.#largestSegment() + COPYING_MARGIN
    return Math.max(RESERVE_BYTES, Math.floor(whole / STEP_BYTES) * STEP_BYTES)
  }

  get #blockBytes(): number {
    return (statSync(this.#path, { throwIfNoEntry: false })?.blocks ?? 0) * 512
  }

  /**
   * As `take`, if the disk has room for more than that: `debt` bytes that are promised already, and some for the next batch.
   * Without the look, trying what a full disk refuses would cost more than the request that asks.
   */
  takeIfThereIsRoom(debt: number): boolean {
    return this.room > debt + BATCH_BYTES + this.bytes - this.#held && this.take()
  }

  /** To be called while there is room: takes more if the log has longer segments by now, or the disk has not plenty any more. */
  grow(debt: () => number): void {
    const { room } = this
    const more = this.#wantedOf(room) - this.#held
    if (more > 0 && room > debt() + BATCH_BYTES + more) this.take()
  }

  /** Whether the disk has no room for more than what is promised already. */
  isShort(debt: () => number): boolean {
    const { room } = this
    return room < LOOK_BELOW_BYTES && room < debt() + BATCH_BYTES / 2
  }

  /** Takes the space, or as much of it as leaves room for a batch; false when the disk does not even have the least. */
  take(): boolean {
    if (!this.#place.isHere) return this.#held >= RESERVE_BYTES
    const { room } = this
    const before = Math.max(this.#held, this.#blockBytes)
    const most = Math.max(RESERVE_BYTES, Math.min(this.#wantedOf(room), room + before - BATCH_BYTES))
    this.#held = before
    if (before >= most) return true
    try {
      this.#extend(before, most)
    } catch (cause) {
      // A disk without a free inode is full too, and one that fails has no room to keep.
      if (kindOfThrown(cause) === "bug") throw cause
    }
    if (this.#held >= RESERVE_BYTES) return true
    this.#remove()
    return false
  }

  #extend(before: number, most: number): void {
    const fd = openSync(this.#path, "a", 0o600)
    try {
      for (const bytes of [most, RESERVE_BYTES]) {
        if (bytes <= before) return
        if (fallocate(fd, 0, 0, bytes) === 0) {
          this.#held = bytes
          return
        }
        // What was not to be had as a whole may have been taken in part.
        ftruncateSync(fd, before)
      }
    } finally {
      closeSync(fd)
    }
  }

  /** Gives the space back. A disk that does not even delete has a reason that the next write will meet, and tell. */
  give(): void {
    if (this.#held > 0) this.#owed = Math.max(RESERVE_BYTES, this.#held)
    this.#remove()
  }

  #remove(): void {
    if (!this.#place.isHere) return
    this.#held = 0
    try {
      rmSync(this.#path, { force: true })
    } catch (cause) {
      if (kindOfThrown(cause) === "bug") throw cause
    }
  }

  [Symbol.dispose](): void {
    this.#place[Symbol.dispose]()
  }
}

/**
 * SQLite needs two files beside the database, and says of a disk without room for them only that it can't open them. The
 * reserve is for that too: files can only be deleted once the store is open.
 */
export function openOnFullDisk<T>(directory: string, open: () => T): T {
  try {
    return open()
  } catch (thrown) {
    if (!(thrown instanceof Fault && (thrown.kind === "no-space" || thrown.kind === "io"))) throw thrown
    using reserve = new Reserve(directory)
    reserve.give()
    try {
      return open()
    } catch (again) {
      if (!(again instanceof Fault && again.kind === "io") || reserve.take()) throw again
      throw new Fault("no-space", "the disk below the store is full", { cause: again })
    }
  }
}
