/** Between the server and the runner, its child. */
import type { FaultKind } from "../core/fault.ts"
import type { Level } from "../core/log.ts"
import type { SandboxStatus, Unconfined } from "../../schema/sandbox.ts"

export interface RunnerConfig {
  readonly store: string
  readonly mountpoint: string
  /** Directory of the vault whose signed manifests count. */
  readonly vault: string
  /** As the server's configuration has it. */
  readonly unconfined: Unconfined | undefined
  readonly logLevel: Level
}

/** Server → runner. It gets one `RunnerReply`. */
export interface RunnerRequest {
  readonly id: number
  readonly method: "status"
}

/** Runner → server. "ready" comes once: from then on tools can be run. */
export type RunnerReport =
  | { readonly kind: "ready" }
  | { readonly kind: "reply"; readonly id: number; readonly ok: true; readonly value: SandboxStatus }
  | { readonly kind: "reply"; readonly id: number; readonly ok: false; readonly fault: RunnerFault }

export interface RunnerFault {
  readonly kind: FaultKind
  readonly message: string
}
