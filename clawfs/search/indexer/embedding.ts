/**
 * Gives the chunks their vectors, some at a time, whenever the indexer has nothing more urgent. The embedder that answers
 * comes first, so that what was saved is found at once; one that is to take its place is filled beside it.
 */
import { Fault, describe } from "../../core/fault.ts"
import type { Log } from "../../core/log.ts"
import type { EmbedderConfig } from "../../../schema/search.ts"
import { BuiltinEmbedder } from "../embed/builtin.ts"
import { embeddedText, type Embedder } from "../embed/embedder.ts"
import { decodeModel, emptyModel, type Model } from "../embed/model.ts"
import { openEmbedder } from "../embed/open.ts"
import { HnswBuilder } from "../index/hnsw-builder.ts"
import { learnFromIndex, type LearnedModel } from "../index/learn.ts"
import type { ChunkToEmbed, EmbedderRow } from "../index/vector-store.ts"
import type { IndexWriter } from "../index/writer.ts"
import type { ArchivedVectors } from "./archived-vectors.ts"

/** Chunks at a time: some 20 ms with the built-in embedder. */
const BATCH = 32
/** Of another one, which has a process or a service of its own. */
const LARGE_BATCH = 256
/** The built-in embedder learns from so many chunks on, ... */
const LEARN_FROM = 50
/** ... and again when there are so many times as many. */
const GROWTH = 1.5
const RETRY_MS = 60_000
/** An endpoint that failed is left alone for a while. */
const REST_MS = 5000
/** How often it is looked whether the graph of the vectors is to be made anew. */
const GRAPH_MS = 5000

export interface EmbeddingParts {
  readonly embedder: EmbedderConfig
  /** Directory of the vault that an embedder's key may come from. */
  readonly vault: string
  readonly archived: ArchivedVectors
}

export class Embedding implements AsyncDisposable {
  readonly #writer: IndexWriter
  readonly #directory: string
  readonly #config: EmbedderConfig
  readonly #archived: ArchivedVectors
  readonly #vault: string | undefined
  readonly #log: Log
  readonly #graph: HnswBuilder
  /** By the number of their row. */
  readonly #embedders = new Map<number, Embedder>()
  readonly #stop = new AbortController()
  /** Learning, or the graph being built; one at a time. */
  #background: Promise<void> | undefined
  #learnAfterMs = 0
  #graphAfterMs = 0
  #restUntilMs = 0
  /** Why no vectors are made now; "" when they are. */
  problem = ""

  /** `directory`: of the index. */
  constructor(
    writer: IndexWriter,
    directory: string,
    { embedder, vault, archived }: EmbeddingParts,
    log: Log,
  ) {
    this.#archived = archived
    this.#writer = writer
    this.#directory = directory
    this.#config = embedder
    this.#vault = vault
    this.#log = log
    this.#graph = new HnswBuilder(directory)
  }

  /** Embeds some chunks; true when there may be more. Does not throw for what an embedder may say. */
  async step(): Promise<boolean> {
    if (Date.now() < this.#restUntilMs) return false
    try {
      const isBusy = await this.#step()
      this.problem = ""
      return isBusy
    } catch (thrown) {
      if (!(thrown instanceof Fault) || thrown.kind === "bug" || this.#stop.signal.aborted) throw thrown
      if (this.problem !== thrown.message) this.#log.error("no vectors are made", { reason: thrown.message })
      this.problem = thrown.message
      this.#restUntilMs = Date.now() + REST_MS
      return false
    }
  }

  async #step(): Promise<boolean> {
    const { vectors } = this.#writer
    if (this.#config.provider === "none") {
      if (vectors.all().length > 0) this.#writer.transact(() => vectors.clear())
      return false
    }
    const rows = await this.#rows()
    for (const row of rows) if (await this.#fill(row)) return true
    const newest = rows.at(-1)
    if (newest === undefined) return false
    if (newest.n !== vectors.current()?.n) {
      this.#writer.transact(() => vectors.switchTo(newest))
      this.#log.info("another embedder answers from now on", { embedder: newest.id })
    }
    this.#learnIfDue(newest)
    this.#drawGraphIfDue()
    return false
  }

  /** Some vectors that are missing; false when there are none. */
  async #fill(row: EmbedderRow): Promise<boolean> {
    const { vectors } = this.#writer
    const embedder = this.#embedders.get(row.n) ?? this.#known(row)
    // That of an earlier configuration: it answers until the new one is complete, and gets nothing more.
    if (embedder === undefined) return false
    const isBuiltin = embedder instanceof BuiltinEmbedder
    const missing = vectors.missing(row, isBuiltin ? BATCH : LARGE_BATCH)
    if (missing.length === 0) return false
    if (!isBuiltin && this.#takeArchived(row, missing)) return true
    const made = await this.#embed(embedder, missing.map(embeddedText))
    this.#writer.transact(() =>
      vectors.put(
        row,
        missing.map(({ id }, i) => ({ chunk: id, vector: made[i] })),
      ),
    )
    return true
  }

  /** Vectors of these chunks that a migration has brought along; false: there are none, and the embedder is asked. */
  #takeArchived(row: EmbedderRow, missing: readonly ChunkToEmbed[]): boolean {
    const made = this.#archived.find(missing.map(({ text }) => text))
    const found = missing.flatMap(({ id }, i) =>
      made[i] === undefined ? [] : [{ chunk: id, vector: made[i] }],
    )
    if (found.length === 0) return false
    this.#writer.transact(() => this.#writer.vectors.put(row, found))
    return true
  }

