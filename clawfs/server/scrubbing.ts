/** The main thread's side of the scrub: orders, the schedule, and what the status says of it. */
import { statSync } from "node:fs"
import { join } from "node:path"
import { Worker } from "node:worker_threads"
import { Fault, describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import type { Finding } from "../fsck/finding.ts"
import { SEGMENTS } from "../store/store.ts"
import type { ServerConfig } from "./messages.ts"
import { readScrubState } from "./scrub-state.ts"
import { ScrubWord, type ScrubWorkerData } from "./scrub-words.ts"

export interface ScrubStatus {
  readonly state: "running" | "stopped" | "idle"
  /** Of the pass that is running or was stopped: bytes read, bytes in all, seconds since 1970 of its start. */
  readonly doneBytes: number
  readonly totalBytes: number
  readonly started?: number | undefined
  readonly errors: number
  readonly findings: readonly Finding[]
  /** Of the last whole pass. */
  readonly last?: {
    readonly started: number
    readonly finished: number
    readonly bytes: number
    readonly errors: number
  }
  readonly failure?: string | undefined
}

const MIB = 1024 * 1024
const DAY_SECONDS = 86_400
/** MiB a second of a scrub that nobody asked for. */
const SCHEDULED_LIMIT = 20
/** The first look comes when a new mount has settled. */
const FIRST_LOOK_MS = 60_000
const LOOK_MS = 3_600_000
const HEAP_MB = 256

export class Scrubbing {
  readonly #config: ServerConfig
  readonly #log: Log
  readonly #words = new Int32Array(new SharedArrayBuffer(16))
  #worker: Worker | undefined
  #failure: string | undefined
  #hasBegun = false

  constructor(config: ServerConfig, log: Log) {
    this.#config = config
    this.#log = log
  }

  /** The store is being served: a pass that an earlier server had begun goes on, and one begins when it is time. */
  begin(): void {
    if (this.#config.readOnly || this.#hasBegun) return
    this.#hasBegun = true
    try {
      const { run } = readScrubState(this.#config.store)
      if (run !== undefined && !run.isStopped) this.start(run.limit)
    } catch (thrown) {
      this.#log.error("no scrub was started", { reason: describe(thrown) })
    }
    if (this.#config.scrubDays === 0) return
    setTimeout(() => this.#look(), FIRST_LOOK_MS).unref()
    setInterval(() => this.#look(), LOOK_MS).unref()
  }

  #look(): void {
    try {
      const { run, last } = readScrubState(this.#config.store)
      const since = last?.finished ?? statSync(join(this.#config.store, SEGMENTS)).birthtimeMs / 1000
      const age = Date.now() / 1000 - since
      if (this.#worker === undefined && run === undefined && age > this.#config.scrubDays * DAY_SECONDS)
        this.start(SCHEDULED_LIMIT)
    } catch (thrown) {
      this.#log.error("no scrub was started", { reason: describe(thrown) })
    }
  }

  /** Begins a pass, or goes on with one that was stopped. `limit`: MiB a second, 0 for none. */
  start(limit: number): void {
    if (this.#config.readOnly) throw new Fault("read-only", `${this.#config.mountpoint} is mounted read-only`)
    if (this.#worker !== undefined)
      throw new Fault("busy", "a scrub is running", { hint: "clawfs scrub status shows how far it is" })
    this.#words.fill(0)
    this.#failure = undefined
    const { store, logLevel } = this.#config
    const shared = this.#words.buffer
    const data: ScrubWorkerData = { store, logLevel, limit, shared }
    const worker = new Worker(new URL("./scrub-worker.js", import.meta.url), {
      workerData: data,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    })
    this.#worker = worker
    worker.on("message", (message: { is: string; reason?: string }) => (this.#failure = message.reason))
    worker.on("error", (thrown) => {
      this.#failure = describe(thrown)
      this.#log.error("the scrub failed", { reason: this.#failure })
    })
    worker.on("exit", () => (this.#worker = undefined))
    worker.unref()
  }

  /** Ends the pass; with `isOrder` it does not go on by itself. Resolves when the thread has ended. */
  async stop(isOrder: boolean): Promise<void> {
    const worker = this.#worker
    if (worker === undefined) {
      if (isOrder) throw new Fault("not-found", "no scrub is running")
      return
    }
    Atomics.store(this.#words, ScrubWord.STOP, isOrder ? 2 : 1)
    Atomics.notify(this.#words, ScrubWord.STOP)
    await new Promise<void>((resolve) => worker.once("exit", () => resolve()))
  }

  get status(): ScrubStatus {
    const { run, last } = readScrubState(this.#config.store)
    const isRunning = this.#worker !== undefined
    const word = (at: number): number => Atomics.load(this.#words, at)
    const state = isRunning ? "running" : run === undefined ? "idle" : "stopped"
    const ended = last && {
      started: last.started,
      finished: last.finished,
      bytes: last.bytes,
      errors: last.errors,
    }
    return {
      state,
      doneBytes: isRunning ? word(ScrubWord.DONE_MIB) * MIB : (run?.bytes ?? 0),
      totalBytes: word(ScrubWord.TOTAL_MIB) * MIB,
      started: run?.started,
      errors: isRunning ? word(ScrubWord.ERRORS) : ((run ?? last)?.errors ?? 0),
      findings: (run ?? last)?.findings ?? [],
      ...(ended === undefined ? {} : { last: ended }),
      ...(this.#failure === undefined ? {} : { failure: this.#failure }),
    }
  }
}
