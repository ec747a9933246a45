/** What a caller hears of a run: an exit status with a line for people, or the same for programs. */
import { CODES, TOOL_ANSWER_FORMAT, type CodeName, type ToolOutcome } from "../../schema/tool-answer.ts"
import type { RunReason } from "../../schema/run-record.ts"
import { Fault, describe, type FaultKind } from "../core/fault.ts"

/** Exit statuses of a run that are not the tool's own, as env(1) and timeout(1) have them. */
export const RunStatus = { TIMEOUT: 124, FAILED: 125, REFUSED: 126, MISSING: 127 } as const

export interface Told {
  readonly status: number
  /** Without the tool's name. Empty when the status says all. */
  readonly message: string
  readonly outcome: ToolOutcome
}

const SIGNALLED = 128
const MOST_SIGNAL = 64
const NANOSECONDS = 1_000_000

const OF_KIND: Readonly<Partial<Record<FaultKind, CodeName>>> = {
  busy: "EAGAIN",
  locked: "EAGAIN",
  interrupted: "EAGAIN",
  "not-found": "ENOENT",
  denied: "EPERM",
  unsupported: "EPERM",
  "read-only": "EPERM",
  corrupt: "EPERM",
  invalid: "EPROTO",
  "name-too-long": "EPROTO",
  timeout: "ETIMEOUT",
  io: "EIO",
  "no-space": "EIO",
}

/** Which of P1.8's codes says of a failure what can be done about it; EINTERNAL for everything that is nobody's fault but ours. */
function codeOf(thrown: unknown): CodeName {
  return (thrown instanceof Fault ? OF_KIND[thrown.kind] : undefined) ?? "EINTERNAL"
}

const OF_REASON: Readonly<Record<RunReason, CodeName>> = {
  EXITED: "SUCCESS",
  OOM: "SUCCESS",
  PIDS: "SUCCESS",
  TIMEOUT: "ETIMEOUT",
  CANCELLED: "EIO",
  DAEMON_DIED: "EINTERNAL",
  NOT_STARTED: "EINTERNAL",
}

export interface EndedRun {
  readonly runId: string
  readonly status: number
  readonly reason: RunReason
  readonly detail: string
  readonly pid: number
  readonly durationMs: number
}

/** Of a run that has begun. */
export function toldOf({ runId, status, reason, detail, pid, durationMs }: EndedRun): Told {
  const error = OF_REASON[reason]
  const isOwn = error === "SUCCESS"
  const isSignal = isOwn && status > SIGNALLED && status <= SIGNALLED + MOST_SIGNAL
  const outcome: ToolOutcome = {
    format: TOOL_ANSWER_FORMAT,
    ...{ code: CODES[error], error, message: detail, run_id: runId, reason },
    ...{ pid, exit_code: status, signal: isSignal ? status - SIGNALLED : 0 },
    runtime_ns: Math.round(durationMs) * NANOSECONDS,
  }
  return { status, message: detail, outcome }
}

/** Of one that could not begin. With a run's number the tool itself is there: something that it needs is not. */
export function refusal(thrown: unknown, runId?: string): Told {
  const fault = thrown instanceof Fault ? thrown : undefined
  const status =
    fault === undefined || fault.kind === "busy" || fault.kind === "timeout"
      ? RunStatus.FAILED
      : fault.kind === "not-found" && runId === undefined
        ? RunStatus.MISSING
        : RunStatus.REFUSED
  const hint = fault?.hint
  const [error, message] = [codeOf(thrown), describe(thrown)]
  const outcome: ToolOutcome = {
    format: TOOL_ANSWER_FORMAT,
    ...{ code: CODES[error], error, message, ...(hint === undefined ? {} : { hint }) },
    ...{
      run_id: runId ?? null,
      reason: runId === undefined ? null : "NOT_STARTED",
      pid: 0,
      exit_code: status,
    },
    ...{ signal: 0, runtime_ns: 0 },
  }
  return { status, message: hint === undefined ? message : `${message}\nhint: ${hint}`, outcome }
}
