/**
 * `STORE/reserve`: space kept back for the moment when the disk is full and answered requests are still to be committed.
 * Given back to the disk then; taken again when there is room.
 */
import { closeSync, openSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { kindOfThrown } from "../core/fault.ts"
import { fallocate } from "../sys/libc.ts"

/** More than the pages that the largest batch can dirty. */
const RESERVE_BYTES = 16 * 1024 * 1024

export class Reserve {
  readonly #path: string

  constructor(directory: string) {
    this.#path = join(directory, "reserve")
  }

  /** Takes the space; false when the disk does not have it. */
  take(): boolean {
    if ((statSync(this.#path, { throwIfNoEntry: false })?.blocks ?? 0) * 512 >= RESERVE_BYTES) return true
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
