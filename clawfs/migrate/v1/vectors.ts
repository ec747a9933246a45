/**
 * The vectors of `memory_chunks`, for each dimension two files of the run's archive: the vectors, and hashes of the texts that they are
 * of. `vectors.json` says which model made them. With these the indexer gives a chunk of the same text its vector, where the same
 * model embeds the store (search/indexer/archived-vectors.ts); all others are embedded anew.
 */
import { archivePath, chunksTable, tableWith, type Context } from "../context.ts"
import type { Table } from "../postgres/catalog.ts"
import { groupChanges, groupColumns, rowHash } from "../postgres/changes.ts"
import type { Hazard, Item } from "../source.ts"
import { declaredModel, modelOf } from "./embedding-model.ts"
import { once } from "../once.ts"

/** pgvector's binary form: u16 dimensions, u16 unused, then big-endian f32. */
const VECTOR_HEADER = 4
/** Bytes of vectors that a page of rows may have. */
const PAGE_BYTES = 2 * 1024 * 1024
const MOST_PAGE = 500
const MODE = 0o600
const KEY = "memory_chunks"
/** What JavaScript's trim takes away. */
const BLANK =
  "U&'\\0009\\000A\\000B\\000C\\000D\\0020\\00A0\\1680\\2000\\2001\\2002\\2003\\2004\\2005\\2006\\2007\\2008\\2009\\200A\\2028\\2029\\202F\\205F\\3000\\FEFF'"

export interface Vectors {
  readonly table: Table
  /** SQL of a vector's dimension. */
  readonly dimensions: string
  readonly schema: string
}

/** Undefined where the chunks have no vectors. */
export function vectorsOf(context: Context): Vectors | undefined {
  const table = chunksTable(context)
  const schema = context.catalog.vectorSchema
  const isThere = table?.columns.some(({ name, isVector }) => name === "embedding" && isVector)
  if (table === undefined || schema === undefined || isThere !== true) return undefined
  return { table, schema, dimensions: `${schema}.vector_dims(t.embedding)` }
}

const ORDER = "t.document_id, t.chunk_index, t.id"
const textHash = `encode(sha256(convert_to(btrim(t.content, ${BLANK}), 'UTF8')), 'hex')`

export async function* vectorItems(context: Context): AsyncGenerator<Item> {
  const vectors = vectorsOf(context)
  if (vectors === undefined) return
  const { table, schema, dimensions } = vectors
  const hash = rowHash(table.columns, [`encode(sha256(${schema}.vector_send(t.embedding)), 'hex')`])
  const groups = await context.session.query(
    `SELECT ${dimensions}::text, count(*)::text, ${groupColumns(hash, context.pass)} FROM ${table.sql} t
     WHERE t.embedding IS NOT NULL GROUP BY ${dimensions} ORDER BY ${dimensions}`,
  )
  const hasTexts = tableWith(context, table.name, ["content"]) !== undefined
  const common = { table: table.name, rows: 0, mode: MODE, attributes: {} }
  const sets: VectorSet[] = []
  const declared = await declaredModel(context)
  for (const [wanted, count, ...changes] of groups) {
    const width = Number(wanted)
    const set = setOf(width, Number(count), modelOf(declared, width, groups.length))
    sets.push(set)
    const files = [
      { file: set.vectors, content: () => vectorBytes(context, vectors, width) },
      ...(hasTexts ? [{ file: set.texts, content: () => textHashes(context, vectors, width) }] : []),
    ]
    for (const { file, content } of files)
      yield {
        ...{ ...common, key: `${KEY}/${file}`, path: archivePath(context, file) },
        ...groupChanges(changes),
        content,
      }
  }
  const manifest = Buffer.from(`${JSON.stringify({ format: 1, sets }, undefined, 2)}\n`)
  if (sets.length > 0)
    yield {
      ...{ ...common, key: `${KEY}/vectors.json`, path: archivePath(context, "vectors.json") },
      content: () => once(manifest),
    }
}

/** As `vectors.json` has it (schema/archived-vectors.ts). */
interface VectorSet {
  readonly dimensions: number
  readonly rows: number
  readonly model: string | null
  readonly vectors: string
  readonly texts: string
}

function setOf(dimensions: number, rows: number, model: string | undefined): VectorSet {
  return {
    ...{ dimensions, rows, model: model ?? null },
    ...{ vectors: `vectors-${dimensions}.f32`, texts: `vectors-${dimensions}.sha256` },
  }
}

/** Little-endian f32, vector after vector, in the order of `chunks.jsonl`. */
async function* vectorBytes(
  { session }: Context,
  { table, schema, dimensions }: Vectors,
  wanted: number,
): AsyncGenerator<Buffer> {
  const text = `SELECT encode(${schema}.vector_send(t.embedding), 'hex') FROM ${table.sql} t
    WHERE ${dimensions} = ${wanted} ORDER BY ${ORDER}`
  const page = Math.max(1, Math.min(MOST_PAGE, Math.floor(PAGE_BYTES / (wanted * 4))))
  for await (const [hex] of session.rows(text, page))
    yield Buffer.from(hex ?? "", "hex")
      .subarray(VECTOR_HEADER)
      .swap32()
}

/** SHA-256 of each vector's text without blank space at its ends, in the order of the vectors. */
async function* textHashes(
  { session }: Context,
  { table, dimensions }: Vectors,
  wanted: number,
): AsyncGenerator<Buffer> {
  const text = `SELECT ${textHash} FROM ${table.sql} t WHERE ${dimensions} = ${wanted} ORDER BY ${ORDER}`
  for await (const [hex] of session.rows(text, MOST_PAGE)) yield Buffer.from(hex ?? "", "hex")
}

export async function* vectorHazards(context: Context): AsyncGenerator<Hazard> {
  const vectors = vectorsOf(context)
  if (vectors === undefined) return
  const { table, dimensions, schema } = vectors
  const counts = await context.session.query(
    `SELECT ${dimensions}::text, count(*)::text FROM ${table.sql} t WHERE t.embedding IS NOT NULL GROUP BY 1 ORDER BY 1`,
  )
  if (counts.length > 1)
    yield {
      ...{ code: "mixed-dimensions", table: table.name, id: "embedding" },
      detail: `vectors of ${counts.map(([d, n]) => `${d ?? ""} (${n ?? ""})`).join(", ")} dimensions; kept apart`,
    }
  const declared = await declaredModel(context)
  for (const [width, count] of counts)
    if (modelOf(declared, Number(width), counts.length) === undefined)
      yield {
        ...{ code: "unknown-model", table: table.name, id: `embedding ${width ?? ""}` },
        detail: `nothing says which model made ${count ?? ""} vectors: archived, and none goes into the index (--embedding-model says it)`,
      }
  const zero = `SELECT t.id::text FROM ${table.sql} t WHERE ${schema}.vector_norm(t.embedding) = 0 ORDER BY t.id`
  for await (const [id] of context.session.rows(zero))
    yield {
      code: "odd-vector",
      table: table.name,
      id: id ?? "",
      detail: "the vector is zero: it is near to nothing",
    }
}
