/** How a store is opened, and what it tells of itself. */
import type { Log } from "../core/log.ts"
import type { Moment } from "./transactions.ts"

export interface StoreOptions {
  readonly readOnly?: boolean
  /** Test hook: see `Moment`. */
  readonly onMoment?: (moment: Moment) => void
  /** Up to where the log is known to be on the disk (`log-position.ts`); asked at every commit. */
  readonly logSynced?: () => number
  /**
   * Told where the log ends that the next commit rests on, before that is committed: whoever makes a commit durable must
   * know how much of the log goes before it.
   */
  readonly onLogEnd?: (end: number) => void
  /**
   * A sync of this thread has failed: what was written before may be on no disk, and as the kernel tells of that once, no later
   * sync can be believed until `Store.makeGood`.
   */
  readonly onFailedSync?: () => void
  readonly log?: Log
}

/** Which request a mutation belongs to, so that it is executed once. */
export interface RequestId {
  readonly uniqueLow: number
  readonly uniqueHigh: number
}

export interface Space {
  /** Bytes that files take, inline and in the log, reserved ones included. */
  readonly usedBytes: number
  /** Bytes that the disk below still has for an ordinary user, and how many it has in all. */
  readonly availableBytes: number
  readonly totalBytes: number
  readonly inodes: number
}
