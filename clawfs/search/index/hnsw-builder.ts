/** Keeps the snapshot of the HNSW graph as good as the rules want it; on the writer's side. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { Fault } from "../../core/fault.ts"
import type { Snapshot } from "./hnsw-messages.ts"
import { putSnapshot, removeOtherSnapshots, snapshotOf } from "./hnsw-files.ts"
import { HnswProcess } from "./hnsw-process.ts"
import { IndexReader } from "./reader.ts"
import type { EmbedderRow } from "./vector-store.ts"
import { MOST_EXACT } from "./vector-search.ts"
import type { IndexWriter } from "./writer.ts"

/** More of the graph than that is of chunks that are gone: it is built from nothing. */
const MOST_DEAD = 0.3
/** With so many more vectors a snapshot is saved anew. */
const MOST_NEW = 0.1
/** 1,000,000 vectors at low priority. */
const BUILD_MS = 3_600_000

export type Due = "nothing" | "remove" | "extend" | "build"

export interface HnswBuilderOptions {
  /** Below it there is no graph; for tests. */
  readonly mostExact?: number
  /** Another path of hnsw-main.js, for tests. */
  readonly program?: string
}

export class HnswBuilder {
  readonly #directory: string
  readonly #options: HnswBuilderOptions

  constructor(directory: string, options: HnswBuilderOptions = {}) {
    this.#directory = directory
    this.#options = options
  }

  /** What should be done; cheap enough to be asked every few seconds. */
  due(): Due {
    using reader = new IndexReader(this.#directory)
    const embedder = reader.embedder()
    return embedder === undefined ? "nothing" : this.#due(reader, embedder)
  }

  /**
   * Does what is due, in a child process of low priority, and puts the result into the index. Returns the snapshot there is then.
   * `signal` ends it at once. Throws `Fault` when the child fails; searches are exact then, as before.
   */
  async run(writer: IndexWriter, signal?: AbortSignal): Promise<Snapshot | undefined> {
    using reader = new IndexReader(this.#directory)
    const embedder = reader.embedder()
    const due = embedder === undefined ? "nothing" : this.#due(reader, embedder)
    if (embedder === undefined) return undefined
    const before = snapshotOf(reader, embedder.n)
    if (due === "nothing") return before
    if (due === "remove") {
      writer.transact(() => writer.db.execute(`DELETE FROM snap WHERE embedder = ${embedder.n}`))
      removeOtherSnapshots(this.#directory, undefined)
      return undefined
    }
    const built =
      (due === "extend" && before !== undefined ? await this.#build(embedder, before, signal) : undefined) ??
      (await this.#build(embedder, undefined, signal))
    if (built === undefined) throw new Fault("io", "the vector graph could not be built")
    writer.transact(() => putSnapshot(writer.db, built))
    removeOtherSnapshots(this.#directory, built.file)
    return built
  }

  #due(reader: IndexReader, { n, dimensions }: EmbedderRow): Due {
    const [[live] = [0]] = reader.rows<[number]>(`SELECT count(*) FROM vector_${n}`)
    const snapshot = snapshotOf(reader, n)
    if (live * dimensions <= (this.#options.mostExact ?? MOST_EXACT))
      return snapshot === undefined ? "nothing" : "remove"
    if (snapshot === undefined || !existsSync(join(this.#directory, snapshot.file))) return "build"
    const [[inGraph] = [0]] = reader.rows<[number]>(
      // The sign keeps SQLite from looking for rows by number: it then counts in the much smaller index.
      `SELECT count(*) FROM vector_${n} WHERE +sequence <= ?`,
      snapshot.maxSequence,
    )
    if (snapshot.entries - inGraph > MOST_DEAD * inGraph) return "build"
    return live - inGraph > MOST_NEW * inGraph ? "extend" : "nothing"
  }

  /** Undefined: the snapshot to be extended is damaged. */
  async #build(
    { n, dimensions }: EmbedderRow,
    extend: Snapshot | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Snapshot | undefined> {
    signal?.throwIfAborted()
    const child = new HnswProcess(this.#options.program)
    const stop = (): void => child.kill()
    signal?.addEventListener("abort", stop)
    try {
      const request = { kind: "build", directory: this.#directory, embedder: n, dimensions, extend } as const
      const answer = await child.ask(request, BUILD_MS)
      if (answer.kind === "built") return answer.snapshot
      if (answer.kind === "problem" && answer.isDamaged && extend !== undefined) return undefined
      throw new Fault(
        "io",
        answer.kind === "problem" ? answer.message : "the vector graph could not be built",
      )
    } finally {
      signal?.removeEventListener("abort", stop)
      child.kill()
    }
  }
}
