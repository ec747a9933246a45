/**
 * What is written to the log begins its way to the disk while more is being written. The kernel would leave it all to the next
 * fsync or flush, which then takes as long as writing did. It promises nothing: only a sync tells whether it arrived. The sync worker
 * does it (`Disk.begin`).
 */
import { logPosition, positionOf, segmentOf } from "../store/log-position.ts"
import type { SyncMessage } from "./messages.ts"

/** So much is worth a message. What is deleted again before has never been written for nothing. */
const STEP_BYTES = 8 * 1024 * 1024

export interface LogPart {
  readonly segment: number
  readonly from: number
  /** 0: to the end of the file. */
  readonly length: number
}

/** The parts of segments between two places in the log. */
export function partsBetween(from: number, to: number): LogPart[] {
  const parts: LogPart[] = []
  for (let at = from; at < to; at = logPosition(segmentOf(at) + 1, 0)) {
    const isLast = segmentOf(at) === segmentOf(to)
    const length = isLast ? positionOf(to) - positionOf(at) : 0
    if (!isLast || length > 0) parts.push({ segment: segmentOf(at), from: positionOf(at), length })
  }
  return parts
}

export class EarlyWriteback {
  readonly #post: (message: SyncMessage) => void
  #told: number

  constructor(end: number, post: (message: SyncMessage) => void) {
    this.#told = end
    this.#post = post
  }

  /** A request was served; the log ends at `end` now. */
  onRequest(end: number): void {
    if (end - this.#told < STEP_BYTES) return
    this.#post({ kind: "written", from: this.#told, to: end })
    this.#told = end
  }
}
