/** Vectors that a migration has brought along: given out where text and model agree, whatever else the archive may hold. */
import { createHash } from "node:crypto"
import { afterEach, beforeEach, expect, test } from "vitest"
import { embedderConfig } from "../../../schema/search.ts"
import { ArchivedVectors } from "../../../clawfs/search/indexer/archived-vectors.ts"
import { Store } from "../../../clawfs/store/store.ts"
import { TestFileSystem, ok } from "../support/filesystem.ts"
import { QuietLog } from "../support/log.ts"

const DIMENSIONS = 128
const TEXTS = ["apples", "rivers", "zeros", "not finite"]
const HTTP = {
  provider: "http",
  api: "openai",
  url: "http://localhost",
  model: "tiny",
  dimensions: DIMENSIONS,
}

let fs: TestFileSystem
let store: Store

beforeEach(() => {
  fs = new TestFileSystem()
  for (const path of [
    "system",
    "system/migrations",
    "system/migrations/run",
    "system/migrations/run/archive",
  ])
    ok(fs.mkdir(path))
  store = Store.open(fs.directory, { readOnly: true })
})
afterEach(() => {
  store[Symbol.dispose]()
  fs[Symbol.dispose]()
})

function put(name: string, content: Buffer | string): void {
  const path = `system/migrations/run/archive/${name}`
  if (fs.has(path)) fs.unlink(path)
  fs.write(ok(fs.mknod(path)).ino, 0, content)
  fs.store.settle()
}

/** Vector `n` has n + 1 everywhere, but two of them that no index may have. */
function archive({
  model = "tiny",
  rows = TEXTS.length,
}: { model?: string | null; rows?: number } = {}): void {
  const numbers = [1, 2, 0, NaN].flatMap((value) => Array.from({ length: DIMENSIONS }, () => value))
  put("vectors-128.f32", Buffer.from(Float32Array.from(numbers).buffer))
  const hashes = TEXTS.map((text) => createHash("sha256").update(text).digest())
  put("vectors-128.sha256", Buffer.concat(hashes))
  const set = { dimensions: DIMENSIONS, rows, model, vectors: "vectors-128.f32", texts: "vectors-128.sha256" }
  put("vectors.json", JSON.stringify({ format: 1, sets: [set] }))
}

const found = (vectors: ArchivedVectors, texts = TEXTS): (number | undefined)[] =>
  vectors.find(texts).map((vector) => vector?.[DIMENSIONS - 1])
const opened = (config: object = HTTP): ArchivedVectors =>
  new ArchivedVectors(store, embedderConfig.parse(config), new QuietLog())

test("a text has its vector, blank space at its ends aside; vectors that are none are not given out", () => {
  archive()
  expect(found(opened(), [" rivers\n", ...TEXTS, "other"])).toEqual([
    2,
    1,
    2,
    undefined,
    undefined,
    undefined,
  ])
})

test("an archive that comes, changes and goes later counts as it is", () => {
  const vectors = opened()
  expect(found(vectors)).toEqual([undefined, undefined, undefined, undefined])
  archive()
  expect(found(vectors).slice(0, 2)).toEqual([1, 2])
  archive({ model: "other" })
  expect(found(vectors).slice(0, 2)).toEqual([undefined, undefined])
})

test.each([
  ["another model", { ...HTTP, model: "huge" }],
  ["other dimensions", { ...HTTP, dimensions: 256 }],
  ["a prefix that the archive's texts had not", { ...HTTP, documentPrefix: "passage: " }],
  ["the built-in embedder", { provider: "builtin", dimensions: DIMENSIONS }],
])("nothing is given out for %s", (_, config) => {
  archive()
  expect(found(opened(config))).toEqual([undefined, undefined, undefined, undefined])
})

test("a model's name means the same with :latest", () => {
  archive({ model: "tiny:latest" })
  expect(found(opened()).slice(0, 2)).toEqual([1, 2])
})

test("an archive that is not what it says, and one of an unknown model, are left alone", () => {
  const manifests = ["", "{", "[]", '{"format":2,"sets":[]}', '{"format":1,"sets":[{"dimensions":-1}]}']
  for (const manifest of manifests) {
    archive()
    put("vectors.json", manifest)
    expect(found(opened())).toEqual([undefined, undefined, undefined, undefined])
  }
  const elsewhere = {
    dimensions: DIMENSIONS,
    rows: 4,
    model: "tiny",
    vectors: "../../x",
    texts: "/etc/passwd",
  }
  for (const change of [
    () => archive({ rows: 3 }),
    () => archive({ model: null }),
    () => put("vectors-128.sha256", "short"),
    () => put("vectors.json", JSON.stringify({ format: 1, sets: [elsewhere] })),
  ]) {
    archive()
    change()
    expect(found(opened())).toEqual([undefined, undefined, undefined, undefined])
  }
})
