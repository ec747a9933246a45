/** Answers searches from the index, for a caller who sees only what he may read. */
import { join } from "node:path"
import type { IndexExplanation, SearchHit, SearchParams, SearchResponse } from "../../../schema/search-api.ts"
import { ROOT_NODE } from "../../core/brand.ts"
import type { Inode } from "../../store/inode.ts"
import type { Store } from "../../store/store.ts"
import { readSearchConfig } from "../config.ts"
import { BuiltinEmbedder } from "../embed/builtin.ts"
import type { Embedder } from "../embed/embedder.ts"
import { decodeModel, emptyModel } from "../embed/model.ts"
import { openEmbedder } from "../embed/open.ts"
import { HnswSearch } from "../index/hnsw-search.ts"
import { IndexReader } from "../index/reader.ts"
import { VectorSearch } from "../index/vector-search.ts"
import { Meaning } from "../query/meaning.ts"
import { Searcher, type SearchOptions, type SearchResult } from "../query/search.ts"
import { StoreRules } from "../indexer/rules.ts"
import { LiveTree } from "./live-tree.ts"
import type { Caller } from "./permissions.ts"

type Answer = Omit<SearchResponse, "isFresh">

interface Opened {
  readonly reader: IndexReader
  readonly hnsw: HnswSearch
  readonly searcher: Searcher
}

export class SearchService implements AsyncDisposable {
  readonly #store: Store
  readonly #vault: string | undefined
  #opened: Opened | undefined
  #embedder: Embedder | undefined
  /** One that the configuration names, with a process or a service of its own. */
  #configured: Embedder | undefined
  #queue: Promise<unknown> = Promise.resolve()

  /** `store` is opened read-only; `vault` is the directory of the vault that an embedder's key may come from. */
  constructor(store: Store, vault?: string) {
    this.#store = store
    this.#vault = vault
  }

  /**
   * One after another: each looks at the tree of one instant. Throws `Fault("not-found")` while there is no index,
   * `Fault("invalid")` for a query that means nothing.
   */
  search(params: SearchParams, caller: Caller): Promise<Answer> {
    const answer = this.#queue.then(() => this.#search(params, caller))
    // A failure is told to whoever asked, not to the next.
    this.#queue = answer.catch(() => undefined)
    return answer
  }

  async #search(params: SearchParams, caller: Caller): Promise<Answer> {
    const { searcher, reader } = await this.#open()
    using tree = new LiveTree(this.#store, caller)
    const paths = new Map<number, Buffer | undefined>()
    const pathOf = (ino: number): Buffer | undefined => {
      if (!paths.has(ino))
        paths.set(
          ino,
          reader.paths(ino).find((path) => tree.readable(path)?.ino === ino),
        )
      return paths.get(ino)
    }
    const { query, below, explain, ...options } = params
    const answer = await searcher.search(query, {
      ...(options as SearchOptions),
      ...(below === undefined ? {} : { below: below.map((path) => Buffer.from(path)) }),
      visible: (ino) => pathOf(ino) !== undefined,
    })
    const results = answer.results.flatMap((result) => {
      const path = pathOf(result.ino)
      return path === undefined ? [] : [hitOf(result, path, explain === true)]
    })
    return { results, mode: answer.mode, degraded: [...answer.degraded], milliseconds: answer.milliseconds }
  }

  /** What the index has of the file at `path`, from the root. */
  async explain(path: string): Promise<IndexExplanation> {
    const { reader } = await this.#open()
    const bytes = Buffer.from(path)
    const nothing = { reason: "", type: "", title: "", chunks: 0, isWhole: true }
    return this.#store.view((): IndexExplanation => {
      const rules = new StoreRules(this.#store)
      const inode = findInode(this.#store, bytes)
      if (inode === "encrypted")
        return { ...nothing, state: "encrypted", reason: "nothing of an encrypted tree is indexed" }
      if (inode === undefined) return { ...nothing, state: "unknown", reason: "there is no such file" }
      if (!inode.isRegular) return { ...nothing, state: "ignored", reason: "only regular files are indexed" }
      const ignored = rules.reasonFor(bytes)
      if (ignored !== undefined) return { ...nothing, state: "ignored", reason: ignored }
      const document = reader.document(inode.ino)
      if (document === undefined) return { ...nothing, state: "unknown", reason: "it was not looked at yet" }
      const { state, error, extractor, title, isWhole } = document
      return {
        state,
        reason: error,
        type: extractor,
        title,
        isWhole,
        chunks: reader.chunksOf(inode.ino).length,
      }
    })
  }

  async reader(): Promise<IndexReader> {
    return (await this.#open()).reader
  }

  async #open(): Promise<Opened> {
    if (this.#opened?.reader.isStale() === true) this.#close()
    if (this.#opened === undefined) {
      const reader = new IndexReader(join(this.#store.directory, "index"))
      const { embedder } = readSearchConfig(reader.directory)
      if (embedder.provider !== "builtin")
        this.#configured ??= await openEmbedder(embedder, { vault: this.#vault })
      const hnsw = new HnswSearch(reader)
      const vectors = new VectorSearch(reader, { hnsw })
      const meaning =
        embedder.provider === "none"
          ? undefined
          : new Meaning(reader, vectors, (id) => this.#embedderOf(reader, id))
      this.#opened = { reader, hnsw, searcher: new Searcher(reader, meaning) }
    }
    return this.#opened
  }

  /** The embedder of the vectors that answer; another one when that has changed. */
  #embedderOf(reader: IndexReader, id: string): Embedder | undefined {
    if (this.#embedder?.id === id) return this.#embedder
    if (this.#configured?.id === id) return this.#configured
    const row = reader.embedder()
    if (row?.id !== id || !id.startsWith("builtin:")) return undefined
    const model = reader.model(row.n)
    this.#embedder = new BuiltinEmbedder(
      model === undefined ? emptyModel(row.dimensions) : decodeModel(model),
    )
    return this.#embedder
  }

  #close(): void {
    this.#opened?.hnsw.close()
    this.#opened?.reader[Symbol.dispose]()
    this.#opened = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close()
    await this.#embedder?.close()
    await this.#configured?.close()
  }
}

/** Undefined: there is none. */
function findInode(store: Store, path: Buffer): Inode | "encrypted" | undefined {
  let at: Inode | undefined = store.inodes.get(ROOT_NODE)
  for (const name of path.toString("latin1").split("/")) {
    if (at?.isDirectory !== true) return undefined
    if (store.sealing.isEncrypted(at)) return "encrypted"
    const entry = store.dentries.find(at.ino, Buffer.from(name, "latin1"))
    at = entry === undefined ? undefined : store.inodes.get(entry.ino)
  }
  return at
}

function hitOf(
  { document, score, chunk, snippet, parts }: SearchResult,
  path: Buffer,
  explain: boolean,
): SearchHit {
  const text = path.toString()
  const isUtf8 = Buffer.from(text).equals(path)
  return {
    path: text,
    ...(isUtf8 ? {} : { rawPath: path.toString("base64") }),
    ...{ score, title: document.title, type: document.extractor, heading: chunk?.heading ?? "" },
    ...{ firstLine: chunk?.firstLine ?? null, lastLine: chunk?.lastLine ?? null },
    snippet:
      snippet === undefined
        ? null
        : { ...snippet, highlights: snippet.highlights.map(([start, end]) => [start, end]) },
    ...(explain ? { parts: { ...parts } } : {}),
  }
}
