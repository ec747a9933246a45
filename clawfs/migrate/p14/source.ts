/**
 * The schema of the older ClawOS documents (P1.4 §6, P3.3): `documents`, `vectors`, `metadata`, `agent_identities`. No release of
 * IronClaw had it, but some may have built it from those documents.
 */
import { archivePath, changesOf, tableReports, tableWith, trackedReading, type Context } from "../context.ts"
import { LINE_END, archiveItem, keyOf, orderOf } from "../rows.ts"
import { encodeId, encodePath } from "../names.ts"
import type { Catalog, Table } from "../postgres/catalog.ts"
import { TableRows, type Row } from "../postgres/table-rows.ts"
import {
  WHOLE,
  type FoundSecret,
  type Hazard,
  type Item,
  type Ranking,
  type Source,
  type TableReport,
} from "../source.ts"

const MODE = 0o644
const DOCUMENTS = ["id", "workspace_id", "content"]
const PLACES: Readonly<Record<string, string>> = {
  documents: "workspaces/<workspace>/<path of its metadata, or document-<id>.md>",
  vectors: "system/migrations/<run>/archive/vectors.jsonl",
  metadata: "system/settings/p14/<key>.json",
  agent_identities: "agents/<agent>/identity.imported.json",
}
const MOST_METADATA_BYTES = 32 * 1024

export function isP14({ tables }: Catalog): boolean {
  const columns = tables.get("documents")?.columns.map(({ name }) => name) ?? []
  return DOCUMENTS.every((name) => columns.includes(name))
}

export class P14 implements Source {
  readonly identity: string
  readonly description: string
  readonly #context: Context

  constructor(context: Context, identity: string, description: string) {
    this.#context = context
    this.identity = identity
    this.description = description
  }

  tables(): Promise<TableReport[]> {
    return tableReports(this.#context, ({ name }) => {
      const target = PLACES[name]
      if (target !== undefined) return ["files", target]
      return ["unknown", archivePath(this.#context, `${name}.jsonl`).join("/")]
    })
  }

  async *items(pass = WHOLE): AsyncGenerator<Item> {
    const context = { ...this.#context, pass }
    yield* rowFiles(context, "documents", DOCUMENTS, documentPath, "content")
    yield* rowFiles(context, "metadata", ["key", "value"], (row) => [
      "system",
      "settings",
      "p14",
      `${encodeId(row.word("key"))}.json`,
    ])
    yield* rowFiles(context, "agent_identities", ["agent_id"], (row) => [
      "agents",
      encodeId(row.word("agent_id")),
      "identity.imported.json",
    ])
    for (const table of context.catalog.tables.values())
      if (!this.#isMapped(table)) yield await archiveItem(context, withVectors(table))
  }

  #isMapped({ name }: Table): boolean {
    const needs = { documents: DOCUMENTS, metadata: ["key", "value"], agent_identities: ["agent_id"] }[name]
    return needs !== undefined && tableWith(this.#context, name, needs) !== undefined
  }

  async *hazards(): AsyncGenerator<Hazard> {
    for (const { table, disposition } of await this.tables())
      if (disposition === "unknown")
        yield {
          code: "unknown-table",
          table,
          id: "",
          detail: "nobody knows what it is for: archived as it is",
        }
  }

  /** No server ranks the vectors that there may be. */
  async *rankings(): AsyncGenerator<Ranking> {
    yield* await Promise.resolve([])
  }

  /** That schema has none. */
  async *secrets(): AsyncGenerator<FoundSecret> {
    yield* await Promise.resolve([])
  }
}

/** A file a row: `content` alone, or the whole row. */
async function* rowFiles(
  context: Context,
  name: string,
  needs: readonly string[],
  path: (row: Row) => string[],
  content?: string,
): AsyncGenerator<Item> {
  const table = tableWith(context, name, needs)
  if (table === undefined) return
  const order = orderOf(context, table)
  const tracked = content === undefined ? {} : trackedReading(context, content)
  const rows = new TableRows(context.session, table, {
    ...(order === undefined ? {} : { order }),
    ...tracked,
  })
  let count = 0
  for await (const row of rows.read()) {
    const metadata = row.lengthOf("metadata") > MOST_METADATA_BYTES ? undefined : row.text("metadata")
    yield {
      ...{ key: keyOf(table, row, count), table: name, rows: 1, mode: MODE, path: path(row) },
      modified: row.text("updated_at") ?? row.text("created_at"),
      attributes: content === undefined || metadata === undefined ? {} : { "src.metadata": metadata },
      ...changesOf(row),
      content: content === undefined ? () => line(row) : () => row.bytes(content),
    }
    count += 1
  }
}

/** pgvector's columns as text, which has every digit. */
function withVectors(table: Table): Table {
  return { ...table, columns: table.columns.map((column) => ({ ...column, isVector: false })) }
}

async function* line(row: Row): AsyncGenerator<Buffer> {
  yield* row.json()
  yield LINE_END
}

function documentPath(row: Row): string[] {
  const base = ["workspaces", encodeId(row.word("workspace_id"))]
  const path = pathIn(row.lengthOf("metadata") > MOST_METADATA_BYTES ? undefined : row.text("metadata"))
  return [...base, ...(path === undefined ? [`document-${encodeId(row.word("id"))}.md`] : encodePath(path))]
}

/** `path` of a document's metadata, if it is short enough for one. */
function pathIn(metadata: string | undefined): string | undefined {
  if (metadata === undefined) return undefined
  const value: unknown = JSON.parse(metadata)
  if (typeof value !== "object" || value === null || !("path" in value)) return undefined
  const { path } = value
  return typeof path === "string" && path !== "" && Buffer.byteLength(path) < 1024 ? path : undefined
}
