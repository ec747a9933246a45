/** A snapshot that answers, in the child process, with what has come since added in memory. */
import { HnswGraph } from "./hnsw-graph.ts"
import { loadVerified, vectorsAfter } from "./hnsw-build.ts"
import { snapshotOf } from "./hnsw-files.ts"
import { IndexReader } from "./reader.ts"

/** Among thousands of texts that are nearly the same, a narrower search misses the nearest. */
const LEAST_EF = 256
/** How long a query may have to wait for additions. */
const SLICE_MS = 20

export class OpenGraph {
  readonly ef: number
  readonly #reader: IndexReader
  readonly #graph: HnswGraph
  readonly #embedder: number
  #sequence: number

  /** Throws `DamagedSnapshot`, or an error when there is no snapshot that may be used. */
  constructor(directory: string, embedder: number) {
    this.#reader = new IndexReader(directory)
    this.#embedder = embedder
    const snapshot = snapshotOf(this.#reader, embedder)
    if (snapshot === undefined || snapshot.ef === 0) throw new Error("there is no graph to search")
    this.ef = Math.max(snapshot.ef, LEAST_EF)
    this.#graph = loadVerified(directory, snapshot, this.ef)
    this.#sequence = snapshot.maxSequence
  }

  /** Rows of the vector table up to here are in it. */
  get sequence(): number {
    return this.#sequence
  }

  nearest(query: Float32Array, count: number): number[] {
    return this.#graph.nearest(query, count)
  }

  catchUp(): void {
    const end = performance.now() + SLICE_MS
    for (const { sequence, chunk, vector } of vectorsAfter(this.#reader, this.#embedder, this.#sequence)) {
      if (vector !== undefined) this.#graph.add(chunk, vector)
      this.#sequence = sequence
      if (performance.now() > end) return
    }
  }
}
