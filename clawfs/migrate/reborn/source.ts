/** IronClaw 1.x in PostgreSQL: a virtual filesystem in `root_filesystem_entries`. */
import { openedSecret, secretRecord } from "./secrets.ts"
import { entryOf, type Entry } from "./paths.ts"
import { archivePath, changesOf, tableReports, tableWith, trackedReading, type Context } from "../context.ts"
import { LINE_END, archiveItem, collected, orderOf } from "../rows.ts"
import { MOST_PATH_BYTES, shortHash } from "../names.ts"
import type { Catalog, Table } from "../postgres/catalog.ts"
import { TableRows, type Reading, type Row } from "../postgres/table-rows.ts"
import { credentialsIn, referenceTo, type Credential } from "../secrets/credentials.ts"
import { replaced } from "../secrets/json-strings.ts"
import {
  WHOLE,
  type FoundSecret,
  type Hazard,
  type Item,
  type Ranking,
  type Source,
  type TableReport,
} from "../source.ts"
import { once } from "../once.ts"

const ENTRIES = "root_filesystem_entries"
const NEEDS = ["path", "contents", "is_dir"]
const MODE = 0o644
const PRIVATE_MODE = 0o600
const MOST_SEARCHED = 8 * 1024 * 1024
/** Tables that are kept as they are. */
const KNOWN: ReadonlySet<string> = new Set([
  ...["root_filesystem_events", "root_filesystem_sequences", "root_filesystem_index_specs"],
  ...[
    "root_filesystem_ordered_index_rows",
    "trigger_records",
    "trigger_run_history",
    "refinery_schema_history",
  ],
])

export function isReborn({ tables }: Catalog): boolean {
  const columns = tables.get(ENTRIES)?.columns.map(({ name }) => name) ?? []
  return NEEDS.every((name) => columns.includes(name))
}

interface Found {
  readonly row: Row
  readonly path: string
  readonly entry: Entry
}

