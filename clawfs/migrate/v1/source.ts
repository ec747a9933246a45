/** IronClaw 0.1 to 0.29 in PostgreSQL, any migration level: what is there is found out, what is missing is left out. */
import type { Table } from "../postgres/catalog.ts"
import {
  WHOLE,
  type Disposition,
  type FoundSecret,
  type Hazard,
  type Item,
  type Ranking,
  type Source,
  type TableReport,
} from "../source.ts"
import { chunksTable, hasColumn, tableReports, tableWith, type Context } from "../context.ts"
import { chunkItems } from "./chunks.ts"
import {
  documentHazards,
  documentItems,
  documentsTable,
  versionHazards,
  versionItems,
  versionsTable,
} from "./documents.ts"
import { mappedItems, mappedTable } from "./mapped.ts"
import { archiveItem } from "../rows.ts"
import { rankingsOf } from "./rankings.ts"
import { scriptItems } from "./scripts.ts"
import { hasSecrets, secretRows } from "./secrets.ts"
import { settingHazards, settingItems, settingSecrets } from "./settings.ts"
import { ARCHIVED, MAPPINGS, OWN } from "./tables.ts"
import { vectorHazards } from "./vectors.ts"
import { capabilitiesTable, toolHazards, toolItems } from "./tools.ts"

const ROLES = ["user", "assistant", "tool_calls", "system", "tool"]
/** Looks like a key that leaked into a text: for the server's regular expressions. */
const LEAK =
  "(sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{36}|AKIA[0-9A-Z]{16}|xox[abprs]-[A-Za-z0-9-]{10,}|-----BEGIN [A-Z ]*PRIVATE KEY)"
const LEAKY = [
  ["conversation_messages", "content"],
  ["job_actions", "output_raw"],
] as const

export class IronclawV1 implements Source {
  readonly identity: string
  readonly description: string
  readonly #context: Context

  constructor(context: Context, identity: string, description: string) {
    this.#context = context
    this.identity = identity
    this.description = description
  }

  tables(): Promise<TableReport[]> {
    return tableReports(this.#context, (table) => this.#dispositionOf(table))
  }

  #dispositionOf({ name }: Table): readonly [Disposition, string] {
    const mapping = MAPPINGS.find((each) => each.table === name)
    const archive = `system/migrations/<run>/archive/${name}.jsonl`
    if (!this.#isMapped(name))
      return [ARCHIVED.has(name) || mapping !== undefined || name in OWN ? "archive" : "unknown", archive]
    return OWN[name] ?? [mapping?.kind ?? "archive", mapping?.target ?? archive]
  }

  /** Whether code of its own or a mapping looks after the table, with the columns that it has. */
  #isMapped(name: string): boolean {
    const context = this.#context
    const own: Readonly<Record<string, () => boolean>> = {
      memory_documents: () => documentsTable(context) !== undefined,
      memory_document_versions: () => versionsTable(context) !== undefined,
      memory_chunks: () => chunksTable(context) !== undefined,
      settings: () => tableWith(context, name, ["user_id", "key", "value"]) !== undefined,
      routines: () => tableWith(context, name, ["id", "user_id", "name"]) !== undefined,
      wasm_tools: () => isBinaryTable(context, name),
      wasm_channels: () => isBinaryTable(context, name),
      tool_capabilities: () =>
        capabilitiesTable(context) !== undefined &&
        tableWith(context, "wasm_tools", ["id", "user_id", "name", "version"]) !== undefined,
      secrets: () => hasSecrets(context),
    }
    const mapping = MAPPINGS.find((each) => each.table === name)
    return own[name]?.() ?? (mapping !== undefined && mappedTable(context, mapping) !== undefined)
  }

  async *items(pass = WHOLE): AsyncGenerator<Item> {
    const context = { ...this.#context, pass }
    // The indexer looks into the archive for a document's vectors, so they come first.
    yield* chunkItems(context)
    yield* documentItems(context)
    yield* versionItems(context)
    yield* settingItems(context)
    yield* mappedItems(context)
    yield* toolItems(context)
    yield* scriptItems(context)
    for (const table of context.catalog.tables.values())
      if (!this.#isMapped(table.name)) yield await archiveItem(context, table)
  }

  async *hazards(): AsyncGenerator<Hazard> {
    const context = this.#context
    yield* documentHazards(context)
    yield* versionHazards(context)
    yield* settingHazards(context)
    yield* vectorHazards(context)
    yield* toolHazards(context)
    yield* messageHazards(context)
    for (const { name } of context.catalog.tables.values()) {
      if (this.#isMapped(name) || ARCHIVED.has(name)) continue
      const isKnown = name in OWN || MAPPINGS.some(({ table }) => table === name)
      yield isKnown
        ? {
            code: "missing-columns",
            table: name,
            id: "",
            detail: "it lacks columns that are expected: archived as it is",
          }
        : {
            code: "unknown-table",
            table: name,
            id: "",
            detail: "nobody knows what it is for: archived as it is",
          }
    }
  }

  rankings(most: number): AsyncIterable<Ranking> {
    return rankingsOf(this.#context, most)
  }

  async *secrets(): AsyncGenerator<FoundSecret> {
    yield* secretRows(this.#context)
    yield* settingSecrets(this.#context)
  }
}

function isBinaryTable(context: Context, name: string): boolean {
  return (
    tableWith(context, name, ["id", "user_id", "name", "version", "wasm_binary", "binary_hash"]) !== undefined
  )
}

async function* messageHazards(context: Context): AsyncGenerator<Hazard> {
  const { session, catalog } = context
  const messages = tableWith(context, "conversation_messages", ["id", "role"])
  if (messages !== undefined) {
    const known = ROLES.map((role) => session.literal(role)).join(", ")
    const text = `SELECT t.role, count(*)::text FROM ${messages.sql} t WHERE t.role NOT IN (${known}) GROUP BY 1 ORDER BY 1`
    for (const [role, count] of await session.query(text))
      yield {
        ...{ code: "unknown-role", table: messages.name, id: role ?? "" },
        detail: `${count ?? ""} messages have the role ${JSON.stringify(role)}; they are kept`,
      }
  }
  for (const [name, column] of LEAKY) {
    const table = catalog.tables.get(name)
    if (table === undefined || !hasColumn(table, column) || !hasColumn(table, "id")) continue
    const text = `SELECT t.id::text FROM ${table.sql} t WHERE t.${column} ~ ${session.literal(LEAK)} ORDER BY t.id`
    for await (const [id] of session.rows(text))
      yield {
        ...{ code: "leaked-credential", table: name, id: id ?? "" },
        detail: `${column} has what looks like a credential; it is kept as it is, readable`,
      }
  }
}
