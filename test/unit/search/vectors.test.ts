/** Exact search: the SIMD kernel, the best of many, and all ways to the same answer. */
import { describe, expect, test } from "vitest"
import { BuiltinEmbedder } from "../../../clawfs/search/embed/builtin.ts"
import { emptyModel } from "../../../clawfs/search/embed/model.ts"
import { highest } from "../../../clawfs/search/index/nearest.ts"
import { normalized } from "../../../clawfs/search/index/normalize.ts"
import { selectionSql } from "../../../clawfs/search/index/selection.ts"
import { Rows } from "../../../clawfs/search/index/simd.ts"
import { VectorSearch } from "../../../clawfs/search/index/vector-search.ts"
import { Meaning } from "../../../clawfs/search/query/meaning.ts"
import { Searcher } from "../../../clawfs/search/query/search.ts"
import { Random } from "../../model/random.ts"
import { TestIndex } from "./support.ts"

describe("products", () => {
  test.each([128, 129, 135, 384, 1536, 4096])(
    "of %i dimensions are those of plain JavaScript",
    (dimensions) => {
      const random = new Random(dimensions)
      const vector = (): Float32Array => new Float32Array(dimensions).map(() => random.next() - 0.5)
      const [simd, plain] = [new Rows(dimensions), new Rows(dimensions, { isPlain: true })]
      expect([simd.isSimd, plain.isSimd]).toEqual([true, false])
      const rows = Array.from({ length: 150 }, vector)
      for (const row of rows) for (const to of [simd, plain]) to.add(row)
      for (let i = 0; i < 3; i++) {
        const query = vector()
        const exact = rows.map((row) => row.reduce((sum, x, d) => sum + x * (query[d] ?? 0), 0))
        for (const made of [simd, plain])
          for (const [at, value] of made.products(query).entries())
            expect(value).toBeCloseTo(exact[at] ?? Number.NaN, 3)
      }
    },
  )

  test("of no rows are none", () => {
    expect(new Rows(128).products(new Float32Array(128))).toHaveLength(0)
  })
})

test("the highest are those that sorting gives, ties by place", () => {
  const random = new Random(2)
  for (let i = 0; i < 300; i++) {
    const scores = new Float32Array(random.below(60)).map(() => random.below(9))
    const count = random.below(12)
    const wanted = (at: number): boolean => at % 3 !== 0
    const sorted = [...scores.entries()].filter(([at]) => wanted(at)).sort(([a, x], [b, y]) => y - x || a - b)
    expect(highest(scores, count, wanted)).toEqual(
      sorted.slice(0, count).map(([at, score]) => ({ at, score })),
    )
  }
})

const embedder = new BuiltinEmbedder(emptyModel(384))

function embed({ writer }: TestIndex): void {
  writer.transact(() => {
    const row = writer.vectors.use(embedder.id, embedder.dimensions)
    for (;;) {
      const chunks = writer.vectors.missing(row, 50)
      if (chunks.length === 0) break
      writer.vectors.put(
        row,
        chunks.map(({ id, text }) => ({ chunk: id, vector: embedder.vector(text) })),
      )
    }
  })
}

const animals = [
  "heron",
  "otter",
  "badger",
  "weasel",
  "stoat",
  "marten",
  "beaver",
  "osprey",
  "harrier",
  "merlin",
]
function filled(files: number): TestIndex {
  const random = new Random(4)
  const index = new TestIndex()
  index.writer.transact(() => undefined)
  for (let ino = 1; ino <= files; ino++)
    index.put(
      ino,
      `${ino % 10 === 0 ? "ten" : "other"}/f${ino}`,
      Array.from({ length: 6 }, () => random.pick(animals)).join(" "),
    )
  embed(index)
  return index
}

test("in memory, selected and in the database the nearest are the same", async () => {
  using index = filled(300)
  using reader = index.reader()
  const query = normalized(embedder.vector("herons and an otter") ?? new Float32Array(), 384)
  const ten = selectionSql({ below: [Buffer.from("ten")] })
  for (const within of [undefined, ten]) {
    const ways = [{}, { mostExact: 0 }, { mostExact: 0, isPlain: true }]
    const answers = await Promise.all(
      ways.map((way) => new VectorSearch(reader, way).nearest(query, 20, within)),
    )
    const how = within === undefined ? ["memory", "database", "database"] : ["memory", "selected", "selected"]
    expect(answers.map((answer) => answer.how)).toEqual(how)
    const [first, ...others] = answers.map(({ hits }) => hits.map(({ score }) => score.toFixed(4)))
    expect(first).toHaveLength(20)
    for (const other of others) expect(other).toEqual(first)
    if (within !== undefined) expect(answers[0]?.hits.every(({ ino }) => ino % 10 === 0)).toBe(true)
  }
})

