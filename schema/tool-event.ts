/** One line of the event log: what a tool did or tried, as `clawfs events` shows it. docs/EVENTS.md describes the fields. */
import { z } from "./zod.ts"
import {
  TOOL_EVENT_TYPES,
  type Direction,
  type FileOperation,
  type Metric,
  type Protocol,
  type Severity,
  type ToolEventType,
} from "./events.ts"

export const TOOL_EVENT_FORMAT = 1

/** Which of a sandbox's layers refused something. */
export const LAYERS = [
  /** The filter of system calls. */
  "seccomp",
  /** The monitor's own program, asked by the kernel (BPF LSM). */
  "bpf-lsm",
  /** What is not granted is not mounted, or mounted read-only. */
  "mounts",
  /** The sandbox's network has no way there. */
  "network",
  /** Owners, modes, capabilities, and other security modules of the kernel. */
  "permissions",
] as const
export type Layer = (typeof LAYERS)[number]

export interface ToolEvent {
  readonly format: typeof TOOL_EVENT_FORMAT
  /** ISO 8601, UTC, in milliseconds. */
  readonly time: string
  /** CLOCK_MONOTONIC in nanoseconds, in digits: the order of things. */
  readonly monotonic_ns: string
  readonly type: ToolEventType
  readonly run: string
  readonly tool: string
  /** As the host counts them; 0 for what concerns a whole run. */
  readonly pid: number
  readonly tid: number
  /** Who refused it; missing where nobody did. */
  readonly layer?: Layer
  /** Such as "EPERM", of what failed. */
  readonly error?: string
  /** The system call's name. */
  readonly call?: string
  readonly args?: readonly string[]
  readonly file?: {
    readonly operation: FileOperation
    readonly path: string
    readonly uid: number
    readonly gid: number
    readonly inode?: string
    readonly device?: number
    readonly mode?: number
  }
  readonly network?: {
    readonly protocol: Protocol
    readonly direction: Direction
    readonly address: string
    readonly port: number
  }
  readonly process?: {
    readonly name: string
    /** Of one that was started. */
    readonly child?: number
    /** Of one that ended: its status, or the signal that killed it. */
    readonly status?: number
    readonly signal?: number
  }
  readonly anomaly?: { readonly rule: AnomalyRule; readonly severity: Severity; readonly detail: string }
  readonly threshold?: {
    readonly metric: Metric
    readonly value: number
    readonly limit: number
    readonly percent: number
  }
}

export const ANOMALY_RULES = [
  /** More refusals in a second than a program that works meets. */
  "refusal-rate",
  /** A program that this tool has not started before. */
  "new-executable",
  /** A program that would change its user or group, had the sandbox not taken that from it. */
  "setuid-program",
  "vault-access",
  "unknown-host",
  /** A privileged call that was not refused. */
  "privileged-call",
  /** A process was killed by a signal that the kernel sends for what is not allowed (SIGSYS). */
  "killed-for-call",
] as const
export type AnomalyRule = (typeof ANOMALY_RULES)[number]

/** What a reader wants of the log: parameters of the control socket's `events.read`. */
export const EventQuery = z.strictObject({
  /** Where the last answer ended; from the beginning without it. "end": nothing but what comes from now on. */
  after: z
    .string()
    .regex(/^(?:end|\d{1,9}:\d{1,12})$/)
    .optional(),
  types: z.array(z.enum(TOOL_EVENT_TYPES)).optional(),
  tool: z.string().optional(),
  run: z.string().optional(),
  /** Milliseconds since the epoch. */
  since: z.number().optional(),
  limit: z.int().min(1).max(10_000).default(1000),
})
export type EventQuery = z.output<typeof EventQuery>

export interface EventPage {
  readonly events: readonly ToolEvent[]
  /** For the next question. */
  readonly after: string
  /** There is more now. */
  readonly hasMore: boolean
  /** Events between the last answer and this one have been removed: the log is bounded. */
  readonly isGap: boolean
}
