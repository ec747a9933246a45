/** Rows of the feed that are damaged: neither who writes it nor who reads it may stumble over them. */
import { join } from "node:path"
import { expect, test } from "vitest"
import { Database } from "../../../clawfs/store/database.ts"
import { META } from "../../../clawfs/store/store.ts"
import { TestFileSystem, ok } from "../support/filesystem.ts"
import { Random, seed } from "../support/random.ts"

function changes(...numbers: number[]): Buffer {
  const bytes = Buffer.alloc(numbers.length * 8)
  numbers.forEach((number, i) => bytes.writeDoubleLE(number, i * 8))
  return bytes
}

function put(fs: TestFileSystem, seq: number, bytes: Buffer): void {
  using db = new Database(join(fs.directory, META))
  db.query<[number, Buffer]>("INSERT OR REPLACE INTO feed (seq, changes) VALUES (?, ?)").run(seq, bytes)
}

test("blobs of any length are as many changes as are whole", () => {
  using fs = new TestFileSystem()
  ok(fs.mknod("file"))
  fs.store.settle()
  const last = fs.store.counters.feedLast
  for (let length = 0; length < 100; length += 1) {
    put(fs, last, Buffer.alloc(length, changes(3)))
    const commits = fs.store.feed.behind(last - 1, 10)
    expect(commits.map(({ seq }) => seq)).toEqual([last])
    expect(commits[0]?.changes).toHaveLength(Math.floor(length / 24))
  }
})

test("numbers that can't be are left out", () => {
  using fs = new TestFileSystem()
  ok(fs.mknod("file"))
  fs.store.settle()
  const last = fs.store.counters.feedLast
  const wrong = [NaN, Infinity, -Infinity, -1, 0.5, 2 ** 53, 1e300, 5e-324]
  put(fs, last, changes(...wrong.flatMap((number) => [number, 1, 2, 3, number, 4, 5, 6, number]), 7, 8, 9))
  expect(fs.store.feed.behind(last - 1, 10)).toEqual([
    { seq: last, changes: [{ ino: 7, parent: 8, cookie: 9 }] },
  ])
  const random = new Random(seed)
  for (let round = 0; round < 500; round += 1) {
    put(fs, last, Buffer.from(Array.from({ length: random.below(200) }, () => random.below(256))))
    for (const { ino, parent, cookie } of fs.store.feed.behind(last - 1, 10)[0]?.changes ?? [])
      expect([ino > 0, ...[ino, parent, cookie].map(Number.isSafeInteger)]).toEqual([true, true, true, true])
  }
})

test("a number that the next commit will have keeps nothing from being committed, and leads no reader ahead", () => {
  using fs = new TestFileSystem()
  fs.store.settle()
  const last = fs.store.counters.feedLast
  for (const ahead of [1, 2, 3, 1e15]) put(fs, last + ahead, changes(1, 2, 3))
  expect(fs.store.feed.behind(last, 10)).toEqual([])
  const { ino } = ok(fs.mknod("file"))
  fs.store.settle()
  const commits = fs.store.feed.behind(last, 10)
  expect(commits.at(-1)?.seq).toBe(fs.store.counters.feedLast)
  expect(commits.flatMap((commit) => commit.changes).map((change) => change.ino)).toContain(ino)
})
