/** The index's rows: what is kept, replaced, moved and removed, and that the way there leaves no trace. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { Database } from "../../../clawfs/store/database.ts"
import { prepareText } from "../../../clawfs/search/index/prepare.ts"
import { INDEX_VERSION } from "../../../clawfs/search/index/schema.ts"
import { dropIndex, openForWriting } from "../../../clawfs/search/index/open.ts"
import { IndexReader } from "../../../clawfs/search/index/reader.ts"
import { WordSearch } from "../../../clawfs/search/index/word-search.ts"
import { IndexWriter } from "../../../clawfs/search/index/writer.ts"
import { Random } from "../../model/random.ts"
import { fileOf, split, TestIndex, textOf } from "./support.ts"

const words = (reader: IndexReader, expression: string): number[] =>
  new WordSearch(reader).best({ kind: "expression", expression }, undefined, 100).hits.map(({ ino }) => ino)

test("a replaced document is found by its new words and no longer by its old ones", () => {
  using index = new TestIndex()
  index.put(7, "notes/a.md", "the heron\n\nthe otter")
  index.put(7, "notes/a.md", "the heron\n\nthe badger")
  using reader = index.reader()
  expect(words(reader, '"heron"')).toEqual([7])
  expect(words(reader, '"badger"')).toEqual([7])
  expect(words(reader, '"otter"')).toEqual([])
})

test("chunks that are the same keep their rows and vectors, also when they move", () => {
  using index = new TestIndex()
  const { vectors } = index.writer
  index.put(7, "a", "first part\n\nsecond part\n\nsecond part")
  const embedder = index.writer.transact(() => vectors.use("test:128:1", 128))
  const missing = vectors.missing(embedder, 10)
  expect(missing.map(({ text }) => text)).toEqual(["first part", "second part", "second part"])
  index.writer.transact(() =>
    vectors.put(
      embedder,
      missing.map(({ id }) => ({ chunk: id, vector: new Float32Array(128).fill(id) })),
    ),
  )
  expect(vectors.missing(embedder, 10)).toEqual([])
  const changes = index.put(7, "a", "new part\n\nsecond part\n\nfirst part\n\nsecond part")
  expect(changes).toEqual({ kept: 3, added: 1, removed: 0 })
  expect(vectors.missing(embedder, 10).map(({ text }) => text)).toEqual(["new part"])
  using reader = index.reader()
  expect(reader.chunksOf(7).map(({ firstLine, text }) => [firstLine, text])).toEqual([
    [1, "new part"],
    [3, "second part"],
    [5, "first part"],
    [7, "second part"],
  ])
})

test("a changed title makes all chunks new: it is searched with them", () => {
  using index = new TestIndex()
  index.put(7, "a", "one\n\ntwo", { title: "Herons" })
  expect(index.put(7, "a", "one\n\ntwo", { title: "Otters" })).toEqual({ kept: 0, added: 2, removed: 2 })
  using reader = index.reader()
  expect(words(reader, '"otters"')).toEqual([7, 7])
  expect(reader.names('"otter"', undefined, 10).map(({ ino }) => ino)).toEqual([7])
})

test("moving a tree changes names alone, and takes the place of what was there", () => {
  using index = new TestIndex()
  index.put(1, "a/x.md", "heron")
  index.put(2, "a/deep/y.md", "otter")
  index.put(3, "ab/z.md", "badger")
  index.put(4, "b/x.md", "weasel")
  expect(index.writer.transact(() => index.writer.movePrefix(Buffer.from("a"), Buffer.from("b")))).toBe(2)
  using reader = index.reader()
  const names = (ino: number) => reader.document(ino)?.paths.map(String)
  expect([1, 2, 3, 4].map(names)).toEqual([["b/x.md"], ["b/deep/y.md"], ["ab/z.md"], []])
  expect(reader.names('"deep"', undefined, 10).map(({ ino }) => ino)).toEqual([2])
  expect(reader.names('"x"', undefined, 10).map(({ ino }) => ino)).toEqual([1])
})

test("names that are no UTF-8 are kept byte for byte", () => {
  using index = new TestIndex()
  index.put(1, "x", "heron")
  const odd = Buffer.from([0x61, 0x2f, 0xff, 0xfe, 0x2e, 0x54, 0x58, 0x54])
  index.writer.transact(() => index.writer.setPaths(1, [odd, Buffer.from("b")]))
  using reader = index.reader()
  expect(reader.document(1)?.paths).toEqual([odd, Buffer.from("b")])
  index.writer.transact(() => index.writer.movePrefix(Buffer.from("a"), Buffer.from("c")))
  expect(reader.document(1)?.paths).toEqual([
    Buffer.from("b"),
    Buffer.concat([Buffer.from("c"), odd.subarray(1)]),
  ])
})

test("a transaction that fails leaves everything as it was", () => {
  using index = new TestIndex()
  index.put(1, "a", "heron")
  const before = index.dump()
  expect(() =>
    index.writer.transact(() => {
      index.writer.replaceDocument(fileOf(1, "otter"), prepareText(textOf("otter"), split("otter")))
      index.writer.removeDocument(1)
      throw new Error("stop")
    }),
  ).toThrow("stop")
  expect(index.dump()).toEqual(before)
})

test("after any changes the index is the one that a rebuild makes", () => {
  const random = new Random(5)
  const pick = <T>(from: readonly T[]): T => from[random.below(from.length)] as T
  const some = ["heron", "otter", "badger", "weasel", "stoat", "marten"]
  const text = (): string =>
    Array.from({ length: 1 + random.below(5) }, () => `${pick(some)} ${pick(some)} ${random.below(9)}`).join(
      "\n\n",
    )
  using index = new TestIndex()
  const files = new Map<number, { path: string; text: string; title: string }>()
  for (let step = 0; step < 600; step++) {
    const ino = 1 + random.below(40)
    const file = files.get(ino)
    if (file !== undefined && random.below(4) === 0) {
      index.writer.transact(() => index.writer.removeDocument(ino))
      files.delete(ino)
    } else if (file !== undefined && random.below(3) === 0) {
      const path = `moved-${step}/${file.path.split("/").at(-1) ?? ""}`
      index.writer.transact(() => index.writer.movePrefix(Buffer.from(file.path), Buffer.from(path)))
      files.set(ino, { ...file, path })
    } else {
      const next = { path: file?.path ?? `d/${ino}.md`, text: text(), title: pick(["", "Zoo"]) }
      index.put(ino, next.path, next.text, next)
      files.set(ino, next)
    }
    if (step % 50 === 0) index.writer.tidy()
  }
  using fresh = new TestIndex()
  for (const [ino, file] of files) fresh.put(ino, file.path, file.text, file)
  expect(index.dump()).toEqual(fresh.dump())
  expect(fresh.dump().length).toBeGreaterThan(100)
})

describe("opening", () => {
  test("an index of a newer version is refused and left alone", () => {
    using index = new TestIndex()
    index.put(1, "a", "heron")
    index.writer.db.pragma("user_version = 99")
    index.writer[Symbol.dispose]()
    const path = join(index.directory, "index.db")
    const before = readFileSync(path)
    expect(() => new IndexWriter(index.directory)).toThrow(
      `the search index is of version 99, this program knows ${INDEX_VERSION}`,
    )
    expect(() => new IndexReader(index.directory)).toThrow("of version 99")
    expect(readFileSync(path).equals(before)).toBe(true)
  })

  test.each([
    [
      "an older version",
      (path: string) => {
        using db = new Database(path)
        db.pragma("user_version = 0")
      },
      "it is of version 0",
    ],
    ["garbage", (path: string) => writeFileSync(path, "no database at all".repeat(1000)), "is damaged"],
    ["an empty file", (path: string) => writeFileSync(path, ""), "it is no index of ClawFS"],
  ])("%s is dropped, with its caches, and made anew", (_what, damage, reason) => {
    using index = new TestIndex()
    index.put(1, "a", "heron")
    index.writer[Symbol.dispose]()
    writeFileSync(join(index.directory, "hnsw-9.us"), "stale")
    damage(join(index.directory, "index.db"))
    expect(() => new IndexReader(index.directory)).toThrow("there is no search index yet")
    index.writer = new IndexWriter(index.directory)
    expect(index.writer.rebuiltBecause).toContain(reason)
    expect(readdirSync(index.directory)).not.toContain("hnsw-9.us")
    index.put(1, "a", "otter")
    using reader = index.reader()
    expect(words(reader, '"otter"')).toEqual([1])
  })

  test("a reader notices that the index was begun anew", () => {
    using index = new TestIndex()
    using reader = index.reader()
    expect(reader.isStale()).toBe(false)
    index.writer[Symbol.dispose]()
    dropIndex(index.directory)
    expect(reader.isStale()).toBe(true)
    index.writer = new IndexWriter(index.directory)
    expect(reader.isStale()).toBe(true)
  })

  test("what was applied is remembered, with what was written in the same transaction", () => {
    using index = new TestIndex()
    using reader = index.reader()
    expect(reader.applied()).toBeUndefined()
    index.writer.transact(() => index.writer.setApplied({ epoch: "e1", sequence: 42 }))
    expect(reader.applied()).toEqual({ epoch: "e1", sequence: 42 })
    index.writer[Symbol.dispose]()
    const { db, rebuiltBecause } = openForWriting(index.directory)
    db[Symbol.dispose]()
    expect(rebuiltBecause).toBeUndefined()
    expect(reader.applied()).toEqual({ epoch: "e1", sequence: 42 })
  })
})

describe("vectors", () => {
  const axis = (i: number): Float32Array => new Float32Array(128).map((_, d) => (d === i ? 3 : 0))

  test.each([
    ["of another length", new Float32Array(127).fill(1), "127 dimensions instead of 128"],
    ["with NaN", new Float32Array(128).fill(Number.NaN), "not finite"],
    ["with infinity", new Float32Array(128).fill(Number.POSITIVE_INFINITY), "not finite"],
    ["of zeros", new Float32Array(128), "zeros"],
  ])("one %s is refused, and its batch with it", (_what, vector, message) => {
    using index = new TestIndex()
    index.put(1, "a", "heron\n\notter")
    const { vectors } = index.writer
    const embedder = index.writer.transact(() => vectors.use("e:128:1", 128))
    const [first, second] = vectors.missing(embedder, 2).map(({ id }) => id)
    expect(() =>
      vectors.put(embedder, [
        { chunk: first ?? 0, vector: axis(1) },
        { chunk: second ?? 0, vector },
      ]),
    ).toThrow(message)
    expect(vectors.missing(embedder, 9)).toHaveLength(2)
  })

  test("another embedder's are made beside the old ones, which answer until they are switched", () => {
    using index = new TestIndex()
    const { vectors } = index.writer
    index.put(1, "a", "heron\n\notter")
    const old = index.writer.transact(() => vectors.use("old:128:1", 128))
    index.writer.transact(() =>
      vectors.put(
        old,
        vectors.missing(old, 9).map(({ id }) => ({ chunk: id, vector: axis(1) })),
      ),
    )
    const next = index.writer.transact(() => vectors.use("new:256:1", 256, Buffer.from("model")))
    const [one] = vectors.missing(next, 1)
    vectors.put(next, [{ chunk: one?.id ?? 0, vector: undefined }])
    using reader = index.reader()
    expect(reader.embedders()).toEqual([
      { ...old, isCurrent: true, done: 2, graph: "exact" },
      { ...next, isCurrent: false, done: 1, graph: "exact" },
    ])
    expect(vectors.missing(next, 9)).toHaveLength(1)
    index.writer.transact(() => vectors.switchTo(next))
    expect(reader.embedders()).toEqual([{ ...next, graph: "exact", isCurrent: true, done: 1 }])
    expect(reader.model(next.n)?.toString()).toBe("model")
    expect(() => vectors.use("small:64", 64)).toThrow("128 to 4096 dimensions, not 64")
  })

  test("of a chunk that is gone are gone, and come too late for it", () => {
    using index = new TestIndex()
    const { vectors } = index.writer
    index.put(1, "a", "heron\n\notter")
    const embedder = index.writer.transact(() => vectors.use("e:128:1", 128))
    const late = vectors.missing(embedder, 9).map(({ id }) => ({ chunk: id, vector: axis(1) }))
    vectors.put(embedder, late.slice(0, 1))
    index.writer.transact(() => index.writer.removeDocument(1))
    vectors.put(embedder, late)
    using reader = index.reader()
    expect(reader.embedders()[0]?.done).toBe(0)
  })
})
