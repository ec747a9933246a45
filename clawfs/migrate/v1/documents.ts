/** `memory_documents` and `memory_document_versions`: the workspaces. */
import { encodeId, encodePath, marked } from "../names.ts"
import type { Table } from "../postgres/catalog.ts"
import { TableRows, type Row } from "../postgres/table-rows.ts"
import type { Hazard, Item } from "../source.ts"
import { changesOf, hasColumn, placeBelow, tableWith, trackedReading, type Context } from "../context.ts"

const NEEDS = ["id", "user_id", "path", "content"]
const MODE = 0o644
/** An attribute's value ends at 64 KiB. */
const MOST_METADATA_BYTES = 32 * 1024

export function documentsTable(context: Context): Table | undefined {
  return tableWith(context, "memory_documents", NEEDS)
}

export function versionsTable(context: Context): Table | undefined {
  const needs = ["id", "document_id", "version", "content"]
  return documentsTable(context) === undefined
    ? undefined
    : tableWith(context, "memory_document_versions", needs)
}

/** A document with what the one before and the one behind it say of its name. */
interface Placed {
  readonly row: Row
  readonly isDuplicate: boolean
  readonly isDirectory: boolean
}

/**
 * In the order of their paths, a directory right before what is in it, and of one path the newest first: so neighbours tell
 * of every path that is there twice, and of every document that is a directory too.
 */
async function* placed(context: Context, table: Table): AsyncGenerator<Placed> {
  const agent = hasColumn(table, "agent_id") ? "t.agent_id, " : ""
  const newest = hasColumn(table, "updated_at") ? "t.updated_at DESC, " : ""
  const order = `t.user_id COLLATE "C", ${agent}replace(t.path, '/', chr(1)) COLLATE "C", t.path COLLATE "C", ${newest}t.id`
  const scopeOf = (row: Row): string => JSON.stringify([row.text("user_id"), row.text("agent_id")])
  /** Rows of one path that wait for the path behind them. */
  let waiting: Row[] = []
  const release = function* (next: Row | undefined): Generator<Placed> {
    const [first] = waiting
    const isDirectory =
      first !== undefined &&
      next !== undefined &&
      scopeOf(next) === scopeOf(first) &&
      next.word("path").startsWith(`${first.word("path")}/`)
    for (const [at, row] of waiting.entries()) yield { row, isDuplicate: at > 0, isDirectory }
  }
  const reading = { order, ...trackedReading(context, "content") }
  for await (const row of new TableRows(context.session, table, reading).read()) {
    const [first] = waiting
    const isSame =
      first !== undefined && scopeOf(row) === scopeOf(first) && row.word("path") === first.word("path")
    if (!isSame) {
      yield* release(row)
      waiting = []
    }
    waiting.push(row)
  }
  yield* release(undefined)
}

/** The workspace of a user, for one agent or for the default one. */
export function workspaceOf(user: string, agent: string | undefined): string[] {
  const own = ["workspaces", encodeId(user)]
  return agent === undefined ? own : ["agents", encodeId(agent), ...own]
}

function pathOf({ row, isDuplicate, isDirectory }: Placed): string[] {
  const path = placeBelow(workspaceOf(row.word("user_id"), row.text("agent_id")), row.word("path"))
  const name = path.pop() ?? ""
  const free = isDirectory ? marked(name, "file") : name
  return [...path, isDuplicate ? marked(free, `dup-${row.word("id").slice(0, 8)}`) : free]
}

export async function* documentItems(context: Context): AsyncGenerator<Item> {
  const table = documentsTable(context)
  if (table === undefined) return
  for await (const each of placed(context, table)) {
    const { row } = each
    const path = pathOf(each)
    const original = row.word("path")
    yield {
      ...{ key: `memory_documents/${row.word("id")}`, table: "memory_documents", rows: 1, path, mode: MODE },
      original: path.join("/").endsWith(`/${original}`) ? undefined : original,
      modified: row.text("updated_at"),
      attributes: attributesOf(row),
      ...changesOf(row),
      content: () => row.bytes("content"),
    }
  }
}

function attributesOf(row: Row): Record<string, string> {
  const length = row.lengthOf("metadata")
  const metadata = length > MOST_METADATA_BYTES ? undefined : row.text("metadata")
  const created = row.text("created_at")
  return {
    ...(created === undefined ? {} : { created_at: created }),
    ...(metadata === undefined || metadata === "{}" ? {} : { "src.metadata": metadata }),
  }
}

