/**
 * `STORE/reserve`: space kept back for the moment when the disk is full and answered requests are still to be committed.
 * Given back to the disk then; taken again when there is room.
 */
import { closeSync, openSync, rmSync, statSync, statfsSync } from "node:fs"
import { join } from "node:path"
import { Fault, kindOfThrown } from "../core/fault.ts"
import { fallocate } from "../sys/libc.ts"

/** More than the pages that the largest batch can dirty. */
export const RESERVE_BYTES = 16 * 1024 * 1024
/** What a large batch takes in the WAL and the log. */
const BATCH_BYTES = 8 * 1024 * 1024
/** More than the WAL ever holds for the database: with so much room it need not be looked how much that is. */
const LOOK_BELOW_BYTES = 256 * 1024 * 1024

export class Reserve {
  readonly #path: string

  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
    this.#path = join(directory, "reserve")
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

  /**
   * As `take`, if the disk has room for more than that: `debt` bytes that are promised already, and some for the next batch.
   * Without the look, trying what a full disk refuses would cost more than the request that asks.
   */
  takeIfThereIsRoom(debt: number): boolean {
    return this.room > debt + BATCH_BYTES + (this.#isTaken ? 0 : RESERVE_BYTES) && this.take()
  }

  /** Whether the disk has no room for more than what is promised already. */
  isShort(debt: () => number): boolean {
    const { room } = this
    return room < LOOK_BELOW_BYTES && room < debt() + BATCH_BYTES / 2
  }

  /** What `room` is once the space has been given back. */
  get roomWithout(): number {
    return this.room + this.#heldBytes
  }

  get #heldBytes(): number {
    return (statSync(this.#path, { throwIfNoEntry: false })?.blocks ?? 0) * 512
  }

  get #isTaken(): boolean {
    return this.#heldBytes >= RESERVE_BYTES
  }

  /** Takes the space; false when the disk does not have it. */
  take(): boolean {
    if (this.#isTaken) return true
    try {
      const fd = openSync(this.#path, "a", 0o600)
      const taken = fallocate(fd, 0, 0, RESERVE_BYTES) === 0
      closeSync(fd)
      if (!taken) this.give()
      return taken
    } catch (cause) {
      // A disk without a free inode is full too, and one that fails has no room to keep.
      if (kindOfThrown(cause) === "bug") throw cause
      return false
    }
  }

  /** Gives the space back. A disk that does not even delete has a reason that the next write will meet, and tell. */
  give(): void {
    try {
      rmSync(this.#path, { force: true })
    } catch (cause) {
      if (kindOfThrown(cause) === "bug") throw cause
    }
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
    const reserve = new Reserve(directory)
    reserve.give()
    try {
      return open()
    } catch (again) {
      if (!(again instanceof Fault && again.kind === "io") || reserve.take()) throw again
      throw new Fault("no-space", "the disk below the store is full", { cause: again })
    }
  }
}
