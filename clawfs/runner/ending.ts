/** How a run ended: what its caller is told, and what its record has besides. */
import type { RunEvents, RunReason, RunUsage } from "../../schema/run-record.ts"
import { describe } from "../core/fault.ts"
import { NO_USAGE } from "./cgroup-files.ts"
import type { Cgroup } from "./cgroup.ts"
import { RunStatus, refusal } from "./outcome.ts"
import type { SandboxPlan } from "./plan.ts"

/** All that its caller is told. */
export interface Ending {
  readonly status: number
  readonly reason: RunReason
  /** For the caller's stderr and the record; empty when the tool's own status says all. */
  readonly detail: string
}

/** What its record has besides. */
export interface Outcome extends Ending {
  readonly usage: RunUsage
  readonly events: RunEvents | null
}

export interface Executed {
  readonly ending: Ending
  /** Begins to be counted when whoever waits for the ending has been served. */
  readonly outcome: Promise<Outcome>
}

/** Why everything in a sandbox was killed. */
export type Cancelled = "TIMEOUT" | "CANCELLED" | "LOCKED"

/** Of a tool that has been started: by its status, why it was killed if it was, and what its group refused it. */
export function endingOf(
  status: number,
  cancelled: Cancelled | undefined,
  group: Pick<Cgroup, "oomKills" | "pidsRefused"> | undefined,
  { timeout_seconds, memory_limit_mb, pids_limit }: SandboxPlan["limits"],
): Ending {
  switch (cancelled) {
    case "TIMEOUT":
      return {
        status: RunStatus.TIMEOUT,
        reason: "TIMEOUT",
        detail: `it took longer than ${timeout_seconds} s and was killed`,
      }
    case "LOCKED":
      return {
        status: RunStatus.FAILED,
        reason: "CANCELLED",
        detail: "the vault that gave its secrets has been locked, and it was killed",
      }
    case "CANCELLED":
      return { status, reason: "CANCELLED", detail: "its caller has gone" }
    case undefined:
      break
  }
  if (group !== undefined && group.oomKills > 0)
    return {
      status,
      reason: "OOM",
      detail: `it needed more than ${memory_limit_mb} MiB of memory and was killed`,
    }
  if (group !== undefined && group.pidsRefused > 0) {
    // One that has managed without has nothing to complain of.
    const detail = status === 0 ? "" : `it wanted more than ${pids_limit} processes and threads`
    return { status, reason: "PIDS", detail }
  }
  return { status, reason: "EXITED", detail: "" }
}

/** `failure`: what bubblewrap has said. */
export function notStarted(failure: string | undefined): Ending {
  const detail = `its sandbox could not be started${failure === undefined ? "" : ` (${failure})`}`
  return { status: RunStatus.REFUSED, reason: "NOT_STARTED", detail }
}

/** For the record of a run whose sandbox could not even be asked for. */
export function notBegun(thrown: unknown, runId: string): Outcome {
  const { status } = refusal(thrown, runId)
  return { status, reason: "NOT_STARTED", detail: describe(thrown), usage: NO_USAGE, events: null }
}
