/** What the parts of a source share. */
import type { Catalog, Table } from "./postgres/catalog.ts"
import type { Changes } from "./postgres/changes.ts"
import { MOST_PATH_BYTES, encodePath, shortHash } from "./names.ts"
import type { Session } from "./postgres/session.ts"
import type { Reading, Row } from "./postgres/table-rows.ts"
import { WHOLE, type Disposition, type Pass, type TableReport } from "./source.ts"

export interface Context {
  readonly session: Session
  readonly catalog: Catalog
  /** Name of the run: archives lie in `system/migrations/RUN`. */
  readonly run: string
  /** IronClaw's master key, as text; undefined: it was not found. */
  readonly masterKey: Buffer | undefined
  readonly pass?: Pass
  /** Of the vectors, as the user says. */
  readonly embeddingModel?: string | undefined
}

/** How rows are read that a file each is made of: `long`, the column with most of it, stays on the server in a lean pass. */
export function trackedReading({ pass = WHOLE }: Context, long: string): Reading {
  return {
    ...(pass.isTracked ? { tracked: { since: pass.since } } : {}),
    ...(pass.isLean ? { leave: [long] } : {}),
  }
}

/** The table, if it is there with these columns. */
export function tableWith({ catalog }: Context, name: string, needs: readonly string[]): Table | undefined {
  const table = catalog.tables.get(name)
  const has = (column: string): boolean => table?.columns.some((each) => each.name === column) === true
  return needs.every(has) ? table : undefined
}

/** What an item says of its row's changes. */
export function changesOf({ fingerprint, isSettled }: Row): Changes {
  return { fingerprint, isSettled }
}

/** IronClaw 0.29's chunks of documents. */
export function chunksTable(context: Context): Table | undefined {
  return tableWith(context, "memory_chunks", ["id", "document_id", "chunk_index"])
}

export function hasColumn(table: Table, name: string): boolean {
  return table.columns.some((each) => each.name === name)
}

export function archivePath({ run }: Context, name: string): string[] {
  return ["system", "migrations", run, "archive", name]
}

/** Of each table of the database: how many rows it has, and what `placeOf` says becomes of them. */
export async function tableReports(
  { catalog, session }: Context,
  placeOf: (table: Table) => readonly [Disposition, string],
): Promise<TableReport[]> {
  const reports: TableReport[] = []
  for (const table of catalog.tables.values()) {
    const [[count] = []] = await session.query(`SELECT count(*)::text FROM ${table.sql}`)
    const [disposition, target] = placeOf(table)
    reports.push({ table: table.name, rows: Number(count), bytes: table.bytes, disposition, target })
  }
  return reports
}

/** `path` below `base`; where that is too long for the system, a place that its hash names. */
export function placeBelow(base: readonly string[], path: string): string[] {
  const whole = [...base, ...encodePath(path)]
  if (Buffer.byteLength(whole.join("/")) <= MOST_PATH_BYTES) return whole
  return [...base, ".clawfs", "displaced", shortHash(path)]
}
