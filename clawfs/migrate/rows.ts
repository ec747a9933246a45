/** What all sources make of rows: keys, orders, JSON lines, and the archive for a table that nothing else is known of. */
import { archivePath, type Context } from "./context.ts"
import { encodeId } from "./names.ts"
import type { Table } from "./postgres/catalog.ts"
import { groupChanges, groupColumns, rowHash } from "./postgres/changes.ts"
import { TableRows, type Reading, type Row } from "./postgres/table-rows.ts"
import type { Item } from "./source.ts"

export const LINE_END = Buffer.from("\n")
const PRIVATE_MODE = 0o600

/** What identifies a row: its primary key, or where it lies. */
export function keyOf(table: Table, row: Row, fallback: number): string {
  const parts = table.primaryKey.map((name) => encodeId(row.word(name)))
  return `${table.name}/${parts.length === 0 ? `row-${fallback}` : parts.join(",")}`
}

/** The order of the primary key, in bytes. */
export function orderOf(context: Context, table: Table): string | undefined {
  if (table.primaryKey.length === 0) return undefined
  const texts = new Set(["text", "character varying", "character"])
  return table.primaryKey
    .map((name) => {
      const type = table.columns.find((column) => column.name === name)?.type.replace(/\(.*/, "") ?? ""
      return `t.${context.session.identifier(name)}${texts.has(type) ? ' COLLATE "C"' : ""}`
    })
    .join(", ")
}

/** Each row as a line of JSON. */
export async function* lines(context: Context, table: Table, reading: Reading): AsyncGenerator<Buffer> {
  for await (const row of new TableRows(context.session, table, reading).read()) {
    yield* row.json()
    yield LINE_END
  }
}

/** A table as it is: JSON lines, for its owner alone, as nobody knows what is in it. */
export async function archiveItem(context: Context, table: Table): Promise<Item> {
  const hash = rowHash(table.columns)
  const [[count, ...changes] = []] = await context.session.query(
    `SELECT count(*)::text, ${groupColumns(hash, context.pass)} FROM ${table.sql} t`,
  )
  // Where rows lie says nothing: it changes without them.
  const order = orderOf(context, table) ?? `${hash} COLLATE "C"`
  return {
    ...{
      key: `${table.name}/archive`,
      table: table.name,
      rows: Number(count),
      mode: PRIVATE_MODE,
      attributes: {},
    },
    path: archivePath(context, `${encodeId(table.name)}.jsonl`),
    ...groupChanges(changes),
    content: () => lines(context, table, { order }),
  }
}

/** All pieces of a value that is known to be short. */
export async function collected(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = []
  for await (const piece of pieces) all.push(piece)
  return Buffer.concat(all)
}
