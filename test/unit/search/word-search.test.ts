/** Words that most chunks have are left out of what is scored, never out of the score. */
import { expect, test } from "vitest"
import { bestChunks } from "../../../clawfs/search/index/word-search.ts"
import { Random } from "../../model/random.ts"
import { TestIndex } from "./support.ts"

const DOCUMENTS = 600

/** "self" and "return" are in most documents, "list" and "path" in some, "heron" in few. */
function filled(): TestIndex {
  const index = new TestIndex()
  const random = new Random(11)
  const often = { self: 0.8, return: 0.6, list: 0.08, path: 0.06, heron: 0.01 }
  for (let ino = 1; ino <= DOCUMENTS; ino++) {
    const words = Object.entries(often).flatMap(([word, part]) =>
      random.below(1000) < part * 1000 ? Array.from({ length: 1 + random.below(3) }, () => word) : [],
    )
    const filling = Array.from({ length: 5 + random.below(20) }, () => `w${random.below(500)}`)
    index.put(ino, `d/${ino}`, [...words, ...filling].join(" "))
  }
  return index
}

const quoted = (words: string): string[] => words.split(" ").map((word) => `"${word}"`)

test.each(["self list path", "self return heron", "self return", "list path", "self", "return nowhere"])(
  "%s: the best are those that scoring everything finds, with the same scores",
  (words) => {
    using index = filled()
    using reader = index.reader()
    const alternatives = quoted(words)
    const expression = alternatives.join(" OR ")
    const narrow = bestChunks(reader, { expression, alternatives }, undefined, 20)
    const all = bestChunks(reader, { expression, alternatives: [] }, undefined, DOCUMENTS)
    expect(all.isComplete).toBe(true)
    const scores = new Map(all.hits.map(({ chunk, score }) => [chunk, score]))
    for (const { chunk, score } of narrow.hits) expect(score).toBeCloseTo(scores.get(chunk) ?? NaN, 9)
    expect(narrow.hits.slice(0, 5).map(({ score }) => score.toFixed(9))).toEqual(
      all.hits.slice(0, 5).map(({ score }) => score.toFixed(9)),
    )
  },
)

test("when few have the rarer word, the others are looked at too", () => {
  using index = filled()
  using reader = index.reader()
  const alternatives = quoted("self heron")
  const { hits, isComplete } = bestChunks(
    reader,
    { expression: alternatives.join(" OR "), alternatives },
    undefined,
    DOCUMENTS,
  )
  expect(hits.length).toBeGreaterThan(DOCUMENTS / 2)
  expect(isComplete).toBe(true)
})

test("a selection holds in each case", () => {
  using index = filled()
  using reader = index.reader()
  const within = { sql: "SELECT ino FROM document WHERE ino <= ?", parameters: [DOCUMENTS / 2] }
  for (const words of ["self list", "self return"]) {
    const alternatives = quoted(words)
    const { hits } = bestChunks(reader, { expression: alternatives.join(" OR "), alternatives }, within, 20)
    expect(hits).toHaveLength(20)
    for (const { ino } of hits) expect(ino).toBeLessThanOrEqual(DOCUMENTS / 2)
  }
})
