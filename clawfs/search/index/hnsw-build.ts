/** Builds a snapshot of the HNSW graph from the vectors in the index, in the child process, and measures what it is worth. */
import { rmSync } from "node:fs"
import { join } from "node:path"
import { HnswGraph } from "./hnsw-graph.ts"
import { publish, sha256Of } from "./hnsw-files.ts"
import type { HnswRequest, Snapshot } from "./hnsw-messages.ts"
import { highest } from "./nearest.ts"
import { IndexReader } from "./reader.ts"
import { product, Rows } from "./simd.ts"
import { floatsOf } from "./vector-matrix.ts"

export class DamagedSnapshot extends Error {}

/** Values of expansion_search that are tried, until the recall is good enough. */
const EXPANSIONS = [64, 128, 256, 512, 1024, 2048]
const WANTED_RECALL = 0.98
const SAMPLES = 50
const NEIGHBOURS = 10
/** The graph has 16 bits a number. */
const TOLERANCE = 1e-5
const ROWS_A_TIME = 500

/** Loads a snapshot if its bytes are those that were saved; throws `DamagedSnapshot` if not. */
export function loadVerified(
  directory: string,
  { file, sha256, dimensions }: Pick<Snapshot, "file" | "sha256" | "dimensions">,
  ef: number,
): HnswGraph {
  const path = join(directory, file)
  let isSame: boolean
  try {
    isSame = sha256Of(path).equals(sha256)
  } catch (cause) {
    throw new DamagedSnapshot(`${file} can't be read`, { cause })
  }
  if (!isSame) throw new DamagedSnapshot(`${file} is not what was saved`)
  const graph = new HnswGraph(dimensions, ef)
  graph.load(path)
  if (graph.dimensions !== dimensions) throw new DamagedSnapshot(`${file} has other dimensions`)
  return graph
}

/** Rows of an embedder's vectors after `sequence`, in their order. */
export function* vectorsAfter(
  reader: IndexReader,
  embedder: number,
  sequence: number,
): Generator<{
  readonly sequence: number
  readonly chunk: number
  readonly vector: Float32Array | undefined
}> {
  const sql = `SELECT sequence, chunk, vector FROM vector_${embedder} WHERE sequence > ? ORDER BY sequence LIMIT ${ROWS_A_TIME}`
  for (let last = sequence; ;) {
    const rows = reader.rows<[number, number, Buffer | null]>(sql, last)
    for (const [at, chunk, vector] of rows)
      yield { sequence: at, chunk, vector: vector === null ? undefined : floatsOf(vector) }
    last = rows.at(-1)?.[0] ?? last
    if (rows.length < ROWS_A_TIME) return
  }
}

export function buildSnapshot(request: Extract<HnswRequest, { kind: "build" }>): Snapshot {
  const { directory, embedder, dimensions, extend } = request
  using reader = new IndexReader(directory)
  const ef = EXPANSIONS[0] ?? 0
  const graph = extend === undefined ? new HnswGraph(dimensions, ef) : loadVerified(directory, extend, ef)
  let maxSequence = extend?.maxSequence ?? 0
  let entries = extend?.entries ?? 0
  for (const { sequence, chunk, vector } of vectorsAfter(reader, embedder, maxSequence)) {
    if (vector !== undefined) graph.add(chunk, vector)
    maxSequence = sequence
    entries++
  }
  const file = `hnsw-${embedder}-${maxSequence}.us`
  const temporary = `${file}.tmp`
  try {
    graph.save(join(directory, temporary))
    const sha256 = sha256Of(join(directory, temporary))
    publish(directory, temporary, file)
    const saved = { embedder, file, sha256, dimensions, maxSequence, entries }
    return { ...saved, ...measure(reader, directory, saved) }
  } finally {
    rmSync(join(directory, temporary), { force: true })
  }
}

interface Sample {
  readonly query: Float32Array
  /** Score of the last of the exact neighbours. */
  readonly least: number
}

/** Recall of the nearest ten, and the smallest expansion with which it is good. */
function measure(
  reader: IndexReader,
  directory: string,
  saved: Omit<Snapshot, "ef" | "recall">,
): Pick<Snapshot, "ef" | "recall"> {
  const samples = exactSamples(reader, saved)
  let recall = 1
  for (const ef of EXPANSIONS) {
    const graph = loadVerified(directory, saved, ef)
    recall = recallOf(reader, graph, saved.embedder, samples)
    if (recall >= WANTED_RECALL) return { ef, recall }
  }
  return { ef: 0, recall }
}

function recallOf(
  reader: IndexReader,
  graph: HnswGraph,
  embedder: number,
  samples: readonly Sample[],
): number {
  let found = 0
  for (const { query, least } of samples) {
    const near = graph.nearest(query, NEIGHBOURS * 2)
    const scores = near.flatMap((chunk) => {
      const [row] = reader.rows<[Buffer]>(`SELECT vector FROM vector_${embedder} WHERE chunk = ?`, chunk)
      return row === undefined ? [] : [product(floatsOf(row[0]), 0, query)]
    })
    found += scores.filter((score) => score >= least - TOLERANCE).slice(0, NEIGHBOURS).length
  }
  return samples.length === 0 ? 1 : found / (samples.length * NEIGHBOURS)
}

/** Vectors of the index, evenly from all of them, with the score of their tenth neighbour. */
function exactSamples(
  reader: IndexReader,
  { embedder, dimensions, maxSequence }: Omit<Snapshot, "ef" | "recall">,
): Sample[] {
  const filled = `FROM vector_${embedder} WHERE vector IS NOT NULL AND sequence <= ${maxSequence}`
  const [[count] = [0]] = reader.rows<[number]>(`SELECT count(*) ${filled}`)
  if (count <= NEIGHBOURS) return []
  const queries = Array.from({ length: Math.min(SAMPLES, count) }, (_, i) => {
    const offset = Math.floor((i * count) / SAMPLES) % count
    const [row] = reader.rows<[Buffer]>(`SELECT vector ${filled} ORDER BY sequence LIMIT 1 OFFSET ?`, offset)
    return row === undefined ? new Float32Array(dimensions) : floatsOf(row[0])
  })
  const rows = new Rows(dimensions)
  for (const query of queries) rows.add(query)
  const scores = queries.map(() => new Float32Array(count))
  let at = 0
  for (const { sequence, vector } of vectorsAfter(reader, embedder, 0)) {
    if (sequence > maxSequence || at === count) break
    if (vector === undefined) continue
    for (const [i, score] of rows.products(vector).entries()) {
      const of = scores[i]
      if (of !== undefined) of[at] = score
    }
    at++
  }
  return queries.map((query, i) => ({
    query,
    least: highest(scores[i] ?? new Float32Array(), NEIGHBOURS).at(-1)?.score ?? 0,
  }))
}
