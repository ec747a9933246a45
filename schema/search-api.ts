/** Search as the daemon's sockets offer it. Paths are from the mount's root, without a slash in front. */
import { z } from "./zod.ts"

export const SEARCH_MODES = ["hybrid", "words", "meaning"] as const
export const FUSIONS = ["min-max", "rrf"] as const

export const SearchParams = z.strictObject({
  query: z.string(),
  mode: z.enum(SEARCH_MODES).optional(),
  limit: z.int().optional(),
  fusion: z.enum(FUSIONS).optional(),
  /** Only what lies below these. */
  below: z.array(z.string()).max(64).optional(),
  /** Waits until everything that was answered before this request is in the index, 2 s at most. */
  fresh: z.boolean().optional(),
  /** With the parts of each score. */
  explain: z.boolean().optional(),
})
export type SearchParams = z.output<typeof SearchParams>

export const SearchHit = z.object({
  path: z.string(),
  /** The path's bytes in base64, for a path that is not UTF-8. */
  rawPath: z.string().optional(),
  score: z.number(),
  title: z.string(),
  /** Name of the extractor: "markdown", "code", "pdf" … */
  type: z.string(),
  heading: z.string(),
  /** Of the part that fits best, counted from 1; null for a file that was found by its name alone. */
  firstLine: z.number().nullable(),
  lastLine: z.number().nullable(),
  snippet: z
    .object({
      text: z.string(),
      firstLine: z.number(),
      /** Ranges [start, end) of `text` that match. */
      highlights: z.array(z.tuple([z.number(), z.number()])),
    })
    .nullable(),
  parts: z.record(z.string(), z.unknown()).optional(),
})
export type SearchHit = z.output<typeof SearchHit>

export const SearchResponse = z.object({
  results: z.array(SearchHit),
  mode: z.enum(SEARCH_MODES),
  /** What was not taken into account, a sentence each. */
  degraded: z.array(z.string()),
  milliseconds: z.number(),
  /** Everything that was answered before the request was in the index. */
  isFresh: z.boolean(),
})
export type SearchResponse = z.output<typeof SearchResponse>

/** How the index is: method "index.status". */
export interface IndexStatus {
  readonly files: { readonly indexed: number; readonly skipped: number; readonly failed: number }
  readonly chunks: number
  readonly embedders: readonly {
    readonly id: string
    readonly dimensions: number
    /** Chunks that it has gone through. */
    readonly done: number
    /** It answers. */
    readonly isCurrent: boolean
    /**
     * Of many vectors: the saved HNSW graph, with so many of them, and its recall of the nearest ten against exact search, measured
     * when it was built. "exact": a graph is not needed, or none is good enough.
     */
    readonly graph: { readonly vectors: number; readonly recall: number } | "exact"
  }[]
  /** Everything up to this change of the store is in the index; its last change. */
  readonly applied: number
  readonly last: number
  /** Files to be looked at, and since when the first of them waits. */
  readonly pending: number
  readonly lagMs: number
  readonly isIndexing: boolean
  readonly isEmbedding: boolean
  /** Why no vectors are made; "" when they are, or none are wanted. */
  readonly problem: string
  readonly indexerPid: number | null
  readonly searcherPid: number | null
}

/** What the index has of one file: method "index.explain". */
export interface IndexExplanation {
  /** "unknown": it is not there, or was not looked at yet. */
  readonly state: "indexed" | "skipped" | "failed" | "ignored" | "encrypted" | "unknown"
  /** Why, where it is not indexed; else "". */
  readonly reason: string
  readonly type: string
  readonly title: string
  readonly chunks: number
  /** False: a limit cut the text off. */
  readonly isWhole: boolean
}

export const ExplainParams = z.strictObject({ path: z.string().min(1) })
