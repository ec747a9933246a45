/** Scores are those of FTS5's bm25(), except that common words count once a chunk; the best are never missed. */
import { expect, test } from "vitest"
import { WordSearch, type WordQuery } from "../../../clawfs/search/index/word-search.ts"
import { Random } from "../../model/random.ts"
import { TestIndex } from "./support.ts"

const DOCUMENTS = 600

/** "self" and "return" are in most documents, "list" and "path" in some, "heron" in few; common words are in each once. */
function filled(): TestIndex {
  const index = new TestIndex()
  const random = new Random(11)
  const often = { self: 0.8, return: 0.6, list: 0.08, path: 0.06, heron: 0.01 }
  for (let ino = 1; ino <= DOCUMENTS; ino++) {
    const words = Object.entries(often).flatMap(([word, part]) => {
      const times = part > 0.1 ? 1 : 1 + random.below(3)
      return random.below(1000) < part * 1000 ? Array.from({ length: times }, () => word) : []
    })
    const filling = Array.from({ length: 5 + random.below(20) }, () => `w${random.below(500)}`)
    index.put(ino, `d/${ino}`, [...words, ...filling].join(" "))
  }
  // What is gone counts no more.
  for (let ino = DOCUMENTS + 1; ino <= DOCUMENTS + 50; ino++) index.put(ino, `d/${ino}`, "heron heron list")
  index.writer.transact(() => {
    for (let ino = DOCUMENTS + 1; ino <= DOCUMENTS + 50; ino++) index.writer.removeDocument(ino)
  })
  return index
}

const expressions = (words: string): string[] => words.split(" ").map((word) => `"${word}"`)
const anyOf = (words: string): WordQuery => ({
  kind: "any",
  parts: words.split(" ").map((word) => ({ expression: `"${word}"`, word })),
})

test.each([
  "self list path",
  "self return heron",
  "self return",
  "list path",
  "self",
  "heron",
  "return nowhere",
  "W17 Lists paths",
])("%s: the best are those that FTS5 finds, with the same scores", (words) => {
  using index = filled()
  using reader = index.reader()
  const search = new WordSearch(reader)
  const found = search.best(anyOf(words), undefined, 20)
  const expression = expressions(words).join(" OR ")
  const all = search.best({ kind: "expression", expression }, undefined, DOCUMENTS)
  expect(all.isComplete).toBe(true)
  const scores = new Map(all.hits.map(({ chunk, score }) => [chunk, score]))
  for (const { chunk, score } of found.hits) expect(score).toBeCloseTo(scores.get(chunk) ?? NaN, 9)
  expect(found.hits.slice(0, 5).map(({ score }) => score.toFixed(9))).toEqual(
    all.hits.slice(0, 5).map(({ score }) => score.toFixed(9)),
  )
})

test("a word that came after the reader was opened is found, also in chunks that were looked at before", () => {
  using index = filled()
  using reader = index.reader()
  const search = new WordSearch(reader)
  expect(search.best(anyOf("bittern"), undefined, 20).hits).toEqual([])
  expect(search.best(anyOf("heron"), undefined, 20).hits.length).toBeGreaterThan(0)
  index.put(1, "d/1", "the bittern")
  expect(search.best(anyOf("bittern"), undefined, 20).hits).toMatchObject([{ ino: 1 }])
})

test("a phrase among the words counts once a chunk", () => {
  using index = new TestIndex()
  index.put(1, "a", "read the file, then file what was read")
  index.put(2, "b", "read_file returns what read_file has read of the file")
  using reader = index.reader()
  const phrase = { expression: '"read file"', word: undefined }
  const { hits, isComplete } = new WordSearch(reader).best({ kind: "any", parts: [phrase] }, undefined, 20)
  expect(hits).toMatchObject([{ ino: 2 }])
  expect(isComplete).toBe(true)
})

test("when few have the rarer word, the others are looked at too", () => {
  using index = filled()
  using reader = index.reader()
  const { hits, isComplete } = new WordSearch(reader).best(anyOf("self heron"), undefined, DOCUMENTS)
  expect(hits.length).toBeGreaterThan(DOCUMENTS / 2)
  expect(isComplete).toBe(true)
})

test("a selection holds in each case", () => {
  using index = filled()
  using reader = index.reader()
  const within = { sql: "SELECT ino FROM document WHERE ino <= ?", parameters: [DOCUMENTS / 2] }
  for (const words of ["self list", "self return", "list path"]) {
    const { hits } = new WordSearch(reader).best(anyOf(words), within, 20)
    expect(hits).toHaveLength(20)
    for (const { ino } of hits) expect(ino).toBeLessThanOrEqual(DOCUMENTS / 2)
  }
})
