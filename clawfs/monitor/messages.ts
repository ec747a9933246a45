/** Between the runner, which marks sandboxes, and the thread that reads what their processes did. */
import type { Level } from "../core/log.ts"
import type { SeccompList } from "../../schema/seccomp.ts"
import type { Layer, ToolEvent } from "../../schema/tool-event.ts"

export interface ReaderData {
  readonly ring: { readonly fd: number; readonly bytes: number }
  /** Where the log is. */
  readonly directory: string
  /** What tools may call, with `process:spawn` and without. */
  readonly lists: { readonly spawn: SeccompList; readonly alone: SeccompList }
  readonly mountpoint: string
  readonly metrics: string | null
  readonly logLevel: Level
}

export interface BegunRun {
  /** The number that records have. */
  readonly run: number
  readonly id: string
  readonly tool: string
  readonly maySpawn: boolean
  /** What it may connect to, as its sandbox has it: ADDRESS:PORT. */
  readonly granted: readonly string[]
}

export type ToReader =
  | ({ readonly kind: "begin" } & BegunRun)
  /** Gets one "ended", when everything that the run did has been read. */
  | { readonly kind: "end"; readonly run: number }
  | { readonly kind: "event"; readonly event: ToolEvent }
  /** Of all runs together, for the metrics. */
  | { readonly kind: "totals"; readonly totals: Totals }
  | { readonly kind: "close" }

export type FromReader =
  | { readonly kind: "ready" }
  | { readonly kind: "ended"; readonly run: number; readonly summary: RunSummary }
  | { readonly kind: "closed" }

export interface RunSummary {
  /** Refusals that were read, by the layer that refused. */
  readonly denials: Readonly<Partial<Record<Layer, number>>>
  readonly anomalies: number
}

/** Records since the monitor was started. */
export interface Totals {
  readonly sent: number
  /** The ring was full. */
  readonly dropped: number
  /** A run had used up what it may send in a second. */
  readonly capped: number
  /** Processes that could not be marked. */
  readonly unmarked: number
}
