/** The tables that a mapping describes (`tables.ts`). */
import { tableWith, type Context } from "../context.ts"
import { encodeId } from "../names.ts"
import type { Table } from "../postgres/catalog.ts"
import { groupChanges, groupColumns, rowHash } from "../postgres/changes.ts"
import { TableRows, type Reading } from "../postgres/table-rows.ts"
import { LINE_END, keyOf, lines, orderOf } from "../rows.ts"
import type { Item } from "../source.ts"
import { JOINS, MAPPINGS, type LineFiles, type Mapping, type RowFiles } from "./tables.ts"

const MODE = 0o644

/** The table of a mapping; undefined where it, a column, or what it is joined with is missing. */
export function mappedTable(context: Context, mapping: Mapping): Table | undefined {
  const join = mapping.kind === "lines" ? mapping.join : undefined
  if (
    join !== undefined &&
    tableWith(context, join, mapping.kind === "lines" ? (mapping.joinNeeds ?? []) : []) === undefined
  )
    return undefined
  return tableWith(context, mapping.table, mapping.needs)
}

export async function* mappedItems(context: Context): AsyncGenerator<Item> {
  for (const mapping of MAPPINGS) {
    const table = mappedTable(context, mapping)
    if (table === undefined) continue
    if (mapping.kind === "files") yield* rowFiles(context, table, mapping)
    else yield* lineFiles(context, table, mapping)
  }
}

async function* rowFiles(context: Context, table: Table, mapping: RowFiles): AsyncGenerator<Item> {
  const order = orderOf(context, table)
  const reading = order === undefined ? {} : { order }
  let count = 0
  for await (const row of new TableRows(context.session, table, reading).read()) {
    yield {
      ...{
        key: keyOf(table, row, count),
        table: table.name,
        rows: 1,
        mode: mapping.mode ?? MODE,
        attributes: {},
      },
      path: mapping.path((column) => row.text(column)),
      modified: mapping.modified === undefined ? undefined : row.text(mapping.modified),
      content: async function* () {
        yield* row.json()
        yield LINE_END
      },
    }
    count += 1
  }
}

async function* lineFiles(context: Context, table: Table, mapping: LineFiles): AsyncGenerator<Item> {
  const { session, catalog } = context
  const { group, order } = mapping
  const joined = mapping.join === undefined ? undefined : catalog.tables.get(mapping.join)
  const join = joined === undefined ? "" : (JOINS[joined.name]?.(joined.sql) ?? "")
  const keyed = group.map((sql, at) => `(${sql})::text AS k${at}`)
  const by = group.length === 0 ? "" : `GROUP BY ${group.join(", ")}`
  const sorted = group.length === 0 ? "" : `ORDER BY ${group.map((_, at) => `k${at} COLLATE "C"`).join(", ")}`
  const changes = groupColumns(rowHash(table.columns), context.pass)
  const counts = `SELECT ${[...keyed, "count(*)::text", changes].join(", ")} FROM ${table.sql} t ${join} ${by}`
  for await (const values of session.rows(`SELECT * FROM (${counts}) g ${sorted}`)) {
    const rows = Number(values[group.length])
    if (rows === 0) continue
    const keys = values.slice(0, group.length)
    const conditions = keys.map((value, at) => {
      const sql = group[at] ?? ""
      return value === null ? `(${sql}) IS NULL` : `${sql} = ${session.literal(value)}`
    })
    const reading: Reading = {
      join,
      order,
      ...(keys.length === 0 ? {} : { where: conditions.join(" AND ") }),
    }
    yield {
      key: `${table.name}/${keys.map((value) => (value === null ? "" : encodeId(value))).join(",") || "all"}`,
      ...{ table: table.name, rows, mode: mapping.mode ?? MODE, attributes: {} },
      path: mapping.path(keys.map((value) => value ?? undefined)),
      ...groupChanges(values.slice(group.length + 1)),
      content: () => lines(context, table, reading),
    }
  }
}
