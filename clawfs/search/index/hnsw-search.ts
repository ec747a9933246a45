/** What searches the HNSW graph; see hnsw-process.ts. */
import type { EmbedderRow } from "./vector-store.ts"

export interface HnswSearch {
  /** Chunk ids near to a vector, in no order that counts; undefined: it can't be asked now. Does not throw. */
  nearest(embedder: EmbedderRow, query: Float32Array, count: number): Promise<number[] | undefined>
}
