/** What main thread and scrubbing thread share. */
import type { Level } from "../core/log.ts"

/**
 * Words of shared memory. STOP: 0 go on, 1 the server ends, 2 somebody wants it to stop. The others are the thread's to
 * write: MiB read and to be read, and how much damage was found.
 */
export const ScrubWord = { STOP: 0, DONE_MIB: 1, TOTAL_MIB: 2, ERRORS: 3 } as const

export interface ScrubWorkerData {
  readonly store: string
  readonly logLevel: Level
  /** MiB a second; 0: as fast as it goes. */
  readonly limit: number
  readonly shared: SharedArrayBuffer
}
