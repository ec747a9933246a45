/**
 * Ranking on our own labelled collection: what the second leg is for. CLAWFS_TEST_BEIR=FOLDER,FOLDER… prints the same for others in
 * BEIR's format, whose licences keep them out of the repository.
 */
import { join } from "node:path"
import { expect, test } from "vitest"
import { loadCollection, qualityTable, Ranking, withTypos } from "../../helpers/beir.ts"
import { repository } from "../../helpers/programs.ts"

const collection = loadCollection(join(repository, "test/data/search"))

test("the collection is what it should be", () => {
  expect(collection.documents.length).toBeGreaterThanOrEqual(300)
  expect(collection.queries.length).toBeGreaterThanOrEqual(60)
  const ids = new Set(collection.documents.map(({ id }) => id))
  expect(ids.size).toBe(collection.documents.length)
  for (const [query, grades] of collection.grades) {
    expect(
      [...grades.keys()].filter((id) => !ids.has(id)),
      query,
    ).toEqual([])
    expect(new Set(grades.values()), query).toEqual(new Set([1, 2]))
  }
})

test("hybrid ranks no worse than words, finds more, and loses less by typos", async () => {
  using ranking = new Ranking(collection)
  const words = await ranking.quality({ mode: "words" })
  const hybrid = await ranking.quality({ mode: "hybrid" })
  expect(hybrid.ndcg10).toBeGreaterThanOrEqual(words.ndcg10)
  expect(hybrid.recall100).toBeGreaterThan(words.recall100)
  for (const seed of [1, 2, 3]) {
    const typos = withTypos(seed)
    const wordsLost = words.ndcg10 - (await ranking.quality({ mode: "words" }, typos)).ndcg10
    const again = withTypos(seed)
    const hybridLost = hybrid.ndcg10 - (await ranking.quality({ mode: "hybrid" }, again)).ndcg10
    expect(wordsLost).toBeGreaterThan(0)
    expect(hybridLost).toBeLessThan(wordsLost)
  }
})

const others = (process.env["CLAWFS_TEST_BEIR"] ?? "").split(",").filter((folder) => folder !== "")

test.skipIf(others.length === 0)("other collections are measured", { timeout: 3_600_000 }, async () => {
  for (const folder of others) {
    const table = await qualityTable(folder)
    console.log(table)
    expect(table).toContain("| hybrid min-max |")
  }
})
