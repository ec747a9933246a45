/**
 * After a failed sync, on the serving thread, which alone may write: what the disk did not take is written again as soon as
 * it takes it. Until then every fsync fails.
 */
import { describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import type { Store } from "../store/store.ts"
import type { SessionMemory } from "./session-memory.ts"

const RETRY_MS = 1000

export class Good {
  readonly #store: Store
  readonly #memory: SessionMemory
  readonly #log: Log
  #nextTry = 0
  #isTold = false

  constructor(store: Store, memory: SessionMemory, log: Log) {
    this.#store = store
    this.#memory = memory
    this.#log = log
  }

  /** Milliseconds until it is worth being called again; undefined when all is well. May wait for the disk. */
  make(): number | undefined {
    if (!this.#memory.isInDoubt) return undefined
    const wait = this.#nextTry - performance.now()
    if (wait > 0) return Math.ceil(wait)
    try {
      this.#store.makeGood()
    } catch (thrown) {
      if (!this.#isTold)
        this.#log.error("the disk fails: no fsync succeeds until it keeps what was written", {
          reason: describe(thrown),
        })
      this.#isTold = true
      this.#nextTry = performance.now() + RETRY_MS
      return RETRY_MS
    }
    this.#memory.logSynced = Math.max(this.#memory.logSynced, this.#store.logEnd)
    this.#memory.isInDoubt = false
    this.#isTold = false
    this.#log.info("what the disk had failed to keep was written again")
    return undefined
  }
}