export async function* versionItems(context: Context): AsyncGenerator<Item> {
  const table = versionsTable(context)
  const documents = documentsTable(context)
  if (table === undefined || documents === undefined) return
  const agent = hasColumn(documents, "agent_id") ? "d.agent_id::text" : "NULL"
  const columns = [
    { name: "of_user", expression: "d.user_id" },
    { name: "of_agent", expression: agent },
    { name: "of_path", expression: "d.path" },
  ].map((column) => ({ ...column, type: "text", shape: "string" as const, isWide: false, isVector: false }))
  const joined = { ...table, columns: [...table.columns, ...columns] }
  const join = `LEFT JOIN ${documents.sql} d ON d.id = t.document_id`
  const reading = { join, order: "t.document_id, t.version, t.id", ...trackedReading(context, "content") }
  for await (const row of new TableRows(context.session, joined, reading).read()) {
    const workspace = workspaceOf(row.word("of_user"), row.text("of_agent"))
    const name = `v${row.word("version")}`
    const changedBy = row.text("changed_by")
    yield {
      key: `memory_document_versions/${row.word("id")}`,
      ...{ table: "memory_document_versions", rows: 1, mode: MODE, modified: row.text("created_at") },
      path: [...placeBelow([...workspace, ".clawfs", "versions"], row.word("of_path")), name],
      attributes: {
        "src.version": row.word("version"),
        ...(changedBy === undefined ? {} : { "src.changed_by": changedBy }),
      },
      ...changesOf(row),
      content: () => row.bytes("content"),
    }
  }
}

export async function* documentHazards(context: Context): AsyncGenerator<Hazard> {
  const table = documentsTable(context)
  if (table === undefined) return
  for await (const each of placed(context, table)) {
    const { row, isDuplicate, isDirectory } = each
    const found = { table: "memory_documents", id: row.word("id") }
    const path = JSON.stringify(row.word("path"))
    const target = pathOf(each).join("/")
    if (isDuplicate)
      yield { ...found, code: "duplicate-path", detail: `${path} is there twice; this one becomes ${target}` }
    if (isDirectory)
      yield {
        ...found,
        code: "file-and-directory",
        detail: `${path} is a directory too; it becomes ${target}`,
      }
    if (encodePath(row.word("path")).join("/") !== row.word("path"))
      yield { ...found, code: "encoded-name", detail: `${path} becomes ${target}` }
  }
  yield* twins(context, table, "case-twin", "lower(t.path)", "differ in case alone")
  yield* twins(
    context,
    table,
    "unicode-twin",
    "normalize(t.path, NFC)",
    "differ in Unicode normalisation alone",
  )
}

async function* twins(
  { session }: Context,
  table: Table,
  code: "case-twin" | "unicode-twin",
  folded: string,
  how: string,
): AsyncGenerator<Hazard> {
  const agent = hasColumn(table, "agent_id") ? "t.agent_id::text" : "NULL::text"
  const text = `SELECT min(t.id::text), min(t.path COLLATE "C"), max(t.path COLLATE "C") FROM ${table.sql} t
    GROUP BY t.user_id, ${agent}, ${folded} HAVING count(DISTINCT t.path COLLATE "C") > 1 ORDER BY 1`
  for await (const [id, a, b] of session.rows(text)) {
    const detail = `${JSON.stringify(a)} and ${JSON.stringify(b)} ${how}`
    yield { code, table: table.name, id: id ?? "", detail }
  }
}

export async function* versionHazards(context: Context): AsyncGenerator<Hazard> {
  const table = versionsTable(context)
  if (table === undefined || !hasColumn(table, "content_hash")) return
  const hash = "'sha256:' || encode(sha256(convert_to(t.content, 'UTF8')), 'hex')"
  const text = `SELECT t.id::text FROM ${table.sql} t WHERE t.content_hash <> ${hash} ORDER BY t.id`
  for await (const [id] of context.session.rows(text))
    yield {
      ...{ code: "wrong-hash", table: table.name, id: id ?? "" },
      detail: "the content is not what its recorded hash says; it is kept as it is",
    }
}
