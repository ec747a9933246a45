/**
 * Watches the tools of one mount: their sandboxes are marked before anything of them runs, what their processes do becomes
 * events. It lives in the runner and ends with it: the kernel keeps nothing.
 */
import { Worker } from "node:worker_threads"
import { statSync } from "node:fs"
import type { Control } from "../../schema/sandbox.ts"
import type { RunEvents } from "../../schema/run-record.ts"
import { Fault, describe } from "../core/fault.ts"
import type { Level, Log } from "../core/log.ts"
import { eventsDirectory } from "./log.ts"
import type { FromReader, ReaderData, RunSummary, ToReader } from "./messages.ts"
import { MOST_RUNS, MarkFlag, MonitorProgram, RING_BYTES, type Absent, type Mark } from "./program.ts"
import { Thresholds, type Limits, type Usage } from "./thresholds.ts"

const READY_MS = 20_000
const END_MS = 5000
/** Of the reader's thread: what it keeps is bounded, and garbage is not to pile up beside the tools. */
const READER_HEAP_MB = 64
const READER_YOUNG_MB = 8
/** Between two looks at how near the limits are. */
const LOOK_MS = 500
/** Between the end of the last run and calls passing unseen again: the next run may come soon. */
const LINGER_MS = 2000

export interface MonitorOptions {
  readonly store: string
  readonly mountpoint: string
  readonly logLevel: Level
  /** Sandboxes have control groups of version 2. */
  readonly hasGroups: boolean
  readonly lists: ReaderData["lists"]
  /** `system/sandbox.json`, as it is when the monitor begins. */
  readonly policy: {
    readonly records_per_second: number
    readonly deny_files: readonly string[]
    readonly exec_files: readonly string[] | null
    readonly metrics: string | null
  }
}

export interface RunToWatch {
  readonly id: string
  readonly tool: string
  readonly maySpawn: boolean
  /** Its process is still bubblewrap, and becomes a program, or starts one, later. */
  readonly isSettingUp: boolean
  /** Places that it has been granted to connect to, as its sandbox has them: ADDRESS:PORT. */
  readonly granted: readonly string[]
  readonly limits: Limits
  /** What it uses now. */
  readonly usage: () => Usage
  /** The programs that it is started by, by descriptor or path. */
  readonly ownPrograms: readonly (number | string)[]
}

export class Monitor implements AsyncDisposable {
  readonly #program: MonitorProgram
  readonly #reader: Worker
  readonly #options: MonitorOptions
  readonly #log: Log
  /** Taken from the front, given back at the end: a process that takes long to die does not count for another run. */
  readonly #free = Array.from({ length: MOST_RUNS }, (_, slot) => slot)
  readonly #ending = new Map<number, (summary: RunSummary) => void>()
  readonly #runs = new Set<WatchedRun>()
  #nextRun = 1
  #look: NodeJS.Timeout | undefined
  #linger: NodeJS.Timeout | undefined
  #isReading = true

