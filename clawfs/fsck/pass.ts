/** What one pass of the checks works with. */
import type { Database } from "../store/database.ts"
import type { Finding, Findings } from "./finding.ts"
import type { InodeIndex } from "./inode-index.ts"
import type { Paths } from "./paths.ts"
import type { EncryptedTrees } from "../store/encrypted-trees.ts"

/** Hears how far a check is: rows of a table, or bytes. */
export type OnProgress = (what: string, done: number, total: number) => void

/** The row of table `store`. */
export interface Identity {
  readonly uuid: Buffer
  readonly seedA: number
  readonly seedB: number
}

/** What extents say of a segment: the sum of their lengths, and where the last of their records ends. */
export interface SegmentUse {
  live: number
  end: number
}

/** Sums over the tables, to be compared with row `state`, and for the report. */
export interface Totals {
  inodes: number
  names: number
  /** Sum of all `alloc`. */
  bytes: number
  extents: number
  /** Records that were read, and their payload. */
  records: number
  recordBytes: number
  segments: number
  orphans: number
}

/** Records up to here have been read: the key of an extent. */
export interface ScrubPosition {
  readonly body: number
  readonly offset: number
}

/** Records are read in slices of so many extents, with a look at what came of it after each. */
export interface RecordSlice {
  readonly from: ScrubPosition
  readonly length: number
  readonly onPosition: (position: ScrubPosition, findings: readonly Finding[]) => void
}

export interface Pass {
  readonly directory: string
  readonly db: Database
  readonly identity: Identity
  readonly index: InodeIndex
  readonly paths: Paths
  readonly sealed: EncryptedTrees
  readonly findings: Findings
  readonly totals: Totals
  /** By segment number. */
  readonly use: Map<number, SegmentUse>
  /** A server works on the store meanwhile. */
  readonly isOnline: boolean
  readonly onProgress: OnProgress
  readonly slice?: RecordSlice | undefined
}

/** Calls `onProgress` now and then, at the cost of an addition a row. */
export class Steps {
  readonly #report: (done: number) => void
  #done = 0

  constructor(onProgress: OnProgress, what: string, total: number) {
    this.#report = (done) => onProgress(what, done, total)
  }

  step(): void {
    this.#done += 1
    if (this.#done % EVERY === 0) this.#report(this.#done)
  }
}

const EVERY = 4096