  /** Undefined for a text that has no vector, or that the embedder will never take. */
  async #embed(embedder: Embedder, texts: readonly string[]): Promise<(Float32Array | undefined)[]> {
    try {
      return await embedder.embedDocuments(texts, this.#stop.signal)
    } catch (thrown) {
      if (!(thrown instanceof Fault) || thrown.kind !== "invalid") throw thrown
      if (texts.length === 1) return [undefined]
      const made: (Float32Array | undefined)[] = []
      for (const text of texts) made.push(...(await this.#embed(embedder, [text])))
      return made
    }
  }

  /** The one that answers, and the one that will. */
  async #rows(): Promise<EmbedderRow[]> {
    const { vectors } = this.#writer
    const wanted = this.#config.provider === "builtin" ? this.#newestBuiltin() : await this.#configured()
    const current = vectors.current()
    return current === undefined || current.n === wanted.n ? [wanted] : [current, wanted]
  }

  #newestBuiltin(): EmbedderRow {
    const { vectors } = this.#writer
    const dimensions = "dimensions" in this.#config ? this.#config.dimensions : 0
    const own = vectors.all().filter((row) => row.id.startsWith("builtin:") && row.dimensions === dimensions)
    const newest = own.at(-1)
    if (newest !== undefined) return newest
    const empty = new BuiltinEmbedder(emptyModel(dimensions))
    return this.#writer.transact(() => vectors.use(empty.id, empty.dimensions))
  }

  async #configured(): Promise<EmbedderRow> {
    const { vectors } = this.#writer
    for (const [n, embedder] of this.#embedders) {
      const row = vectors.all().find((each) => each.n === n && each.id === embedder.id)
      if (row !== undefined) return row
    }
    const embedder = await openEmbedder(this.#config, { vault: this.#vault })
    if (embedder === undefined) throw new Fault("bug", "BUG: no embedder")
    const row = this.#writer.transact(() => vectors.use(embedder.id, embedder.dimensions))
    this.#embedders.set(row.n, embedder)
    return row
  }

  #known(row: EmbedderRow): Embedder | undefined {
    if (!row.id.startsWith("builtin:")) return undefined
    const embedder = new BuiltinEmbedder(this.#modelOf(row))
    this.#embedders.set(row.n, embedder)
    return embedder
  }

  #modelOf({ n, dimensions }: EmbedderRow): Model {
    const bytes = this.#writer.vectors.model(n)
    return bytes === undefined ? emptyModel(dimensions) : decodeModel(bytes)
  }

  #learnIfDue(newest: EmbedderRow): void {
    if (this.#config.provider !== "builtin" || this.#background !== undefined) return
    if (Date.now() < this.#learnAfterMs) return
    const chunks = this.#writer.db.query<[], [number]>("SELECT count(*) FROM chunk").get()?.[0] ?? 0
    const embedder = this.#embedders.get(newest.n)
    const texts = embedder instanceof BuiltinEmbedder ? embedder.model.texts : 0
    if (chunks < LEARN_FROM || chunks < texts * GROWTH) return
    this.#learnAfterMs = Date.now() + RETRY_MS
    const { dimensions } = this.#config
    this.#inBackground("learning", async () => {
      const learned = await learnFromIndex(this.#directory, { dimensions, signal: this.#stop.signal })
      this.#adopt(learned)
    })
  }

  /** Its vectors are made beside those that there are; when they are complete it takes over. */
  #adopt({ model, bytes }: LearnedModel): void {
    const embedder = new BuiltinEmbedder(model)
    this.#writer.transact(() => this.#writer.vectors.use(embedder.id, embedder.dimensions, bytes))
  }

  #drawGraphIfDue(): void {
    if (this.#background !== undefined || Date.now() < this.#graphAfterMs) return
    this.#graphAfterMs = Date.now() + GRAPH_MS
    if (this.#graph.due() === "nothing") return
    this.#inBackground("the graph of the vectors", async () => {
      await this.#graph.run(this.#writer, this.#stop.signal)
    })
  }

  #inBackground(what: string, work: () => Promise<void>): void {
    this.#background = work()
      .catch((thrown: unknown) => {
        if (!this.#stop.signal.aborted) this.#log.error(`${what} failed`, { reason: describe(thrown) })
      })
      .finally(() => (this.#background = undefined))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#background
    for (const embedder of this.#embedders.values()) await embedder.close()
  }
}
