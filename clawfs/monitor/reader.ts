/** Reads the ring while there are runs, and hands on what their processes did. */
import { BpfRing } from "../sys/bpf-ring.ts"
import { describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import { readRecord } from "../../schema/events.ts"
import type { Layer, ToolEvent } from "../../schema/tool-event.ts"
import { EventLog } from "./log.ts"
import type { BegunRun, ReaderData, RunSummary, Totals } from "./messages.ts"
import { Metrics } from "./metrics.ts"
import { KnownPrograms, Rules } from "./rules.ts"
import { tell, type Watched } from "./tell.ts"
import { Verdicts } from "./verdicts.ts"

/** The ring holds many times what comes meanwhile. */
const TICK_MS = 5
/** At once; then others have their turn. */
const MOST_AT_ONCE = 20_000
/** Between two writes of the log; a reader that follows waits no longer. */
const FLUSH_MS = 50
const UNFINISHED_MS = 50

type KernelRecord = NonNullable<ReturnType<typeof readRecord>>

interface Open extends Watched {
  readonly rules: Rules
  readonly denials: Partial<Record<Layer, number>>
  anomalies: number
}

export class Reader implements AsyncDisposable {
  readonly #ring: BpfRing
  readonly #events: EventLog
  readonly #log: Log
  readonly #mountpoint: string
  readonly #verdicts: { readonly spawn: Verdicts; readonly alone: Verdicts }
  readonly #programs = new KnownPrograms()
  readonly #runs = new Map<number, Open>()
  readonly #metrics: Metrics
  /** The runner numbers runs in ascending order, and says of each before its sandbox is marked. */
  #lastBegun = 0
  /** Of runs whose beginning has not been heard of yet: the ring can be faster than the runner's message. */
  readonly #early = new Map<number, KernelRecord[]>()
  /** hrtime is CLOCK_MONOTONIC, as the kernel's stamps are. */
  readonly #clockOffsetMs = Date.now() - Number(process.hrtime.bigint() / 1_000_000n)
  #tick: NodeJS.Timeout | undefined
  #flush: NodeJS.Timeout | undefined
  #isWritable = true
  totals: Totals = { sent: 0, dropped: 0, capped: 0, unmarked: 0 }

  private constructor(data: ReaderData, log: Log) {
    this.#log = log
    this.#mountpoint = data.mountpoint
    this.#events = new EventLog(data.directory)
    this.#ring = new BpfRing(data.ring.fd, data.ring.bytes)
    this.#verdicts = { spawn: new Verdicts(data.lists.spawn), alone: new Verdicts(data.lists.alone) }
    this.#metrics = new Metrics(() => ({ totals: this.totals, running: this.#runs.size }))
  }

  static async start(data: ReaderData, log: Log): Promise<Reader> {
    const reader = new Reader(data, log)
    if (data.metrics !== null)
      await reader.#metrics
        .listen(data.metrics)
        .catch((thrown: unknown) =>
          log.error("no metrics", { at: data.metrics ?? "", reason: describe(thrown) }),
        )
    return reader
  }

  begin({ run, id, tool, maySpawn, granted }: BegunRun): void {
    this.#programs.begin(tool)
    const verdicts = maySpawn ? this.#verdicts.spawn : this.#verdicts.alone
    const rules = new Rules(tool, this.#mountpoint, this.#programs, granted)
    const open: Open = { id, tool, verdicts, rules, denials: {}, anomalies: 0 }
    this.#runs.set(run, open)
    this.#lastBegun = run
    for (const record of this.#early.get(run) ?? []) this.#onRecord(record, open)
    this.#early.delete(run)
    this.#tick ??= setInterval(() => this.#drain(), TICK_MS)
  }

  /** Reads what is left of it. Its records may stand behind another's that is just being written: that takes microseconds. */
  end(run: number): RunSummary {
    const until = performance.now() + UNFINISHED_MS
    do this.#drain()
    while (this.#ring.hasMore && performance.now() < until)
    const open = this.#runs.get(run)
    this.#runs.delete(run)
    if (this.#runs.size === 0) {
      clearInterval(this.#tick)
      this.#tick = undefined
    }
    this.#write()
    return { denials: open?.denials ?? {}, anomalies: open?.anomalies ?? 0 }
  }

  #drain(): void {
    this.#ring.drain(MOST_AT_ONCE, (bytes, view, at, length) => {
      const record = readRecord(bytes, view, at, length)
      if (record === undefined) return
      const run = this.#runs.get(record.run)
      if (run !== undefined) this.#onRecord(record, run)
      else if (record.run > this.#lastBegun)
        this.#early.set(record.run, [...(this.#early.get(record.run) ?? []), record])
      // Else of a run that has ended: its last processes were killed with it.
    })
  }

  #onRecord(record: KernelRecord, run: Open): void {
    const event = tell(record, run, this.#clockOffsetMs)
    this.add(event)
    for (const anomaly of run.rules.judge(event)) this.add(anomaly)
  }

  /** To the log, and to the counts of its run. */
  add(event: ToolEvent): void {
    this.#metrics.count(event)
    this.#count(event)
    this.#events.add(event)
    this.#flush ??= setTimeout(() => this.#write(), FLUSH_MS)
  }

  #count({ run, type, layer }: ToolEvent): void {
    for (const open of this.#runs.values()) {
      if (open.id !== run) continue
      if (layer !== undefined) open.denials[layer] = (open.denials[layer] ?? 0) + 1
      if (type === "SYSCALL_ANOMALY" || type === "THRESHOLD_EXCEEDED") open.anomalies += 1
    }
  }

  /** What can't be written is told to the log, once, and lost; tools run all the same. */
  #write(): void {
    clearTimeout(this.#flush)
    this.#flush = undefined
    try {
      this.#events.flush()
      this.#isWritable = true
    } catch (thrown) {
      if (this.#isWritable) this.#log.error("events can't be written", { reason: describe(thrown) })
      this.#isWritable = false
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#tick)
    this.#drain()
    this.#write()
    this.#events[Symbol.dispose]()
    this.#ring[Symbol.dispose]()
    await this.#metrics[Symbol.asyncDispose]()
  }
}
