/** The nearest vectors: ClawFS's exact scan and graph beside sqlite-vec, hnswlib-node and pgvector, on the index's own vectors. */
import { createRequire } from "node:module"
import { join } from "node:path"
import { run } from "../command.ts"
import { installPeers } from "../fixtures.ts"
import { productModule, root, source } from "../paths.ts"
import { median, type Row } from "../rows.ts"

const COUNT = 10
const QUERIES = 100

interface Sqlite {
  prepare(sql: string): {
    raw(): { all(...parameters: unknown[]): unknown[][] }
    run(...parameters: unknown[]): unknown
  }
  exec(sql: string): void
  close(): void
}
type Vector = Float32Array
type Find = (query: Vector) => Promise<readonly number[]> | readonly number[]

const require = createRequire(join(root, "package.json"))
const peers = createRequire(source("peers", "package.json"))

/** Up to `most` vectors of the embedder that answers. */
function load(store: string, most: number): Vector[] {
  const Database = require("better-sqlite3") as new (file: string, options: object) => Sqlite
  const db = new Database(join(store, "index", "index.db"), { readonly: true })
  const [[n] = [0]] = db.prepare("SELECT value FROM meta WHERE key = 'embedder'").raw().all()
  const rows = db
    .prepare(`SELECT vector FROM vector_${String(n)} WHERE vector IS NOT NULL ORDER BY sequence LIMIT ?`)
    .raw()
    .all(most) as [Buffer][]
  db.close()
  return rows.map(([bytes]) => new Float32Array(Uint8Array.from(bytes).buffer))
}

const product = (a: Vector, b: Vector): number => {
  let sum = 0
  for (let i = 0, end = a.length; i < end; i += 1) sum += (a[i] ?? 0) * (b[i] ?? 0)
  return sum
}

/** Indexes of the nearest, exactly. */
function exact(all: readonly Vector[], query: Vector): number[] {
  const scores = all.map((vector, i) => [product(vector, query), i] as const)
  return scores
    .sort((a, b) => b[0] - a[0])
    .slice(0, COUNT)
    .map(([, i]) => i)
}

/** A stored vector with a little of another: near something, equal to nothing. */
function queryFrom(all: readonly Vector[], i: number): Vector {
  const one = all[(i * 7919) % all.length] ?? new Float32Array()
  const other = all[(i * 104_729 + 17) % all.length] ?? new Float32Array()
  const mixed = one.map((x, at) => 0.8 * x + 0.2 * (other[at] ?? 0))
  const length = Math.sqrt(product(mixed, mixed))
  return mixed.map((x) => x / length)
}

export async function* vectors(store: string, work: string): AsyncGenerator<Row> {
  const all = load(store, 20_000)
  const queries = Array.from({ length: QUERIES }, (_, i) => queryFrom(all, i))
  const truth = queries.map((query) => new Set(exact(all, query)))
  const [first = new Float32Array()] = all
  const what = `${all.length} × ${first.length}`
  const measured = async function* (name: string, buildSeconds: number, find: Find): AsyncGenerator<Row> {
    const times: number[] = []
    let hits = 0
    for (const [i, query] of queries.entries()) {
      const start = performance.now()
      const found = await find(query)
      times.push(performance.now() - start)
      hits += found.filter((at) => truth[i]?.has(at)).length
    }
    yield {
      name: `vectors.${name}.p50`,
      value: median(times),
      unit: "ms",
      note: `${what}, built in ${buildSeconds.toFixed(1)} s`,
    }
    yield { name: `vectors.${name}.recall`, value: hits / (COUNT * QUERIES), unit: "" }
  }
  const timed = async <T>(build: () => Promise<T> | T): Promise<[T, number]> => {
    const start = performance.now()
    const built = await build()
    return [built, (performance.now() - start) / 1000]
  }

  const [scan, scanSeconds] = await timed(() => ownScan(all))
  yield* measured("clawfs.exact", scanSeconds, scan)
  for (const ef of [64, 256]) {
    const [graph, seconds] = await timed(() => ownGraph(all, ef))
    yield* measured(`clawfs.graph.ef${ef}`, seconds, graph)
  }
  const [table, tableSeconds] = await timed(() => sqliteVec(all, join(work, "vec.db")))
  yield* measured("sqlite-vec", tableSeconds, table)
  await installPeers()
  await run(["npm", "rebuild", "hnswlib-node"], { cwd: source("peers"), timeoutMs: 300_000 })
  for (const ef of [64, 256]) {
    const [graph, seconds] = await timed(() => hnswlib(all, ef))
    yield* measured(`hnswlib.ef${ef}`, seconds, graph)
  }
  const [postgres, postgresSeconds] = await timed(() => pgvector(all))
  yield* measured("pgvector.ef64", postgresSeconds, postgres.find)
  await postgres.close()
}

