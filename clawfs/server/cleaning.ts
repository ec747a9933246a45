/**
 * When the log is cleaned: in slices of a few milliseconds while no request is there, and under steady load only when much
 * more is dead than should be. A slice is committed at once; between slices the thread looks for requests.
 *
 * A request that comes during a slice waits for its end. While programs ask for something now and then, slices are therefore so
 * rare that one request in a hundred at most meets one: 99 of 100 take as long as without a cleaner.
 */
import { Fault, describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import type { Garbage } from "../store/garbage.ts"
import type { Store } from "../store/store.ts"
import type { SessionMemory } from "./session-memory.ts"

/** Copied in one slice: some 4 ms with the pages in memory. */
const SLICE_BYTES = 2 * 1024 * 1024
/** Between two slices in the background, so that at most 40 MiB/s are copied. `gc --now` and a full disk do not wait. */
const PAUSE_MS = 50
/** Programs that asked for something within so long are there, ... */
const BESIDE_MS = 1000
/** ... and slices take this part of the time: some 2.5 MiB/s. Shorter and more frequent ones were met by more requests. */
const SHARE_BESIDE = 0.005
/** The longest pause, after a slice that something else made slow. */
const MOST_PAUSE_MS = 5000
/** How often it is looked whether there is something to do. */
const LOOK_MS = 1000
/** After a full disk. */
const RETRY_MS = 10_000
/** On a full disk, what was ordered waits so long at most for segments that are empty to be deleted, ... */
const DELETION_MS = 5000
/** ... and looks so often. */
const DELETION_LOOK_MS = 20
/** Under load: so many dead bytes, and so many times the live ones, are too much. */
const PRESSING_BYTES = 256 * 1024 * 1024
const PRESSING_SHARE = 1

/** What is needed of a store. */
export type CleanedStore = Pick<Store, "readOnly" | "isTight" | "clean" | "commit" | "shrinkFiles"> & {
  readonly garbage: Pick<
    Garbage,
    "logSpace" | "wholeLogSpace" | "freeBytes" | "isDue" | "hasMore" | "wantAll" | "goOn"
  >
}

/** What is needed of the session memory. */
export type CleaningMemory = Pick<
  SessionMemory,
  "answered" | "commits" | "countCleaned" | "freeBytes" | "setLogSpace"
>

export class Cleaning {
  readonly #store: CleanedStore
  readonly #memory: CleaningMemory
  readonly #log: Log
  #ordered = 0
  #isActive = false
  #nextLook = 0
  /** Commits at the last look. */
  #lookedAt = -1

  /** Requests that were answered when it was looked last, and when there was a new one. */
  #answered = 0
  #requestAt = -Infinity
  /** The last slice: its end, and how long it took. */
  #slicedAt = -Infinity
  #sliceMs = 0
  /** When something was moved last. */
  #movedAt = -Infinity
  /** Nothing can be moved before then. */
  #waitUntil = -Infinity

  constructor(store: CleanedStore, memory: CleaningMemory, log: Log) {
    this.#store = store
    this.#memory = memory
    this.#log = log
  }

  /** `clawfs gc --now`: everything that pays is to come back. */
  order(): void {
    this.#ordered += 1
    this.#store.garbage.wantAll()
    this.#nextLook = 0
  }

  /** A slice of work while nothing else is to do. Milliseconds until the next one; undefined when there is nothing. */
  onQuiet(): number | undefined {
    if (this.#store.readOnly) return undefined
    const isBeside = this.#noticePrograms()
    if (!this.#look()) return this.#memory.commits === this.#lookedAt ? undefined : LOOK_MS
    const rest = this.#rest(isBeside)
    if (rest > 0) return rest
    this.#slice()
    return this.#isActive ? this.#rest(isBeside) : undefined
  }

  /** Whether programs are there. */
  #noticePrograms(): boolean {
    const { answered } = this.#memory
    if (answered !== this.#answered) this.#requestAt = performance.now()
    this.#answered = answered
    return performance.now() - this.#requestAt < BESIDE_MS
  }

  /** Somebody waits for the room. */
  get #isPressed(): boolean {
    return this.#ordered > 0 || this.#store.isTight
  }

  /** Milliseconds until the next slice. */
  #rest(isBeside: boolean): number {
    if (this.#isPressed) return Math.max(0, Math.ceil(this.#waitUntil - performance.now()))
    const pause = isBeside ? Math.min(MOST_PAUSE_MS, this.#sliceMs / SHARE_BESIDE) : 0
    return Math.max(0, Math.ceil(this.#slicedAt + Math.max(PAUSE_MS, pause) - performance.now()))
  }

  /** Between requests that do not pause. */
  onLoad(): void {
    if (this.#store.readOnly || !this.#look()) return
    const { live, dead } = this.#store.garbage.logSpace
    if (dead > PRESSING_BYTES + PRESSING_SHARE * live) this.#slice()
  }

  #look(): boolean {
    const time = performance.now()
    if (time < this.#nextLook) return this.#isActive
    this.#nextLook = time + LOOK_MS
    this.#lookedAt = this.#memory.commits
    this.#memory.setLogSpace(this.#store.garbage.wholeLogSpace)
    this.#isActive = this.#store.garbage.isDue
    if (!this.#isActive) this.#finish()
    return this.#isActive
  }

  #slice(): void {
    const begun = performance.now()
    this.#moveSome()
    this.#slicedAt = performance.now()
    this.#sliceMs = this.#slicedAt - begun
  }

  #moveSome(): void {
    try {
      const moved = this.#store.clean(SLICE_BYTES)
      this.#store.commit()
      if (moved > 0) this.#movedAt = performance.now()
      if (moved > 0 || this.#waits()) return
      this.#store.shrinkFiles()
    } catch (thrown) {
      if (!(thrown instanceof Fault && (thrown.kind === "no-space" || thrown.kind === "io"))) throw thrown
      this.#log.error("cleaning waits: the disk takes no copies", { reason: describe(thrown) })
      this.#nextLook = performance.now() + RETRY_MS
    }
    this.#isActive = false
    this.#finish()
  }

  /** Whether what was ordered goes on when there is more room. */
  #waits(): boolean {
    const time = performance.now()
    if (this.#ordered === 0 || time > this.#movedAt + DELETION_MS || !this.#store.garbage.hasMore)
      return false
    this.#store.garbage.goOn()
    this.#waitUntil = time + DELETION_LOOK_MS
    return true
  }

  #finish(): void {
    this.#memory.freeBytes = this.#store.garbage.freeBytes
    this.#memory.setLogSpace(this.#store.garbage.wholeLogSpace)
    for (; this.#ordered > 0; this.#ordered -= 1) this.#memory.countCleaned()
  }
}
