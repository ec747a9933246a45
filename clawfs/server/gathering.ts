/**
 * How long an fsync waits for others, so that one flush of the disk serves them all: until as many have come as were answered by
 * the last flush and came during it, for half the time that a flush takes at most. The two limits are those of MySQL's
 * binlog_group_commit_sync_delay and _no_delay_count, the half is what PostgreSQL advises for its commit_delay. A program that
 * is alone waits for nobody. Programs that do not come back are waited for less and less often.
 */

/** The last flush, as the sync worker left it. Seconds. */
export interface LastFlush {
  /** Of the monotonic clock. */
  readonly endedAt: number
  /** How long flushes take of late. */
  readonly seconds: number
  /** Fsyncs that it answered. */
  readonly answered: number
  /** Fsyncs that had come while it went on. */
  readonly came: number
}

const PART_OF_A_FLUSH = 1 / 2
const MOST_SECONDS = 0.002
/** Flushes after which nobody is waited for, at most: the others don't come in time. */
const MOST_SKIPPED = 31

export class Gathering {
  /** The flush that was looked at last, and how many of its programs were seen to come back. */
  #seen = 0
  #isOver = true
  #skipped = 0
  #toSkip = 0

  /** Seconds for which it pays to wait on, with `waiting` fsyncs there at `now`; 0: flush. */
  wait(last: LastFlush, waiting: number, now: number): number {
    if (last.endedAt !== this.#seen) {
      this.#seen = last.endedAt
      this.#isOver = this.#skipThis()
    }
    if (this.#isOver) return 0
    const left = last.endedAt + Math.min(MOST_SECONDS, last.seconds * PART_OF_A_FLUSH) - now
    if (waiting < last.answered + last.came && left > 0) return left
    this.#isOver = true
    const back = waiting - last.came
    // Who is alone says nothing about company.
    if (last.answered + last.came > 1) this.#toSkip = back * 2 >= last.answered ? 0 : this.#more()
    return 0
  }

  #skipThis(): boolean {
    if (this.#skipped >= this.#toSkip) {
      this.#skipped = 0
      return false
    }
    this.#skipped += 1
    return true
  }

  #more(): number {
    return Math.min(MOST_SKIPPED, 2 * this.#toSkip + 1)
  }
}
