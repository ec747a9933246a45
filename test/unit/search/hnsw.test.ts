/** The HNSW graph as what it is: a cache that may be wrong, damaged or gone without anybody's search being so. */
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { snapshotOf } from "../../../clawfs/search/index/hnsw-files.ts"
import { HnswBuilder } from "../../../clawfs/search/index/hnsw-builder.ts"
import { HnswProcess } from "../../../clawfs/search/index/hnsw-process.ts"
import { HnswSearch } from "../../../clawfs/search/index/hnsw-search.ts"
import { normalized } from "../../../clawfs/search/index/normalize.ts"
import type { IndexReader } from "../../../clawfs/search/index/reader.ts"
import { VectorSearch } from "../../../clawfs/search/index/vector-search.ts"
import { program } from "../../helpers/programs.ts"
import { Random } from "../../model/random.ts"
import { TestIndex } from "./support.ts"

const main = program("clawfs/search/index/hnsw-main.ts")
const DIMENSIONS = 128
const tiny = { mostExact: 0, program: main }

/** Vectors with some structure: around 20 centres. */
class Vectors {
  readonly #random: Random
  readonly #centres: Float32Array[]

  constructor(seed: number) {
    this.#random = new Random(seed)
    this.#centres = Array.from({ length: 20 }, () => this.#noise())
  }

  next(): Float32Array {
    const centre = this.#random.pick(this.#centres)
    const noise = this.#noise()
    return normalized(
      centre.map((x, i) => x + 0.7 * (noise[i] ?? 0)),
      DIMENSIONS,
    )
  }

  #noise(): Float32Array {
    return new Float32Array(DIMENSIONS).map(() => this.#random.next() + this.#random.next() - 1)
  }
}

/** Files 1 to n, one chunk and vector each; `round` makes their texts different. */
function fill(index: TestIndex, vectors: Vectors, count: number, round = 0): void {
  for (let ino = 1; ino <= count; ino++) index.put(ino, `f${ino}`, `text ${ino} of round ${round}`)
  embed(index, vectors)
}

function embed({ writer }: TestIndex, vectors: Vectors): void {
  writer.transact(() => {
    const row = writer.vectors.use("test:128:1", DIMENSIONS)
    const missing = writer.vectors.missing(row, 100_000)
    writer.vectors.put(
      row,
      missing.map(({ id }) => ({ chunk: id, vector: vectors.next() })),
    )
  })
}

async function opened(reader: IndexReader): Promise<{ hnsw: HnswSearch; search: VectorSearch }> {
  const hnsw = new HnswSearch(reader, main)
  const search = new VectorSearch(reader, { mostExact: 0, hnsw })
  await search.nearest(new Vectors(0).next(), 1)
  await hnsw.settled()
  return { hnsw, search }
}

async function recallAt10(reader: IndexReader, search: VectorSearch, vectors: Vectors): Promise<number> {
  const exact = new VectorSearch(reader)
  let found = 0
  for (let i = 0; i < 50; i++) {
    const query = vectors.next()
    const wanted = new Set((await exact.nearest(query, 10)).hits.map(({ chunk }) => chunk))
    const near = await search.nearest(query, 10)
    expect(near.how).toBe("hnsw")
    found += near.hits.filter(({ chunk }) => wanted.has(chunk)).length
  }
  return found / 500
}

test("finds what exact search finds, also after everything was replaced, and gives exact scores", async () => {
  using index = new TestIndex()
  const vectors = new Vectors(1)
  fill(index, vectors, 1500)
  const builder = new HnswBuilder(index.directory, tiny)
  expect(builder.due()).toBe("build")
  const built = await builder.run(index.writer)
  expect(built).toMatchObject({ entries: 1500, dimensions: DIMENSIONS })
  expect(built?.recall).toBeGreaterThanOrEqual(0.98)
  expect(builder.due()).toBe("nothing")
  using reader = index.reader()
  const before = await opened(reader)
  try {
    expect(await recallAt10(reader, before.search, vectors)).toBeGreaterThanOrEqual(0.98)
    const query = vectors.next()
    const [mine, exact] = await Promise.all([
      before.search.nearest(query, 5),
      new VectorSearch(reader).nearest(query, 5),
    ])
    expect(mine.hits.map(({ score }) => score.toFixed(5))).toEqual(
      exact.hits.map(({ score }) => score.toFixed(5)),
    )
  } finally {
    before.hnsw.close()
  }
  fill(index, vectors, 1500, 1)
  expect(builder.due()).toBe("build")
  await builder.run(index.writer)
  const after = await opened(reader)
  try {
    expect(await recallAt10(reader, after.search, vectors)).toBeGreaterThanOrEqual(0.98)
  } finally {
    after.hnsw.close()
  }
  expect(readdirSync(index.directory).filter((name) => name.startsWith("hnsw-"))).toHaveLength(1)
})

