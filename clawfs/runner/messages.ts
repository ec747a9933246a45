/** Between the server and the runner, its child. */
import type { Level } from "../core/log.ts"
import type { SandboxStatus } from "../../schema/sandbox.ts"

export interface RunnerConfig {
  readonly mountpoint: string
  readonly logLevel: Level
}

/** Server → runner. It gets one `RunnerReply`. */
export interface RunnerRequest {
  readonly id: number
  readonly method: "status"
}

/** Runner → server. "ready" comes once: from then on tools can be run. */
export type RunnerReport =
  { readonly kind: "ready" } | { readonly kind: "reply"; readonly id: number; readonly value: SandboxStatus }
