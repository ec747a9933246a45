/**
 * The clock that the kernel stamps files with (CLOCK_REALTIME_COARSE, man 2 clock_gettime). Date.now() is a finer,
 * different clock: a file stamped with it could look newer than one that the kernel stamps afterwards.
 *
 * The serving thread pins the clock for each request: everything that a request stamps has one time, and a request that
 * is executed again stamps the same.
 */
import { clockGettime } from "./libc.ts"

const CLOCK_REALTIME_COARSE = 5

const timespec = Buffer.allocUnsafeSlow(16)
const words = new Int32Array(timespec.buffer)

/** Seconds (signed) and nanoseconds (0..999,999,999) apart: together they don't fit a double. */
export interface Timestamp {
  readonly seconds: number
  readonly nanos: number
}

let pinned: Timestamp | undefined
let stopsWhenRead = false

/** Stops the clock of this thread at `time`; undefined lets it run. */
export function pinClock(time: Timestamp | undefined): void {
  pinned = time
  stopsWhenRead = false
}

/** Stops the clock of this thread at the time that is read next: most requests need none, and reading it is a call. */
export function pinClockWhenRead(): void {
  pinned = undefined
  stopsWhenRead = true
}

export function readClock(): Timestamp {
  clockGettime(CLOCK_REALTIME_COARSE, timespec)
  return { seconds: (words[1] ?? 0) * 0x1_0000_0000 + ((words[0] ?? 0) >>> 0), nanos: words[2] ?? 0 }
}

/** The time of the present request, or the clock's. */
export function now(): Timestamp {
  if (pinned !== undefined) return pinned
  const time = readClock()
  if (stopsWhenRead) pinned = time
  return time
}
