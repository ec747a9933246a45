/** Whether the machine was suspended: CLOCK_BOOTTIME goes on meanwhile, CLOCK_MONOTONIC does not (clock_gettime(2)). */
import { clockGettime } from "./libc.ts"

const CLOCK_MONOTONIC = 1
const CLOCK_BOOTTIME = 7
/** The two are read one after the other. */
const TOLERANCE_SECONDS = 0.5

const time = Buffer.alloc(16)

function read(clock: number): number {
  clockGettime(clock, time)
  return Number(time.readBigInt64LE(0)) + Number(time.readBigInt64LE(8)) / 1e9
}

/** Seconds that the machine has slept since it booted. */
function slept(): number {
  return read(CLOCK_BOOTTIME) - read(CLOCK_MONOTONIC)
}

export class SuspendWatch {
  readonly #slept: () => number
  #last: number

  /** `seconds`: how long the machine has slept so far; the kernel's own clocks unless given. */
  constructor(seconds: () => number = slept) {
    this.#slept = seconds
    this.#last = seconds()
  }

  /** Whether the machine has slept since the last look. */
  hasSlept(): boolean {
    const now = this.#slept()
    const isLonger = now - this.#last > TOLERANCE_SECONDS
    this.#last = now
    return isLonger
  }
}