test("what is new is found at once, what is gone no longer; enough of it extends the graph", async () => {
  using index = new TestIndex()
  const vectors = new Vectors(2)
  fill(index, vectors, 300)
  const builder = new HnswBuilder(index.directory, tiny)
  await builder.run(index.writer)
  using reader = index.reader()
  const { hnsw, search } = await opened(reader)
  try {
    index.put(301, "new", "new")
    const special = new Float32Array(DIMENSIONS).fill(-1)
    const { writer } = index
    const row = writer.vectors.use("test:128:1", DIMENSIONS)
    writer.vectors.put(row, [{ chunk: writer.vectors.missing(row, 1)[0]?.id ?? 0, vector: special }])
    const first = async () => (await search.nearest(normalized(special, DIMENSIONS), 1)).hits[0]
    expect(await first()).toMatchObject({ ino: 301 })
    writer.transact(() => writer.removeDocument(301))
    expect(await first()).not.toMatchObject({ ino: 301 })
    for (let ino = 400; ino < 450; ino++) index.put(ino, `f${ino}`, `more ${ino}`)
    embed(index, vectors)
    expect(builder.due()).toBe("extend")
    expect(await builder.run(index.writer)).toMatchObject({ entries: 350 })
    expect(builder.due()).toBe("nothing")
  } finally {
    hnsw.close()
  }
})

/** Changes the file in place. */
const damages: Record<string, (path: string) => void> = {
  "a flipped bit": (path) => {
    const bytes = readFileSync(path)
    const at = Math.floor(bytes.length * 0.7)
    bytes[at] = (bytes[at] ?? 0) ^ 4
    writeFileSync(path, bytes)
  },
  "a truncated file": (path) => truncateSync(path, Math.floor(statSync(path).size / 2)),
  "a zeroed page": (path) => {
    const descriptor = openSync(path, "r+")
    writeSync(descriptor, Buffer.alloc(4096), 0, 4096, 8192)
    closeSync(descriptor)
  },
  "an empty file": (path) => truncateSync(path, 0),
  garbage: (path) => writeFileSync(path, Buffer.alloc(5000, 65)),
}

describe("a damaged file", () => {
  test.each(Object.keys(damages))("%s: the answer is exact, and the graph is built anew", async (what) => {
    using index = new TestIndex()
    const vectors = new Vectors(3)
    fill(index, vectors, 200)
    const builder = new HnswBuilder(index.directory, tiny)
    const built = await builder.run(index.writer)
    const path = join(index.directory, built?.file ?? "")
    damages[what]?.(path)
    using reader = index.reader()
    const { hnsw, search } = await opened(reader)
    try {
      const query = vectors.next()
      const answer = await search.nearest(query, 10)
      expect(answer.how).toBe("database")
      const exact = await new VectorSearch(reader).nearest(query, 10)
      expect(answer.hits.map(({ chunk }) => chunk)).toEqual(exact.hits.map(({ chunk }) => chunk))
      expect(hnsw.state().problem).toContain("is not what was saved")
    } finally {
      hnsw.close()
    }
    expect(existsSync(path)).toBe(false)
    expect(builder.due()).toBe("build")
    await builder.run(index.writer)
    const again = await opened(reader)
    try {
      expect((await again.search.nearest(vectors.next(), 10)).how).toBe("hnsw")
    } finally {
      again.hnsw.close()
    }
  })

  test("one that should be extended is built from nothing instead", async () => {
    using index = new TestIndex()
    const vectors = new Vectors(4)
    fill(index, vectors, 100)
    const builder = new HnswBuilder(index.directory, tiny)
    const built = await builder.run(index.writer)
    for (let ino = 101; ino <= 120; ino++) index.put(ino, `f${ino}`, `more ${ino}`)
    embed(index, vectors)
    damages["a flipped bit"]?.(join(index.directory, built?.file ?? ""))
    expect(builder.due()).toBe("extend")
    expect(await builder.run(index.writer)).toMatchObject({ entries: 120 })
  })
})

