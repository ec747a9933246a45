/**
 * Ranking quality on a labelled collection in the format of BEIR (Thakur et al. 2021): corpus.jsonl, queries.jsonl and qrels/*.tsv.
 * Each document becomes a file of one chunk, named by a number, so that nothing but its text and title can be found.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { BuiltinEmbedder } from "../../clawfs/search/embed/builtin.ts"
import { embeddedText } from "../../clawfs/search/embed/embedder.ts"
import { learn } from "../../clawfs/search/embed/learn.ts"
import { decodeModel } from "../../clawfs/search/embed/model.ts"
import { prepareText } from "../../clawfs/search/index/prepare.ts"
import { IndexReader } from "../../clawfs/search/index/reader.ts"
import { VectorSearch } from "../../clawfs/search/index/vector-search.ts"
import { IndexWriter } from "../../clawfs/search/index/writer.ts"
import { Meaning } from "../../clawfs/search/query/meaning.ts"
import { Searcher, type SearchOptions } from "../../clawfs/search/query/search.ts"
import { Random } from "../model/random.ts"

export interface Collection {
  readonly documents: readonly { readonly id: string; readonly title: string; readonly text: string }[]
  readonly queries: readonly { readonly id: string; readonly text: string }[]
  /** Query → document → grade, above 0. */
  readonly grades: ReadonlyMap<string, ReadonlyMap<string, number>>
}

/** Queries without a grade are left out. */
export function loadCollection(folder: string): Collection {
  const lines = (name: string): string[] =>
    readFileSync(join(folder, name), "utf8")
      .split("\n")
      .filter((line) => line !== "")
  const rows = (name: string) =>
    lines(name).map((line) => JSON.parse(line) as { _id: string; title?: string; text: string })
  const grades = new Map<string, Map<string, number>>()
  for (const file of readdirSync(join(folder, "qrels")).filter((name) => name.endsWith(".tsv")))
    for (const line of lines(join("qrels", file)).slice(1)) {
      const [query = "", document = "", grade = "0"] = line.split("\t")
      if (Number(grade) > 0)
        grades.set(query, (grades.get(query) ?? new Map<string, number>()).set(document, Number(grade)))
    }
  return {
    documents: rows("corpus.jsonl").map(({ _id, title = "", text }) => ({ id: _id, title, text })),
    queries: rows("queries.jsonl").flatMap(({ _id, text }) => (grades.has(_id) ? [{ id: _id, text }] : [])),
    grades,
  }
}

export interface Quality {
  /** Means over the queries. */
  readonly ndcg10: number
  readonly recall100: number
}

/** The collection in an index of its own. */
export class Ranking implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "clawfs-quality-"))
  readonly #collection: Collection
  readonly #reader: IndexReader
  readonly #searcher: Searcher

  constructor(collection: Collection, dimensions = 1536) {
    this.#collection = collection
    const texts = collection.documents.map(({ title, text }) => embeddedText({ title, heading: "", text }))
    const embedder = new BuiltinEmbedder(decodeModel(learn(texts, { dimensions })))
    using writer = new IndexWriter(this.#directory)
    writer.transact(() => {
      for (const [i, document] of collection.documents.entries()) put(writer, i + 1, document)
    })
    const row = writer.transact(() => writer.vectors.use(embedder.id, dimensions))
    for (;;) {
      const missing = writer.vectors.missing(row, 500)
      if (missing.length === 0) break
      const vectors = missing.map((chunk) => ({
        chunk: chunk.id,
        vector: embedder.vector(embeddedText(chunk)),
      }))
      writer.transact(() => writer.vectors.put(row, vectors))
    }
    this.#reader = new IndexReader(this.#directory)
    this.#searcher = new Searcher(
      this.#reader,
      new Meaning(this.#reader, new VectorSearch(this.#reader), () => embedder),
    )
  }

  /** `change` is applied to each query first. */
  async quality(
    options: SearchOptions,
    change: (query: string) => string = (query) => query,
  ): Promise<Quality> {
    const sums = { ndcg10: 0, recall100: 0 }
    for (const { id, text } of this.#collection.queries) {
      const { results } = await this.#searcher.search(change(text).slice(0, 2000), { ...options, limit: 100 })
      const grades = this.#collection.grades.get(id) ?? new Map<string, number>()
      const found = results.map(({ ino }) => grades.get(this.#collection.documents[ino - 1]?.id ?? "") ?? 0)
      const ideal = [...grades.values()].sort((a, b) => b - a)
      sums.ndcg10 += gain(found.slice(0, 10)) / gain(ideal.slice(0, 10))
      sums.recall100 += found.filter((grade) => grade > 0).length / ideal.length
    }
    const count = this.#collection.queries.length
    return { ndcg10: sums.ndcg10 / count, recall100: sums.recall100 / count }
  }

  [Symbol.dispose](): void {
    this.#reader[Symbol.dispose]()
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

function put(writer: IndexWriter, ino: number, { title, text }: { title: string; text: string }): void {
  const size = Buffer.byteLength(text)
  const file = {
    ino,
    hash: Buffer.alloc(8),
    state: "indexed" as const,
    error: "",
    size,
    mtime: 0,
    mtimeNanos: 0,
  }
  const extracted = {
    kind: "prose" as const,
    extractor: "text",
    title,
    text,
    isVerbatim: true,
    isWhole: true,
  }
  const chunk = { start: 0, end: size, firstLine: 1, lastLine: text.split("\n").length, heading: "", text }
  writer.replaceDocument(file, prepareText(extracted, [chunk]))
  writer.setPaths(ino, [Buffer.from(`d/${ino}`)])
}

/** Discounted cumulative gain (Järvelin and Kekäläinen 2002), with the grade itself as the gain. */
const gain = (grades: readonly number[]): number =>
  grades.reduce((sum, grade, i) => sum + grade / Math.log2(i + 2), 0)

const WAYS: Readonly<Record<string, SearchOptions>> = {
  words: { mode: "words" },
  meaning: { mode: "meaning" },
  "hybrid min-max": { mode: "hybrid" },
  "hybrid RRF": { mode: "hybrid", fusion: "rrf" },
}

/** A table of each mode on the collection in a folder, as Markdown. */
export async function qualityTable(folder: string): Promise<string> {
  const collection = loadCollection(folder)
  using ranking = new Ranking(collection)
  const lines = [
    `${folder}: ${collection.documents.length} documents, ${collection.queries.length} queries`,
    "| mode | nDCG@10 | Recall@100 | nDCG@10 with typos | Recall@100 with typos |",
    "|---|---|---|---|---|",
  ]
  for (const [name, options] of Object.entries(WAYS)) {
    const plain = await ranking.quality(options)
    const typos = await ranking.quality(options, withTypos(7))
    const numbers = [plain.ndcg10, plain.recall100, typos.ndcg10, typos.recall100].map((value) =>
      value.toFixed(4),
    )
    lines.push(`| ${name} | ${numbers.join(" | ")} |`)
  }
  return lines.join("\n")
}

/** Changes two of five words of five letters and more: two letters swapped, or one left out or doubled. */
export function withTypos(seed: number): (query: string) => string {
  const random = new Random(seed)
  return (query) =>
    query.replace(/\p{L}{5,}/gu, (word) => {
      if (!random.chance(0.4)) return word
      const at = 1 + random.below(word.length - 2)
      const [before, a, b, after] = [
        word.slice(0, at),
        word[at] ?? "",
        word[at + 1] ?? "",
        word.slice(at + 2),
      ]
      return random.pick([before + b + a + after, before + b + after, before + a + a + b + after])
    })
}
