/**
 * The only importer of usearch, and loaded in a child process alone (hnsw-main.ts): a damaged file kills the process that loads it,
 * and every call blocks. Version 2.26.2 exactly: 2.25.3 corrupts the heap when a graph is loaded from which much was removed.
 */
import { Index, MetricKind, ScalarKind } from "usearch"

/** Edges a node, and candidates while adding: P1.4's parameters. */
const CONNECTIVITY = 16
const EXPANSION_ADD = 200
/** Adding runs at low priority beside everything else. */
const THREADS = 1

export class HnswGraph {
  readonly #index: Index

  /** `ef`: candidates while searching. */
  constructor(dimensions: number, ef: number) {
    this.#index = new Index({
      ...{ dimensions, metric: MetricKind.Cos, quantization: ScalarKind.F16, connectivity: CONNECTIVITY },
      ...{ expansion_add: EXPANSION_ADD, expansion_search: ef, multi: false },
    })
  }

  get size(): number {
    return this.#index.size()
  }

  /** What is loaded decides the dimensions, whatever the constructor was told. */
  get dimensions(): number {
    return this.#index.dimensions()
  }

  /** Of a file that was verified. */
  load(file: string): void {
    this.#index.load(file)
  }

  /** Not safe against a crash: to a temporary name, then sync and rename. */
  save(file: string): void {
    this.#index.save(file)
  }

  /** One that is there already is left alone. The vector must be finite and not zero. */
  add(chunk: number, vector: Float32Array): void {
    const key = BigInt(chunk)
    if (this.#index.contains(key) === true) return
    this.#index.add(key, vector, THREADS)
  }

  nearest(query: Float32Array, count: number): number[] {
    if (this.#index.size() === 0) return []
    return Array.from(this.#index.search(query, Math.min(count, this.#index.size()), THREADS).keys, Number)
  }
}