test("the process may be killed at any time: the next answer is exact", async () => {
  using index = new TestIndex()
  const vectors = new Vectors(5)
  fill(index, vectors, 100)
  await new HnswBuilder(index.directory, tiny).run(index.writer)
  using reader = index.reader()
  const { hnsw, search } = await opened(reader)
  try {
    const { pid } = hnsw.state()
    process.kill(pid ?? 0, "SIGKILL")
    const answers = await Promise.all(Array.from({ length: 5 }, () => search.nearest(vectors.next(), 10)))
    for (const { how, hits } of answers) expect([how, hits.length]).toEqual(["database", 10])
    expect(hnsw.state()).toMatchObject({
      isReady: false,
      problem: "the process with the vector graph ended (SIGKILL)",
    })
    // Somebody's kill says nothing about the file.
    expect(existsSync(join(index.directory, snapshotOf(reader, 1)?.file ?? "none"))).toBe(true)
  } finally {
    hnsw.close()
  }
})

test("without the program the answer is exact", async () => {
  using index = new TestIndex()
  const vectors = new Vectors(6)
  fill(index, vectors, 50)
  await new HnswBuilder(index.directory, tiny).run(index.writer)
  using reader = index.reader()
  const hnsw = new HnswSearch(reader, "/nowhere.js")
  const search = new VectorSearch(reader, { mostExact: 0, hnsw })
  for (let i = 0; i < 2; i++) {
    expect((await search.nearest(vectors.next(), 10)).how).toBe("database")
    await hnsw.settled()
  }
  await expect(
    new HnswBuilder(index.directory, { mostExact: -1, program: "/nowhere.js" }).run(index.writer),
  ).resolves.toBeDefined()
  index.writer.transact(() => index.writer.db.execute("DELETE FROM snap"))
  await expect(
    new HnswBuilder(index.directory, { mostExact: 0, program: "/nowhere.js" }).run(index.writer),
  ).rejects.toThrow("the process with the vector graph ended")
  hnsw.close()
})

test("a process ends with its parent", async () => {
  const source = `import { fork } from "node:child_process"
    const child = fork(process.argv[2], [], { serialization: "advanced", stdio: ["ignore", "ignore", "inherit", "ipc"] })
    child.send({ id: 1, body: { kind: "nearest", query: new Float32Array(1), count: 1 } })
    child.on("message", () => { process.stdout.write(String(child.pid) + "\\n"); process.kill(process.pid, "SIGKILL") })`
  using index = new TestIndex()
  const parent = join(index.directory, "parent.mjs")
  writeFileSync(parent, source)
  const { spawnSync } = await import("node:child_process")
  const { stdout, signal } = spawnSync(process.execPath, [parent, main], { encoding: "utf8" })
  expect(signal).toBe("SIGKILL")
  const pid = Number(stdout.trim())
  expect(pid).toBeGreaterThan(1)
  // Nobody may be there who waits for orphans: then it stays as a zombie.
  const runs = (): boolean =>
    existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  await expect.poll(runs).toBe(false)
})

test("usearch keeps its memory whole when a graph from which most was removed is saved and loaded", async () => {
  // 2.25.3 aborted each time.
  using index = new TestIndex()
  const source = `import { Index } from ${JSON.stringify(import.meta.resolve("usearch"))}
    const make = () => new Index({ dimensions: 32, metric: "cos", quantization: "f16", connectivity: 16, expansion_add: 128, expansion_search: 64, multi: false })
    const index = make()
    for (let i = 0; i < 1000; i++) index.add(BigInt(i), new Float32Array(32).map((_, d) => Math.sin(i * 7 + d)), 1)
    for (let i = 0; i < 900; i++) index.remove(BigInt(i))
    index.save(process.argv[2])
    const again = make()
    again.load(process.argv[2])
    for (let i = 1000; i < 2000; i++) again.add(BigInt(i), new Float32Array(32).map((_, d) => Math.cos(i * 3 + d)), 1)
    process.stdout.write(String(again.size()))`
  const script = join(index.directory, "usearch.mjs")
  writeFileSync(script, source)
  const { spawnSync } = await import("node:child_process")
  for (let i = 0; i < 3; i++) {
    const { stdout, status } = spawnSync(process.execPath, [script, join(index.directory, "x.us")], {
      encoding: "utf8",
    })
    expect([status, stdout]).toEqual([0, "1100"])
  }
})

test("questions that wait are told when the process ends", async () => {
  const child = new HnswProcess(main)
  const asked = child.ask({ kind: "open", directory: "/nowhere", embedder: 1 }, 10_000)
  child.kill()
  await expect(asked).rejects.toThrow("ended (SIGKILL)")
  await expect(child.ask({ kind: "open", directory: "/nowhere", embedder: 1 }, 10_000)).rejects.toThrow(
    "ended",
  )
  expect(child.hasEnded).toBe(true)
})
