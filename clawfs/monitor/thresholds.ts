/** Limits that are near (P1.5's alert levels), told once for each level of each run. */
import type { Metric } from "../../schema/events.ts"
import { TOOL_EVENT_FORMAT, type ToolEvent } from "../../schema/tool-event.ts"

/** Percent of a run's limit. */
const LEVELS = { MEMORY_USAGE: [90, 95], CPU_USAGE: [80, 90], PID_COUNT: [80, 90] } as const

/** Null where the machine does not tell. */
export interface Usage {
  readonly memoryBytes: number | null
  /** Of one CPU, over the time since the last look. */
  readonly cpuPercent: number | null
  readonly pids: number | null
}

export interface Limits {
  readonly memoryBytes: number
  readonly cpuPercent: number
  readonly pids: number
}

export class Thresholds {
  readonly #run: string
  readonly #tool: string
  readonly #limits: Limits
  /** Levels that have been told. */
  readonly #told = new Set<string>()

  constructor(run: string, tool: string, limits: Limits) {
    this.#run = run
    this.#tool = tool
    this.#limits = limits
  }

  /** What is to be told of `usage`: of each metric the highest level that was reached and not told yet. */
  look({ memoryBytes, cpuPercent, pids }: Usage): ToolEvent[] {
    const { memoryBytes: memory, cpuPercent: cpu, pids: most } = this.#limits
    return [
      ...this.#one("MEMORY_USAGE", memoryBytes, memory),
      ...this.#one("CPU_USAGE", cpuPercent, cpu),
      ...this.#one("PID_COUNT", pids, most),
    ]
  }

  #one(metric: keyof typeof LEVELS & Metric, value: number | null, limit: number): ToolEvent[] {
    if (value === null) return []
    const percent = Math.floor((100 * value) / limit)
    const reached = LEVELS[metric].filter(
      (level) => percent >= level && !this.#told.has(`${metric} ${level}`),
    )
    if (reached.length === 0) return []
    for (const level of reached) this.#told.add(`${metric} ${level}`)
    return [
      {
        format: TOOL_EVENT_FORMAT,
        time: new Date().toISOString(),
        monotonic_ns: process.hrtime.bigint().toString(),
        type: "THRESHOLD_EXCEEDED",
        run: this.#run,
        tool: this.#tool,
        pid: 0,
        tid: 0,
        threshold: { metric, value: Math.round(value), limit, percent },
      },
    ]
  }
}