async function ownScan(all: readonly Vector[]): Promise<Find> {
  const { Rows } = (await import(productModule("clawfs/search/index/simd.js"))) as {
    Rows: new (dimensions: number) => { add(row: Vector): void; products(query: Vector): Float32Array }
  }
  const nearest = (await import(productModule("clawfs/search/index/nearest.js"))) as {
    highest: (scores: Float32Array, count: number) => readonly { readonly at: number }[]
  }
  const rows = new Rows(all[0]?.length ?? 0)
  for (const vector of all) rows.add(vector)
  return (query) => nearest.highest(rows.products(query), COUNT).map(({ at }) => at)
}

async function ownGraph(all: readonly Vector[], ef: number): Promise<Find> {
  const { HnswGraph } = (await import(productModule("clawfs/search/index/hnsw-graph.js"))) as {
    HnswGraph: new (
      dimensions: number,
      ef: number,
    ) => { add(key: number, vector: Vector): void; nearest(query: Vector, count: number): number[] }
  }
  const graph = new HnswGraph(all[0]?.length ?? 0, ef)
  for (const [i, vector] of all.entries()) graph.add(i, vector)
  return (query) => graph.nearest(query, COUNT)
}

function sqliteVec(all: readonly Vector[], file: string): Find {
  const Database = require("better-sqlite3") as new (file: string) => Sqlite
  const extension = require("sqlite-vec") as { load(db: Sqlite): void }
  const db = new Database(file)
  extension.load(db)
  db.exec(
    `CREATE VIRTUAL TABLE v USING vec0 (id INTEGER PRIMARY KEY, e float[${all[0]?.length ?? 0}] distance_metric=cosine)`,
  )
  const bytes = ({ buffer, byteOffset, byteLength }: Vector): Buffer =>
    Buffer.from(buffer, byteOffset, byteLength)
  const insert = db.prepare("INSERT INTO v (id, e) VALUES (?, ?)")
  db.exec("BEGIN")
  for (const [i, vector] of all.entries()) insert.run(BigInt(i), bytes(vector))
  db.exec("COMMIT")
  const select = db.prepare(`SELECT id FROM v WHERE e MATCH ? AND k = ${COUNT}`).raw()
  return (query) => select.all(bytes(query)).map(([id]) => Number(id))
}

interface Hnswlib {
  HierarchicalNSW: new (
    space: string,
    dimensions: number,
  ) => {
    initIndex(options: object): void
    addPoint(vector: number[], label: number): void
    setEf(ef: number): void
    searchKnn(query: number[], count: number): { neighbors: number[] }
  }
}

function hnswlib(all: readonly Vector[], ef: number): Find {
  const { HierarchicalNSW } = peers("hnswlib-node") as Hnswlib
  const index = new HierarchicalNSW("cosine", all[0]?.length ?? 0)
  index.initIndex({ maxElements: all.length, m: 16, efConstruction: 200 })
  for (const [i, vector] of all.entries()) index.addPoint([...vector], i)
  index.setEf(ef)
  return (query) => index.searchKnn([...query], COUNT).neighbors
}

interface Postgres {
  exec(sql: string): Promise<unknown>
  query(sql: string, parameters: unknown[]): Promise<{ rows: unknown[] }>
  close(): Promise<void>
}

/** PGlite is PostgreSQL in WebAssembly: slower than a server, the same algorithm and recall. */
async function pgvector(all: readonly Vector[]): Promise<{ find: Find; close: () => Promise<void> }> {
  const { PGlite } = peers("@electric-sql/pglite") as {
    PGlite: { create(options: object): Promise<Postgres> }
  }
  const { vector } = peers("@electric-sql/pglite-pgvector") as { vector: unknown }
  const db = await PGlite.create({ extensions: { vector } })
  await db.exec(
    `CREATE EXTENSION vector; CREATE TABLE v (id int, e vector(${all[0]?.length ?? 0})); SET maintenance_work_mem = '512MB'`,
  )
  const text = (each: Vector): string => `[${[...each].join(",")}]`
  for (let i = 0; i < all.length; i += 100) {
    const some = all.slice(i, i + 100)
    const values = some.map((_, at) => `($${2 * at + 1}, $${2 * at + 2})`).join(",")
    await db.query(
      `INSERT INTO v VALUES ${values}`,
      some.flatMap((each, at) => [i + at, text(each)]),
    )
  }
  await db.exec(
    "CREATE INDEX ON v USING hnsw (e vector_cosine_ops) WITH (m = 16, ef_construction = 200); SET hnsw.ef_search = 64",
  )
  const find: Find = async (query) => {
    const { rows } = await db.query(`SELECT id FROM v ORDER BY e <=> $1 LIMIT ${COUNT}`, [text(query)])
    return (rows as { id: number }[]).map(({ id }) => id)
  }
  return { find, close: () => db.close() }
}