test("what is written, changed and removed meanwhile is seen by the next search", async () => {
  using index = filled(40)
  using reader = index.reader()
  const search = new VectorSearch(reader)
  const query = normalized(embedder.vector("quokka") ?? new Float32Array(), 384)
  const best = async (): Promise<number | undefined> => (await search.nearest(query, 1)).hits[0]?.ino
  await best()
  index.put(41, "new", "a quokka")
  embed(index)
  expect(await best()).toBe(41)
  index.put(41, "new", "an otter")
  index.put(42, "other", "quokkas")
  embed(index)
  expect(await best()).toBe(42)
  for (let ino = 1; ino <= 40; ino++) index.writer.transact(() => index.writer.removeDocument(ino))
  expect((await search.nearest(query, 100)).hits.map(({ ino }) => ino)).toEqual([42, 41])
})

test("a search by meaning finds misspelt words; hybrid ranks both legs' hit first", async () => {
  using index = filled(100)
  index.put(101, "a", "The contract with the second supplier")
  embed(index)
  using reader = index.reader()
  const searcher = new Searcher(
    reader,
    new Meaning(reader, new VectorSearch(reader), (id) => (id === embedder.id ? embedder : undefined)),
  )
  for (const [mode, query] of [
    ["meaning", "secnd suplier contrct"],
    ["hybrid", "second suplier"],
    ["hybrid", "supplier"],
  ] as const) {
    const { results, degraded } = await searcher.search(query, { mode })
    expect(results[0]?.ino, query).toBe(101)
    expect(degraded).toEqual([])
  }
  const literal = await searcher.search('"second supplier"')
  expect(literal.results.map(({ parts }) => parts.meaning)).toEqual([undefined])
  const rrf = await searcher.search("supplier contract", { fusion: "rrf" })
  expect(rrf.results[0]?.ino).toBe(101)
})

test("says how much is missing, and goes on by words when the embedder fails or is another", async () => {
  using index = filled(10)
  index.put(11, "a", "quokka")
  using reader = index.reader()
  const search = (embedders: (id: string) => BuiltinEmbedder | undefined) =>
    new Searcher(reader, new Meaning(reader, new VectorSearch(reader), embedders)).search("quokka")
  const partly = await search(() => embedder)
  expect(partly.degraded).toEqual(["vectors are made of 90 % of the text so far"])
  const other = await search(() => undefined)
  expect(other.degraded[0]).toMatch(/^the vectors are of builtin:lsa:384:0, which is not configured/)
  const failing = new BuiltinEmbedder(emptyModel(384))
  failing.embedQuery = () => Promise.reject(new Error("no answer"))
  const failed = await search(() => failing)
  expect(failed.degraded).toEqual(["the query could not be embedded (no answer): found by words alone"])
  for (const { results } of [partly, other, failed]) expect(results[0]?.ino).toBe(11)
})

test("an embedder that takes over while a query is embedded is asked in its turn", async () => {
  using index = filled(10)
  index.put(11, "a", "quokka")
  embed(index)
  using reader = index.reader()
  const next = new BuiltinEmbedder(emptyModel(128))
  const takeOver = (): void =>
    index.writer.transact(() => {
      const row = index.writer.vectors.use(next.id, next.dimensions)
      const chunks = index.writer.vectors.missing(row, 50)
      index.writer.vectors.put(
        row,
        chunks.map(({ id, text }) => ({ chunk: id, vector: next.vector(text) })),
      )
      index.writer.vectors.switchTo(row)
    })
  const replaced = new BuiltinEmbedder(emptyModel(384))
  replaced.embedQuery = (text) => {
    takeOver()
    return embedder.embedQuery(text)
  }
  const asked: string[] = []
  const meaning = new Meaning(reader, new VectorSearch(reader), (id) => {
    asked.push(id)
    return id === next.id ? next : replaced
  })
  const { results, degraded } = await new Searcher(reader, meaning).search("quokka", { mode: "meaning" })
  expect(asked).toEqual([embedder.id, next.id])
  expect([results[0]?.ino, degraded]).toEqual([11, []])
})
