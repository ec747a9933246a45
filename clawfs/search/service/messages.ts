/** What the searching process and the server say to each other. */
import type { FaultKind } from "../../core/fault.ts"
import type { Level } from "../../core/log.ts"
import type { Caller } from "./permissions.ts"

/** The only argument of the process, as JSON. */
export interface SearcherConfig {
  readonly store: string
  /** Directory of the vault that embedders' keys come from. */
  readonly vault: string
  readonly logLevel: Level
}

export interface SearcherRequest {
  readonly id: number
  readonly method: string
  readonly params: unknown
  readonly caller: Caller
}

export type SearcherReply =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | {
      readonly id: number
      readonly ok: false
      readonly fault: {
        readonly kind: FaultKind
        readonly message: string
        readonly hint?: string | undefined
      }
    }
