/** `memory_chunks`: kept in the run's archive, their texts as JSON lines, their vectors beside (`vectors.ts`). */
import { archivePath, chunksTable, type Context } from "../context.ts"
import type { Table } from "../postgres/catalog.ts"
import { groupChanges, groupColumns, rowHash } from "../postgres/changes.ts"
import { TableRows } from "../postgres/table-rows.ts"
import { LINE_END } from "../rows.ts"
import type { Item } from "../source.ts"
import { vectorsOf, vectorItems, type Vectors } from "./vectors.ts"

const MODE = 0o600
const ORDER = "t.document_id, t.chunk_index, t.id"

export async function* chunkItems(context: Context): AsyncGenerator<Item> {
  const table = chunksTable(context)
  if (table === undefined) return
  yield await chunkLines(context, table, vectorsOf(context))
  yield* vectorItems(context)
}

async function chunkLines(context: Context, table: Table, vectors: Vectors | undefined): Promise<Item> {
  const { session } = context
  const hash = rowHash(table.columns, vectors === undefined ? [] : [`${vectors.dimensions}::text`])
  const [[count, ...changes] = []] = await session.query(
    `SELECT count(*)::text, ${groupColumns(hash, context.pass)} FROM ${table.sql} t`,
  )
  const place =
    vectors === undefined
      ? []
      : [
          {
            ...{ name: "vector", type: "json", shape: "raw" as const, isWide: false, isVector: false },
            expression: `CASE WHEN t.embedding IS NOT NULL THEN format('{"dimensions":%s,"row":%s}', ${vectors.dimensions},
              row_number() OVER (PARTITION BY ${vectors.dimensions} ORDER BY ${ORDER}) - 1) END`,
          },
        ]
  const rows = new TableRows(session, { ...table, columns: [...table.columns, ...place] }, { order: ORDER })
  return {
    ...{
      key: "memory_chunks/lines",
      table: "memory_chunks",
      rows: Number(count),
      mode: MODE,
      attributes: {},
    },
    path: archivePath(context, "chunks.jsonl"),
    ...groupChanges(changes),
    content: async function* () {
      for await (const row of rows.read()) {
        yield* row.json()
        yield LINE_END
      }
    },
  }
}
