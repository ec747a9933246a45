/** `verifyIndex` finds nothing in a good index, and what was done to a bad one. */
import { expect, test } from "vitest"
import { verifyIndex } from "../../../clawfs/search/index/verify.ts"
import { TestIndex } from "./support.ts"

function filled(documents = 300): TestIndex {
  const index = new TestIndex()
  for (let ino = 1; ino <= documents; ino++) index.put(ino, `d/f${ino}`, `heron ${ino}\n\notter and badger`)
  const { writer } = index
  writer.transact(() => {
    const row = writer.vectors.use("e:128:1", 128)
    writer.vectors.put(
      row,
      writer.vectors
        .missing(row, 1000)
        .map(({ id }) => ({ chunk: id, vector: new Float32Array(128).fill(id) })),
    )
    for (let ino = 1; ino <= 50; ino++) writer.removeDocument(ino)
  })
  return index
}

test("an index that was written to has nothing wrong", () => {
  using index = filled()
  expect(verifyIndex(index.writer)).toEqual([])
})

test.each([
  ["DELETE FROM document WHERE ino = 60", "2 chunks of no document"],
  ["DELETE FROM document WHERE ino = 60", "1 names of no document"],
  ["UPDATE chunk SET n = 5 WHERE ino = 60 AND n = 1", "1 documents whose chunks are not numbered from 0"],
  ["DELETE FROM chunk WHERE ino = 60", "2 words of no chunk"],
  ["DELETE FROM chunk WHERE ino = 60", "2 vectors of e:128:1 of no chunk"],
  ["DELETE FROM chunk_fts WHERE rowid IN (SELECT id FROM chunk WHERE ino = 60)", "2 chunks without words"],
  [
    "UPDATE vector_1 SET vector = x'00' WHERE chunk = (SELECT max(id) FROM chunk)",
    "1 vectors of e:128:1 of another length",
  ],
])("%s", (sql, problem) => {
  using index = filled()
  index.writer.db.execute(sql)
  expect(verifyIndex(index.writer).join("\n")).toContain(problem)
})

test("DELETE FROM gram_segment", () => {
  // So many that they have been put into a segment.
  using index = filled(1100)
  index.writer.db.execute("DELETE FROM gram_segment")
  expect(verifyIndex(index.writer).join("\n")).toContain("documents whose grams are in no list")
})
