/** `memory_chunks`: kept in the run's archive. ClawFS splits and embeds the documents anew, by a model that it knows the name of. */
import { TableRows } from "../postgres/table-rows.ts"
import type { Table } from "../postgres/catalog.ts"
import type { Hazard, Item } from "../source.ts"
import { archivePath, tableWith, type Context } from "../context.ts"

/** pgvector's binary form: u16 dimensions, u16 unused, then big-endian f32. */
const VECTOR_HEADER = 4
/** Bytes of vectors that a page of rows may have. */
const PAGE_BYTES = 2 * 1024 * 1024
const MOST_PAGE = 500
const MODE = 0o600

export interface Vectors {
  readonly table: Table
  /** SQL of a vector's dimension. */
  readonly dimensions: string
  readonly schema: string
}

export function chunksTable(context: Context): Table | undefined {
  return tableWith(context, "memory_chunks", ["id", "document_id", "chunk_index"])
}

/** Undefined where the chunks have no vectors. */
export function vectorsOf(context: Context): Vectors | undefined {
  const table = chunksTable(context)
  const schema = context.catalog.vectorSchema
  const isThere = table?.columns.some(({ name, isVector }) => name === "embedding" && isVector)
  if (table === undefined || schema === undefined || isThere !== true) return undefined
  return { table, schema, dimensions: `${schema}.vector_dims(t.embedding)` }
}

export async function* chunkItems(context: Context): AsyncGenerator<Item> {
  const table = chunksTable(context)
  if (table === undefined) return
  const vectors = vectorsOf(context)
  yield await chunkLines(context, table, vectors)
  if (vectors === undefined) return
  const counts = `SELECT ${vectors.dimensions}::text FROM ${table.sql} t WHERE t.embedding IS NOT NULL GROUP BY 1 ORDER BY 1`
  for (const [dimensions] of await context.session.query(counts)) {
    const name = `vectors-${dimensions ?? ""}.f32`
    yield {
      ...{ key: `memory_chunks/${name}`, table: "memory_chunks", rows: 0, mode: MODE, attributes: {} },
      path: archivePath(context, name),
      content: () => vectorBytes(context, vectors, Number(dimensions)),
    }
  }
}

async function chunkLines(context: Context, table: Table, vectors: Vectors | undefined): Promise<Item> {
  const { session } = context
  const [[count] = []] = await session.query(`SELECT count(*)::text FROM ${table.sql} t`)
  const place =
    vectors === undefined
      ? []
      : [
          {
            ...{ name: "vector", type: "json", shape: "raw" as const, isWide: false, isVector: false },
            expression: `CASE WHEN t.embedding IS NOT NULL THEN format('{"dimensions":%s,"row":%s}', ${vectors.dimensions},
              row_number() OVER (PARTITION BY ${vectors.dimensions} ORDER BY t.document_id, t.chunk_index, t.id) - 1) END`,
          },
        ]
  const rows = new TableRows(
    session,
    { ...table, columns: [...table.columns, ...place] },
    { order: "t.document_id, t.chunk_index, t.id" },
  )
  return {
    ...{
      key: "memory_chunks/lines",
      table: "memory_chunks",
      rows: Number(count),
      mode: MODE,
      attributes: {},
    },
    path: archivePath(context, "chunks.jsonl"),
    content: async function* () {
      for await (const row of rows.read()) {
        yield* row.json()
        yield LINE_END
      }
    },
  }
}

const LINE_END = Buffer.from("\n")

/** Little-endian f32, vector after vector, in the order of `chunks.jsonl`. */
async function* vectorBytes(
  { session }: Context,
  { table, schema, dimensions }: Vectors,
  wanted: number,
): AsyncGenerator<Buffer> {
  const text = `SELECT encode(${schema}.vector_send(t.embedding), 'hex') FROM ${table.sql} t
    WHERE ${dimensions} = ${wanted} ORDER BY t.document_id, t.chunk_index, t.id`
  const page = Math.max(1, Math.min(MOST_PAGE, Math.floor(PAGE_BYTES / (wanted * 4))))
  for await (const [hex] of session.rows(text, page))
    yield Buffer.from(hex ?? "", "hex")
      .subarray(VECTOR_HEADER)
      .swap32()
}

export async function* chunkHazards(context: Context): AsyncGenerator<Hazard> {
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
  const zero = `SELECT t.id::text FROM ${table.sql} t WHERE ${schema}.vector_norm(t.embedding) = 0 ORDER BY t.id`
  for await (const [id] of context.session.rows(zero))
    yield {
      code: "odd-vector",
      table: table.name,
      id: id ?? "",
      detail: "the vector is zero: it is near to nothing",
    }
}