  private constructor(program: MonitorProgram, reader: Worker, options: MonitorOptions, log: Log) {
    this.#program = program
    this.#reader = reader
    this.#options = options
    this.#log = log
    reader.on("message", (message: FromReader) => {
      if (message.kind === "ended") this.#ended(message.run, message.summary)
    })
    reader.on("error", (thrown) => this.#stopped(describe(thrown)))
    reader.on("exit", () => this.#stopped("it has ended"))
  }

  /** Says why when there is none. `bytes`: of the ring. */
  static async start(options: MonitorOptions, log: Log): Promise<Monitor | Absent> {
    const program = MonitorProgram.load(options.hasGroups)
    if (!(program instanceof MonitorProgram)) return program
    try {
      denyFiles(program, options.policy.deny_files, log)
      const data: ReaderData = {
        ring: { fd: program.ring.fd, bytes: RING_BYTES },
        directory: eventsDirectory(options.store),
        lists: options.lists,
        mountpoint: options.mountpoint,
        metrics: options.policy.metrics,
        logLevel: options.logLevel,
      }
      const reader = new Worker(new URL("./reader-main.js", import.meta.url), {
        workerData: data,
        resourceLimits: { maxOldGenerationSizeMb: READER_HEAP_MB, maxYoungGenerationSizeMb: READER_YOUNG_MB },
      })
      await ready(reader)
      return new Monitor(program, reader, options, log)
    } catch (thrown) {
      program[Symbol.dispose]()
      return { reason: `its reader can't be started (${describe(thrown)})` }
    }
  }

  get control(): Control {
    const { withoutLsm } = this.#program
    if (!this.#isReading)
      return { name: "ebpf", state: "absent", detail: "its reader has ended: see the log" }
    if (withoutLsm === undefined)
      return {
        name: "ebpf",
        state: "enforced",
        detail: "BPF LSM: what tools do is told, what is not granted is denied",
      }
    return {
      name: "ebpf",
      state: "degraded",
      detail: `what tools do is told, by tracepoints; nothing is denied by it: ${withoutLsm}`,
      hint: "a kernel with CONFIG_BPF_LSM and bpf in its list of security modules (lsm=) has the rest",
    }
  }

  /** Marks the sandbox's first process, which waits. Undefined when there are too many runs, or nobody reads. */
  begin(run: RunToWatch, pidFd: number, group: bigint | undefined): WatchedRun | undefined {
    const slot = this.#isReading ? this.#free.shift() : undefined
    if (slot === undefined) return undefined
    const { exec_files, records_per_second } = this.#options.policy
    const flags =
      (exec_files === null ? 0 : MarkFlag.EXEC_LISTED) |
      (run.granted.length > 0 ? 0 : MarkFlag.NO_NETWORK) |
      (run.isSettingUp ? MarkFlag.SETTING_UP : 0)
    const mark: Mark = { slot, run: this.#nextRun, flags }
    this.#nextRun += 1
    const allowed = exec_files === null ? [] : this.#allow(mark, [...exec_files, ...run.ownPrograms])
    try {
      const { id, tool, maySpawn, granted } = run
      this.#tell({ kind: "begin", run: mark.run, id, tool, maySpawn, granted })
      clearTimeout(this.#linger)
      this.#program.looksAtCalls = true
      this.#program.mark(pidFd, mark, records_per_second, group)
      const watched: WatchedRun = {
        run,
        mark,
        group,
        allowed,
        thresholds: new Thresholds(run.id, run.tool, run.limits),
      }
      this.#runs.add(watched)
      this.#look ??= setInterval(() => this.#lookAtAll(), LOOK_MS).unref()
      return watched
    } catch (thrown) {
      // Its process has ended meanwhile, as a rule.
      for (const file of allowed) this.#program.allowExec(file, mark.run, false)
      this.#tell({ kind: "end", run: mark.run })
      this.#free.push(slot)
      if (this.#runs.size === 0) this.#restSoon()
      throw thrown
    }
  }

  #allow(mark: Mark, programs: readonly (number | string)[]): FileIds {
    const files = programs.flatMap((each) => {
      const path = typeof each === "number" ? `/proc/self/fd/${each}` : each
      const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
      return stat === undefined ? [] : [{ device: stat.dev, inode: stat.ino }]
    })
    for (const file of files) this.#program.allowExec(file, mark.run, true)
    return files
  }

  /** From a timer: what fails here ends neither the runner nor its tools. */
  #lookAtAll(): void {
    try {
      for (const watched of this.#runs) this.#lookAt(watched)
      this.#tell({ kind: "totals", totals: this.#program.totals() })
    } catch (thrown) {
      this.#log.info("what a tool uses can't be read", { reason: describe(thrown) })
    }
  }

  #lookAt({ run, thresholds }: WatchedRun): void {
    for (const event of thresholds.look(run.usage())) this.#tell({ kind: "event", event })
  }

  /** To be called when nothing of the sandbox runs any more: what its record shall have. */
  async end(watched: WatchedRun): Promise<RunEvents> {
    const { mark, group, allowed } = watched
    const counts = this.#program.counts(mark)
    this.#runs.delete(watched)
    this.#program.forget(group)
    for (const file of allowed) this.#program.allowExec(file, mark.run, false)
    const summary = await this.#summary(mark.run)
    this.#free.push(mark.slot)
    if (this.#runs.size === 0) {
      clearInterval(this.#look)
      this.#look = undefined
      this.#restSoon()
      this.#tell({ kind: "totals", totals: this.#program.totals() })
    }
    const { opened, written, executed, forked, connected, denied, sent, capped, dropped } = counts
    return {
      files_opened: opened,
      files_written: written,
      programs_started: executed,
      processes_started: forked,
      connections: connected,
      denials: denied,
      denials_by_layer: summary.denials,
      anomalies: summary.anomalies,
      recorded: sent,
      not_recorded: capped + dropped,
    }
  }

  /** Several runs may end at once, and each finds that there is none any more: one timer, or the others could not be taken back. */
  #restSoon(): void {
    clearTimeout(this.#linger)
    this.#linger = setTimeout(() => (this.#program.looksAtCalls = false), LINGER_MS).unref()
  }

  #summary(run: number): Promise<RunSummary> {
    if (!this.#isReading) return Promise.resolve({ denials: {}, anomalies: 0 })
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#ended(run, { denials: {}, anomalies: 0 }), END_MS)
      this.#ending.set(run, (summary) => {
        clearTimeout(timer)
        resolve(summary)
      })
      this.#tell({ kind: "end", run })
    })
  }

  #ended(run: number, summary: RunSummary): void {
    this.#ending.get(run)?.(summary)
    this.#ending.delete(run)
  }

  #tell(message: ToReader): void {
    if (this.#isReading) this.#reader.postMessage(message)
  }

  #stopped(reason: string): void {
    if (!this.#isReading) return
    this.#isReading = false
    this.#log.error("what tools do is not read any more", { reason })
    for (const run of [...this.#ending.keys()]) this.#ended(run, { denials: {}, anomalies: 0 })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#look)
    clearTimeout(this.#linger)
    if (this.#isReading) {
      const closed = new Promise<void>((resolve) => this.#reader.once("exit", () => resolve()))
      this.#tell({ kind: "close" })
      this.#isReading = false
      await closed
    }
    this.#program[Symbol.dispose]()
  }
}

type FileIds = readonly { readonly device: bigint; readonly inode: bigint }[]

/** A run that is marked; to be given back to `Monitor.end`. */
export interface WatchedRun {
  readonly run: RunToWatch
  readonly mark: Mark
  readonly group: bigint | undefined
  readonly allowed: FileIds
  readonly thresholds: Thresholds
}

function denyFiles(program: MonitorProgram, paths: readonly string[], log: Log): void {
  for (const path of paths) {
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
    if (stat === undefined) log.info("a file to be denied does not exist", { path })
    else program.denyFile({ device: stat.dev, inode: stat.ino })
  }
}

function ready(reader: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Fault("timeout", "it does not answer")), READY_MS)
    reader.once("message", () => {
      clearTimeout(timer)
      resolve()
    })
    reader.once("error", (thrown) => {
      clearTimeout(timer)
      reject(thrown)
    })
  })
}
