/** What the indexer's process and the server say to each other. */
import type { Level } from "../../core/log.ts"
import type { IndexerStatus } from "./indexer.ts"

/** The only argument of the process, as JSON. */
export interface IndexerConfig {
  readonly store: string
  /** Directory of the vault that embedders' keys come from. */
  readonly vault: string
  readonly logLevel: Level
}

export type IndexerOrder =
  /** Changes up to this one are wanted as soon as possible. */
  | { readonly kind: "hurry"; readonly seq: number }
  | { readonly kind: "rebuild" }
  /** The index is to be checked; answered by one `VerifyReport`. */
  | { readonly kind: "verify" }

export interface IndexerReport extends IndexerStatus {
  readonly kind: "status"
  /** The feed is not needed up to here. */
  readonly followed: number
  /** Vectors are being made. */
  readonly isEmbedding: boolean
  /** Why no vectors are made; "" when they are, or none are wanted. */
  readonly problem: string
}

export interface VerifyReport {
  readonly kind: "verified"
  /** What is wrong, a sentence each. */
  readonly problems: readonly string[]
}
