/** What the HNSW child process is asked and answers; by Node's channel for child processes. */

export type HnswRequest =
  | {
      readonly kind: "build"
      readonly directory: string
      readonly embedder: number
      readonly dimensions: number
      /** The snapshot that is taken further; undefined: from nothing. */
      readonly extend: Snapshot | undefined
    }
  | { readonly kind: "open"; readonly directory: string; readonly embedder: number }
  | { readonly kind: "nearest"; readonly query: Float32Array; readonly count: number }

/** A row of the table `snap`. */
export interface Snapshot {
  readonly embedder: number
  readonly file: string
  readonly sha256: Uint8Array
  readonly dimensions: number
  readonly maxSequence: number
  readonly entries: number
  readonly ef: number
  readonly recall: number
}

export type HnswAnswer =
  | { readonly kind: "built"; readonly snapshot: Snapshot }
  | { readonly kind: "opened"; readonly ef: number }
  /** Chunk ids, and up to which row of the vector table the graph knows them. */
  | { readonly kind: "near"; readonly chunks: readonly number[]; readonly sequence: number }
  /** `isDamaged`: the file is not what was saved. */
  | { readonly kind: "problem"; readonly message: string; readonly isDamaged: boolean }
