/** What the indexer's process and the server say to each other. */
import type { Level } from "../../core/log.ts"
import type { IndexerStatus } from "./indexer.ts"

/** The only argument of the process, as JSON. */
export interface IndexerConfig {
  readonly store: string
  readonly logLevel: Level
}

export type IndexerOrder =
  /** Changes up to this one are wanted as soon as possible. */
  { readonly kind: "hurry"; readonly seq: number } | { readonly kind: "rebuild" }

export interface IndexerReport extends IndexerStatus {
  readonly kind: "status"
  /** The feed is not needed up to here. */
  readonly followed: number
  /** Vectors are being made. */
  readonly isEmbedding: boolean
  /** Why no vectors are made; "" when they are, or none are wanted. */
  readonly problem: string
}
