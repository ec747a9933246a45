/**
 * Keeps idle CPUs awake while requests follow each other closely, and a moment longer: a client that asks once and again waits for
 * a CPU to wake up, twice each time (`CpuLatency`). A single request changes nothing; neither does a process without the right to it.
 */
import type { CpuLatency } from "./cpu-latency.ts"

/** Requests that are each at most so long after the one before make a stream. */
const PAUSE_MS = 20
/** So many of them, and the CPUs are kept awake. */
const STREAM = 4

export class BusyMoments implements Disposable {
  readonly #latency: Pick<CpuLatency, "hold" | "release">
  #streak = 0
  #isRecent = false
  #timer: NodeJS.Timeout | undefined

  constructor(latency: Pick<CpuLatency, "hold" | "release">) {
    this.#latency = latency
  }

  /** To be told of each request. */
  busy(): void {
    this.#isRecent = true
    this.#streak += 1
    if (this.#streak === STREAM) this.#latency.hold()
    this.#timer ??= setInterval(() => this.#look(), PAUSE_MS).unref()
  }

  #look(): void {
    if (this.#isRecent) this.#isRecent = false
    else this[Symbol.dispose]()
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#streak = 0
    this.#latency.release()
  }
}
