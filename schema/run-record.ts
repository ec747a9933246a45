/** `system/runs/ID.json`: one execution of a tool. Read without a validator: the runner alone writes it. */
import type { Layer } from "./tool-event.ts"

export const RUN_FORMAT = 1

/** Why a run ended. */
export type RunReason =
  | "EXITED"
  /** A process of the tool was killed for want of memory. */
  | "OOM"
  /** A process or thread more than the limit was refused to it; what it made of that is its exit status. */
  | "PIDS"
  | "TIMEOUT"
  /** The caller went away, or the daemon was told to end. */
  | "CANCELLED"
  /** The runner died with the tool; the next one completed the record. */
  | "DAEMON_DIED"
  /** The sandbox could not be started. */
  | "NOT_STARTED"

export interface RunUsage {
  readonly memory_peak_bytes: number | null
  readonly cpu_us: number | null
  readonly cpu_throttled_us: number | null
  readonly pids_peak: number | null
  /** Forks that the limit refused. */
  readonly pids_refused: number | null
  readonly oom_kills: number | null
  /** By its processes from the disk with the machine's programs; what ClawFS moves for them is not in it. */
  readonly io_read_bytes: number | null
  readonly io_written_bytes: number | null
}

/** What the monitor saw of a run. The counts are exact, whether what was counted became an event or not. */
export interface RunEvents {
  readonly files_opened: number
  /** Of them, to write. */
  readonly files_written: number
  readonly programs_started: number
  readonly processes_started: number
  /** Attempts. */
  readonly connections: number
  /** What was refused by whatever layer. */
  readonly denials: number
  /** Of those that became events. */
  readonly denials_by_layer: Readonly<Partial<Record<Layer, number>>>
  /** Of rules and limits. */
  readonly anomalies: number
  readonly recorded: number
  /** Above what a run may send in a second, or the ring was full. */
  readonly not_recorded: number
}

export interface RunRecord {
  readonly format: typeof RUN_FORMAT
  readonly run_id: string
  readonly tool_id: string
  readonly version: string
  readonly binary_hash: string
  readonly caller: { readonly uid: number; readonly gid: number; readonly pid: number }
  /** SHA-256 over the arguments, each with a NUL at its end. */
  readonly arguments: { readonly count: number; readonly sha256: string }
  readonly limits: {
    readonly memory_limit_mb: number
    readonly cpu_quota_percent: number
    readonly pids_limit: number
    readonly timeout_seconds: number
    /** Of /tmp, and again of /dev/shm. */
    readonly tmp_limit_mb: number
    /** MiB a second; null for no limit. */
    readonly io_limit_mb: number | null
  }
  readonly state: "running" | "ended"
  readonly started_at: string
  readonly ended_at: string | null
  readonly duration_ms: number | null
  readonly exit_status: number | null
  readonly reason: RunReason | null
  /** A sentence, where there is something to say. */
  readonly detail: string | null
  readonly usage: RunUsage
  /** Of its link, at both ends; null without one. */
  readonly packets: { readonly passed: number; readonly dropped: number } | null
  /** Null while it runs, and where nobody watched (`clawfs sandbox status`: ebpf). */
  readonly events: RunEvents | null
}
