/**
 * Requests that a limit has refused while there are unlinked files: the kernel may have forgotten those already and only
 * not got round to saying so, as it hands out FORGETs and other requests in turns. What was refused has changed nothing, so
 * it is put aside and tried once more when nothing else is there to be read; then all FORGETs have come that were sent
 * before it.
 */
import type { SessionMemory } from "./session-memory.ts"

/** Requests that may be served while one waits: under a load that never pauses, the second try comes anyway. */
const MOST_BETWEEN = 512
/** Requests that may wait; they hold up to 1 MiB each. */
const MOST_WAITING = 32

interface Waiting {
  readonly bytes: Buffer
  readonly slot: number
}

export class SecondTries {
  readonly #memory: SessionMemory
  readonly #serve: (bytes: Buffer) => void
  #waiting: Waiting[] = []
  #since = 0

  /** `serve` answers a request for good. */
  constructor(memory: SessionMemory, serve: (bytes: Buffer) => void) {
    this.#memory = memory
    this.#serve = serve
  }

  /** Takes a request over, to be answered later; false when too many are waiting. */
  hold(request: Buffer): boolean {
    const slot = this.#waiting.length < MOST_WAITING ? this.#memory.freeSlot() : undefined
    if (slot === undefined) return false
    // A server that is killed now owes this answer.
    this.#memory.begin(slot, request.readUInt32LE(8), request.readUInt32LE(12))
    this.#waiting.push({ bytes: Buffer.from(request), slot })
    return true
  }

  /** A request was served. */
  onRequest(): void {
    if (this.#waiting.length === 0) return
    this.#since += 1
    if (this.#since > MOST_BETWEEN) this.run()
  }

  /** To be called when no request is there. */
  run(): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    this.#since = 0
    for (const { bytes, slot } of waiting) {
      this.#serve(bytes)
      this.#memory.end(slot)
    }
  }
}
