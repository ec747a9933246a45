/**
 * When the log is cleaned: in slices of a few milliseconds while no request is there, and under steady load only when much
 * more is dead than should be. A slice is committed at once; between slices the thread looks for requests.
 */
import { Fault, describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import type { Store } from "../store/store.ts"
import type { SessionMemory } from "./session-memory.ts"

/** Copied in one slice: some 4 ms with the pages in memory. */
const SLICE_BYTES = 2 * 1024 * 1024
/** Between two slices in the background, so that at most 40 MiB/s are copied. `gc --now` does not wait. */
const PAUSE_MS = 50
/** How often it is looked whether there is something to do. */
const LOOK_MS = 1000
/** After a full disk. */
const RETRY_MS = 10_000
/** Under load: so many dead bytes, and so many times the live ones, are too much. */
const PRESSING_BYTES = 256 * 1024 * 1024
const PRESSING_SHARE = 1

export class Cleaning {
  readonly #store: Store
  readonly #memory: SessionMemory
  readonly #log: Log
  #ordered = 0
  #isActive = false
  #nextLook = 0
  /** Commits at the last look. */
  #lookedAt = -1

  constructor(store: Store, memory: SessionMemory, log: Log) {
    this.#store = store
    this.#memory = memory
    this.#log = log
  }

  /** `clawfs gc --now`: everything that pays is to come back. */
  order(): void {
    this.#ordered += 1
    this.#store.cleanAll()
    this.#nextLook = 0
  }

  /** A slice of work while nothing else is to do. Milliseconds until the next one; undefined when there is nothing. */
  onQuiet(): number | undefined {
    if (this.#store.readOnly) return undefined
    if (!this.#look()) return this.#memory.commits === this.#lookedAt ? undefined : LOOK_MS
    this.#slice()
    if (!this.#isActive) return undefined
    return this.#ordered > 0 ? 0 : PAUSE_MS
  }

  /** Between requests that do not pause. */
  onLoad(): void {
    if (this.#store.readOnly || !this.#look()) return
    const { live, dead } = this.#store.logSpace
    if (dead > PRESSING_BYTES + PRESSING_SHARE * live) this.#slice()
  }

  #look(): boolean {
    const time = performance.now()
    if (time < this.#nextLook) return this.#isActive
    this.#nextLook = time + LOOK_MS
    this.#lookedAt = this.#memory.commits
    this.#memory.setLogSpace(this.#store.logSpace)
    this.#isActive = this.#store.isCleaningDue
    if (!this.#isActive) this.#finish()
    return this.#isActive
  }

  #slice(): void {
    try {
      const moved = this.#store.clean(SLICE_BYTES)
      this.#store.commit()
      if (moved > 0) return
      this.#store.shrinkFiles()
    } catch (thrown) {
      if (!(thrown instanceof Fault && (thrown.kind === "no-space" || thrown.kind === "io"))) throw thrown
      this.#log.error("cleaning waits: the disk takes no copies", { reason: describe(thrown) })
      this.#nextLook = performance.now() + RETRY_MS
    }
    this.#isActive = false
    this.#finish()
  }

  #finish(): void {
    this.#memory.freeBytes = this.#store.freeBytes
    this.#memory.setLogSpace(this.#store.logSpace)
    for (; this.#ordered > 0; this.#ordered -= 1) this.#memory.countCleaned()
  }
}
