/**
 * The scrubbing thread: reads the whole store at a bandwidth that leaves the disk to others, at the lowest priority, and
 * ends when it is done or told to stop. It has its own connection that only reads; no thread waits for it.
 */
import { setPriority } from "node:os"
import { parentPort, workerData } from "node:worker_threads"
import { present } from "../core/assert.ts"
import { Fault, describe } from "../core/fault.ts"
import { Log } from "../core/log.ts"
import type { Finding } from "../fsck/finding.ts"
import { scrub } from "../fsck/scrub.ts"
import { MOST_FINDINGS, readScrubState, writeScrubState, type ScrubRun } from "./scrub-state.ts"
import { ScrubWord, type ScrubWorkerData } from "./scrub-words.ts"

const MIB = 1024 * 1024
const LOWEST = 19
/** Its position is written so often at most. */
const SAVE_MS = 5000
/** The database is read in steps of unknown size: so long a pause after each. */
const TABLE_PAUSE_MS = 1

const { store, logLevel, limit, shared } = workerData as ScrubWorkerData
const words = new Int32Array(shared)
const log = new Log("scrub", { level: logLevel })

function now(): number {
  return Math.floor(Date.now() / 1000)
}

function keyOf({ kind, path, ino, range, message }: Finding): string {
  return JSON.stringify([kind, path ?? ino ?? "", range ?? "", message])
}

class Pass {
  readonly #run: ScrubRun
  /** Damage that was told, by this pass or the last one. */
  readonly #told: Set<string>
  #position: { body: number; offset: number }
  #found: readonly Finding[]
  #seen = 0
  #due = performance.now()
  #savedAt = performance.now()

  constructor() {
    const { run, last } = readScrubState(store)
    const fresh = { started: now(), body: 0, offset: 0, bytes: 0, findings: [], errors: 0 }
    this.#run = { ...(run ?? fresh), limit, isStopped: false }
    this.#position = { body: this.#run.body, offset: this.#run.offset }
    this.#found = this.#run.findings
    this.#told = new Set([...this.#run.findings, ...(last?.findings ?? [])].map(keyOf))
  }

  /** Throws `Fault("interrupted")` when it is told to stop. */
  run(): void {
    this.#save(false)
    try {
      const result = scrub({
        directory: store,
        from: this.#position,
        onProgress: (what, done, total) => this.#onProgress(what, done, total),
        onPosition: (position, findings) => this.#onPosition(position, findings),
      })
      this.#tell(result.findings)
      const { started } = this.#run
      const { records, recordBytes } = result.totals
      const bytes = this.#run.bytes + recordBytes
      const errors = this.#found.length + result.omitted
      const end = { started, finished: now(), records, bytes, errors, findings: this.#found }
      writeScrubState(store, { version: 1, last: end })
      log.info("scrubbed", { records, bytes, errors })
    } catch (thrown) {
      this.#save(thrown instanceof Fault && thrown.kind === "interrupted" && this.#isStopped)
      throw thrown
    }
  }

  get #isStopped(): boolean {
    return Atomics.load(words, ScrubWord.STOP) === 2
  }

  #onProgress(what: string, done: number, total: number): void {
    if (what !== "contents") {
      this.#pause(TABLE_PAUSE_MS)
      return
    }
    const bytes = Math.max(0, done - this.#seen)
    this.#seen = done
    Atomics.store(words, ScrubWord.DONE_MIB, Math.round((this.#run.bytes + done) / MIB))
    Atomics.store(words, ScrubWord.TOTAL_MIB, Math.round(total / MIB))
    if (limit > 0) this.#due = Math.max(this.#due, performance.now() - 1000) + (1000 * bytes) / (limit * MIB)
    this.#pause(limit > 0 ? this.#due - performance.now() : 0)
  }

  #pause(milliseconds: number): void {
    if (milliseconds > 0) Atomics.wait(words, ScrubWord.STOP, 0, milliseconds)
    if (Atomics.load(words, ScrubWord.STOP) !== 0) throw new Fault("interrupted", "the scrub was stopped")
  }

  #onPosition(position: { body: number; offset: number }, findings: readonly Finding[]): void {
    this.#position = position
    this.#tell(findings)
    if (performance.now() - this.#savedAt > SAVE_MS) this.#save(false)
  }

  /** Damage is logged once, however often it is met. */
  #tell(findings: readonly Finding[]): void {
    const known = new Set(this.#found.map(keyOf))
    for (const finding of findings) {
      const key = keyOf(finding)
      if (finding.severity !== "error" || known.has(key)) continue
      if (this.#found.length < MOST_FINDINGS) this.#found = [...this.#found, finding]
      if (this.#told.has(key)) continue
      this.#told.add(key)
      const { kind, path, range, message } = finding
      log.error("the store is damaged", { kind, path, ...range, reason: message })
    }
    Atomics.store(words, ScrubWord.ERRORS, this.#found.length)
  }

  #save(isStopped: boolean): void {
    this.#savedAt = performance.now()
    const { last } = readScrubState(store)
    const bytes = this.#run.bytes + this.#seen
    const rest = { ...this.#position, bytes, findings: this.#found, errors: this.#found.length, isStopped }
    writeScrubState(store, { version: 1, run: { ...this.#run, ...rest }, last })
  }
}

try {
  setPriority(0, LOWEST)
} catch (cause) {
  log.debug("priority stays", { reason: describe(cause) })
}
try {
  new Pass().run()
  present(parentPort, "parent port").postMessage({ is: "done" })
} catch (thrown) {
  if (!(thrown instanceof Fault && thrown.kind === "interrupted")) {
    log.error("the scrub failed", { reason: describe(thrown) })
    present(parentPort, "parent port").postMessage({ is: "failed", reason: describe(thrown) })
  }
}
