/**
 * `wasm_tools`, `tool_capabilities` and `wasm_channels`. This version of ClawFS runs no WebAssembly: tools are kept as files,
 * none is enabled, and one whose bytes are not what its BLAKE3 hash says is in quarantine.
 */
import { createHash } from "node:crypto"
import { blake3 } from "@noble/hashes/blake3.js"
import { encodeId } from "../names.ts"
import type { Table } from "../postgres/catalog.ts"
import { TableRows, type Row } from "../postgres/table-rows.ts"
import type { Hazard, Item } from "../source.ts"
import { changesOf, tableWith, trackedReading, type Context } from "../context.ts"
import { LINE_END, orderOf } from "../rows.ts"

const BINARY = "wasm_binary"
const MODE = 0o644
const QUARANTINED_MODE = 0

interface Checked {
  readonly sha256: string
  readonly blake3: string
  readonly recorded: string
  readonly isRight: boolean
}

const PLACES = [
  { table: "wasm_tools", base: ["tools", "imported"] },
  { table: "wasm_channels", base: ["tools", "imported", "channels"] },
] as const

/** A column's bytes: its text is base64 without line ends, and pieces of it are of a length that fours divide. */
async function* binary(row: Row): AsyncGenerator<Buffer> {
  for await (const piece of row.bytes(BINARY)) yield Buffer.from(piece.toString("latin1"), "base64")
}

async function check(row: Row): Promise<Checked> {
  const sha = createHash("sha256")
  const blake = blake3.create({})
  for await (const piece of binary(row)) {
    sha.update(piece)
    blake.update(piece)
  }
  const recorded = Buffer.from(row.word("binary_hash"), "base64").toString("hex")
  const computed = Buffer.from(blake.digest()).toString("hex")
  return { sha256: sha.digest("hex"), blake3: computed, recorded, isRight: recorded === computed }
}

function rowsOf(context: Context, table: Table): AsyncGenerator<Row> {
  const order = orderOf(context, table)
  const reading = { ...(order === undefined ? {} : { order }), ...trackedReading(context, BINARY) }
  return new TableRows(context.session, table, reading).read()
}

function directoryOf(base: readonly string[], row: Row): string[] {
  const scope = row.text("scope")
  const owner = scope === undefined || scope === "user" ? encodeId(row.word("user_id")) : "global"
  return [...base, owner, encodeId(row.word("name")), encodeId(row.word("version"))]
}

export async function* toolItems(context: Context): AsyncGenerator<Item> {
  for (const { table: name, base } of PLACES) {
    const table = tableWith(context, name, ["id", "user_id", "name", "version", BINARY, "binary_hash"])
    if (table === undefined) continue
    for await (const row of rowsOf(context, table)) yield* filesOf(row, name, directoryOf(base, row))
  }
  yield* capabilityItems(context)
}

function* filesOf(row: Row, table: string, directory: readonly string[]): Generator<Item> {
  const status = row.text("status") ?? "active"
  let known: Promise<Checked> | undefined
  const checked = (): Promise<Checked> => (known ??= check(row))
  const isQuarantined = ({ isRight }: Checked): boolean => status === "quarantined" || !isRight
  const common = { table, modified: row.text("updated_at"), ...changesOf(row), mode: MODE, attributes: {} }
  yield {
    ...{ ...common, key: `${table}/${row.word("id")}`, rows: 1, path: [...directory, "tool.wasm"] },
    details: async () => {
      const found = await checked()
      const status = isQuarantined(found) ? "quarantined" : "disabled"
      return {
        mode: isQuarantined(found) ? QUARANTINED_MODE : MODE,
        attributes: { "tool.blake3": found.blake3, "tool.status": status },
      }
    },
    content: () => binary(row),
  }
  yield {
    ...{ ...common, key: `${table}/${row.word("id")}/manifest`, rows: 0 },
    path: [...directory, "manifest.json"],
    content: async function* () {
      const found = await checked()
      const { recorded, sha256, blake3: computed, isRight: matches } = found
      const facts = {
        blake3: { recorded, computed, matches },
        ...{ enabled: false, quarantined: isQuarantined(found), sha256 },
      }
      yield Buffer.from(`{"file":"tool.wasm","found":${JSON.stringify(facts)},"row":`)
      yield* row.json(new Map([[BINARY, "null"]]))
      yield CLOSING
    },
  }
}

const CLOSING = Buffer.from("}\n")

/** Beside the tool that they are of, by its number. */
async function* capabilityItems(context: Context): AsyncGenerator<Item> {
  const tools = tableWith(context, "wasm_tools", ["id", "user_id", "name", "version"])
  const table = capabilitiesTable(context)
  if (tools === undefined || table === undefined) return
  const joined = ["user_id", "name", "version", "scope"].map((name) => ({
    ...{ name: `of_${name}`, type: "text", shape: "string" as const, isWide: false, isVector: false },
    expression: tools.columns.some((column) => column.name === name) ? `w.${name}` : "NULL",
  }))
  const columns = [...table.columns, ...joined]
  const join = `LEFT JOIN ${tools.sql} w ON w.id = t.wasm_tool_id`
  const rows = new TableRows(context.session, { ...table, columns }, { join, order: "t.id" })
  for await (const row of rows.read()) {
    const scope = row.text("of_scope")
    const owner = scope === undefined || scope === "user" ? encodeId(row.word("of_user_id")) : "global"
    const names = [encodeId(row.word("of_name")), encodeId(row.word("of_version"))]
    yield {
      ...{ key: `tool_capabilities/${row.word("id")}`, table: "tool_capabilities", rows: 1, mode: MODE },
      ...{ path: ["tools", "imported", owner, ...names, "capabilities.json"], attributes: {} },
      content: async function* () {
        yield* row.json()
        yield LINE_END
      },
    }
  }
}

export function capabilitiesTable(context: Context): Table | undefined {
  return tableWith(context, "tool_capabilities", ["id", "wasm_tool_id"])
}

export async function* toolHazards(context: Context): AsyncGenerator<Hazard> {
  for (const { table: name } of PLACES) {
    const table = tableWith(context, name, ["id", "user_id", "name", "version", BINARY, "binary_hash"])
    if (table === undefined) continue
    for await (const row of rowsOf(context, table)) {
      const found = { table: name, id: row.word("id") }
      const shown = JSON.stringify(row.word("name"))
      const { isRight } = await check(row)
      if (!isRight)
        yield {
          ...found,
          code: "wrong-hash",
          detail: `${shown} is not what its BLAKE3 hash says: it goes to quarantine`,
        }
      else if ((row.text("status") ?? "active") === "active")
        yield {
          ...found,
          code: "not-enabled",
          detail: `${shown} is kept, not enabled: this version runs no WebAssembly`,
        }
    }
  }
}
