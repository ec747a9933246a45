/** The HNSW graph over vectors of the built-in embedder at 20,000 chunks, before and after each of them was replaced. */
import { join } from "node:path"
import { expect, test } from "vitest"
import { BuiltinEmbedder } from "../../clawfs/search/embed/builtin.ts"
import { embeddedText } from "../../clawfs/search/embed/embedder.ts"
import { learn } from "../../clawfs/search/embed/learn.ts"
import { decodeModel } from "../../clawfs/search/embed/model.ts"
import { prepareText } from "../../clawfs/search/index/prepare.ts"
import { HnswBuilder } from "../../clawfs/search/index/hnsw-builder.ts"
import { HnswSearch } from "../../clawfs/search/index/hnsw-search.ts"
import { normalized } from "../../clawfs/search/index/normalize.ts"
import { VectorSearch } from "../../clawfs/search/index/vector-search.ts"
import { loadCollection } from "../helpers/beir.ts"
import { program, repository } from "../helpers/programs.ts"
import { Random } from "../model/random.ts"
import { fileOf, split, TestIndex, textOf } from "../unit/search/support.ts"

const CHUNKS = 20_000
const DIMENSIONS = 1536
const QUERIES = 100
const random = new Random(17)

/** Sentences of our collection by the matter they are about. */
const matters = ((): string[][] => {
  const found = new Map<string, string[]>()
  for (const { id, title, text } of loadCollection(join(repository, "test/data/search")).documents) {
    const matter = id.replace(/-\d+$/, "")
    found.set(matter, [...(found.get(matter) ?? []), title, ...text.split(/(?<=[.;]) /)])
  }
  return [...found.values()]
})()

/** Some sentences of one matter and one of another, in no order. */
function someText(): string {
  const matter = random.pick(matters)
  const sentences = Array.from({ length: 3 + random.below(4) }, () => random.pick(matter))
  return [...sentences, random.pick(random.pick(matters)), `No. ${random.below(10_000)}`].join(" ")
}

function fill({ writer }: TestIndex): void {
  for (let ino = 1; ino <= CHUNKS; ino += 500)
    writer.transact(() => {
      for (let each = ino; each < ino + 500; each++) {
        const text = someText()
        writer.replaceDocument(fileOf(each, text), prepareText(textOf(text), split(text)))
        writer.setPaths(each, [Buffer.from(`f${each}`)])
      }
    })
}

function embed({ writer }: TestIndex, embedder: BuiltinEmbedder): void {
  const row = writer.transact(() => writer.vectors.use(embedder.id, DIMENSIONS))
  for (;;) {
    const missing = writer.vectors.missing(row, 500)
    if (missing.length === 0) return
    const vectors = missing.map((chunk) => ({
      chunk: chunk.id,
      vector: embedder.vector(embeddedText(chunk)),
    }))
    writer.transact(() => writer.vectors.put(row, vectors))
  }
}

async function recallAt10(index: TestIndex, embedder: BuiltinEmbedder): Promise<number> {
  using reader = index.reader()
  const hnsw = new HnswSearch(reader, program("clawfs/search/index/hnsw-main.ts"))
  try {
    const graph = new VectorSearch(reader, { mostExact: 0, hnsw })
    const exact = new VectorSearch(reader, { mostExact: Number.POSITIVE_INFINITY })
    let found = 0
    for (let i = 0; i < QUERIES; i++) {
      const query = normalized(embedder.vector(someText().slice(0, 60)) ?? new Float32Array(), DIMENSIONS)
      // The first answer starts the child.
      if (i === 0) await graph.nearest(query, 10).then(() => hnsw.settled())
      const near = await graph.nearest(query, 10)
      expect(near.how).toBe("hnsw")
      const { hits } = await exact.nearest(query, 10)
      const least = (hits.at(-1)?.score ?? 1) - 1e-5
      found += near.hits.filter(({ score }) => score >= least).length
    }
    return found / (QUERIES * 10)
  } finally {
    hnsw.close()
  }
}

test("recall@10 is 0.98 and more at 20,000 chunks, and after all of them were replaced", async () => {
  using index = new TestIndex()
  const builder = new HnswBuilder(index.directory, { program: program("clawfs/search/index/hnsw-main.ts") })
  const sample = Array.from({ length: 3000 }, someText)
  const embedder = new BuiltinEmbedder(decodeModel(learn(sample, { dimensions: DIMENSIONS })))
  for (const round of ["first", "second"]) {
    fill(index)
    embed(index, embedder)
    expect(builder.due(), round).toBe("build")
    const snapshot = await builder.run(index.writer)
    console.log(`${round}: expansion ${snapshot?.ef}, own recall ${snapshot?.recall}`)
    expect(snapshot?.recall, round).toBeGreaterThanOrEqual(0.98)
    const recall = await recallAt10(index, embedder)
    console.log(`${round}: recall@10 ${recall}`)
    expect(recall, round).toBeGreaterThanOrEqual(0.98)
  }
})