export class Reborn implements Source {
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
      if (name === ENTRIES) return ["files", "workspaces/, agents/default/ironclaw/, the vault"]
      const isKnown = KNOWN.has(name) || name.startsWith("hooks_")
      return [isKnown ? "archive" : "unknown", archivePath(this.#context, `${name}.jsonl`).join("/")]
    })
  }

  #table(): Table | undefined {
    return tableWith(this.#context, ENTRIES, NEEDS)
  }

  async *#entries(directories: boolean, reading: Reading = {}): AsyncGenerator<Found> {
    const table = this.#table()
    if (table === undefined) return
    const where = directories ? "t.is_dir" : "NOT t.is_dir"
    const order = 't.path COLLATE "C"'
    const rows = new TableRows(this.#context.session, table, { ...reading, where, order })
    for await (const row of rows.read()) {
      const path = row.word("path")
      yield { row, path, entry: entryOf(path) }
    }
  }

  async *items(pass = WHOLE): AsyncGenerator<Item> {
    const context = { ...this.#context, pass }
    for await (const found of this.#entries(false, trackedReading(context, "contents")))
      if (found.entry.kind !== "secret") yield await this.#itemOf(found)
    yield* this.#registers()
    for (const table of context.catalog.tables.values())
      if (table.name !== ENTRIES) yield await archiveItem(context, table)
  }

  async #itemOf({ row, path, entry }: Found): Promise<Item> {
    const changed = entry.kind === "settings" ? await settingsOf(row, path, entry.user) : undefined
    const wanted =
      entry.kind === "archive" || entry.kind === "secret"
        ? archivePath(this.#context, "rootfs").concat(entry.kind === "archive" ? entry.names : [])
        : [...entry.path]
    const isTooLong = Buffer.byteLength(wanted.join("/")) > MOST_PATH_BYTES
    const attributes = ["kind", "content_type", "version"].flatMap((name) => {
      const value = row.text(name)
      return value === undefined ? [] : [[`src.${name}`, value]]
    })
    return {
      ...{ key: `${ENTRIES}${path}`, table: ENTRIES, rows: 1, modified: row.text("updated_at") },
      path: isTooLong ? [...wanted.slice(0, 3), ".clawfs", "displaced", shortHash(path)] : wanted,
      original: path,
      mode: entry.kind === "document" ? MODE : PRIVATE_MODE,
      attributes: Object.fromEntries(attributes) as Record<string, string>,
      ...changesOf(row),
      content: changed === undefined ? () => contents(row) : () => once(changed.text),
    }
  }

  /** What a file has no place for: directories, and all columns but the contents. */
  async *#registers(): AsyncGenerator<Item> {
    const { session } = this.#context
    const table = this.#table()
    if (table === undefined) return
    const [[count] = []] = await session.query(`SELECT count(*)::text FROM ${table.sql} t WHERE t.is_dir`)
    const order = orderOf(this.#context, table) ?? 't.path COLLATE "C"'
    const lines = (where: string) =>
      async function* (): AsyncGenerator<Buffer> {
        const reading = { where, order, without: ["contents"] }
        for await (const row of new TableRows(session, table, reading).read()) {
          yield* row.json()
          yield LINE_END
        }
      }
    const common = { table: ENTRIES, mode: PRIVATE_MODE, attributes: {} }
    yield {
      ...{
        ...common,
        key: "root_filesystem_registers/directories",
        rows: Number(count),
        content: lines("t.is_dir"),
      },
      path: archivePath(this.#context, "directories.jsonl"),
    }
    yield {
      ...{ ...common, key: "root_filesystem_registers/entries", rows: 0, content: lines("NOT t.is_dir") },
      path: archivePath(this.#context, "entries.jsonl"),
    }
  }

  /** No server ranks the vectors that there may be. */
  async *rankings(): AsyncGenerator<Ranking> {
    yield* await Promise.resolve([])
  }

  async *secrets(): AsyncGenerator<FoundSecret> {
    for await (const { row, path, entry } of this.#entries(false)) {
      if (entry.kind === "secret")
        yield openedSecret(path, entry.place, secretRecord(await limited(row)), this.#context.masterKey)
      if (entry.kind === "settings")
        for (const { name, dotted, value } of (await settingsOf(row, path, entry.user))?.credentials ?? [])
          yield {
            ...{
              key: `${ENTRIES}${path}#${dotted}`,
              table: ENTRIES,
              name,
              user: entry.user,
              original: dotted,
            },
            ...{ value: Buffer.from(value), isRow: false, expires: 0, about: {} },
          }
    }
  }

  async *hazards(): AsyncGenerator<Hazard> {
    for await (const { path, entry } of this.#entries(false))
      if (entry.kind === "document" && !path.endsWith(entry.path.slice(2).join("/")))
        yield { code: "encoded-name", table: ENTRIES, id: path, detail: `becomes ${entry.path.join("/")}` }
    for (const { table, disposition } of await this.tables())
      if (disposition === "unknown")
        yield {
          code: "unknown-table",
          table,
          id: "",
          detail: "nobody knows what it is for: archived as it is",
        }
  }
}

/** `contents`, whose text is base64; pieces of it are of a length that fours divide. */
async function* contents(row: Row): AsyncGenerator<Buffer> {
  for await (const piece of row.bytes("contents")) yield Buffer.from(piece.toString("latin1"), "base64")
}

async function limited(row: Row): Promise<string | undefined> {
  return row.lengthOf("contents") > MOST_SEARCHED ? undefined : (await collected(contents(row))).toString()
}

interface Settings {
  readonly text: string
  readonly credentials: readonly Credential[]
}

/** Undefined where there is nothing to take out: too long, no JSON, no credentials. */
async function settingsOf(row: Row, path: string, user: string): Promise<Settings | undefined> {
  const text = await limited(row)
  if (text === undefined || !isJson(text)) return undefined
  const place = path.replace(/^.*\/(?:settings|extensions)\//s, "").replace(/\.json$/, "")
  const credentials = credentialsIn(user, place, text)
  if (credentials.length === 0) return undefined
  return {
    text: replaced(
      text,
      credentials.map((each) => ({ ...each, by: referenceTo(each) })),
    ),
    credentials,
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return false
    throw thrown
  }
}
