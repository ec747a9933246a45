/** `settings` and `routines`: what the agent is told to do, without the credentials that stand in it. */
import { tableWith, type Context } from "../context.ts"
import { encodeId } from "../names.ts"
import { TableRows, type Row } from "../postgres/table-rows.ts"
import { LINE_END, collected, orderOf } from "../rows.ts"
import { credentialsIn, referenceTo, type Credential } from "../secrets/credentials.ts"
import { replaced } from "../secrets/json-strings.ts"
import type { FoundSecret, Hazard, Item } from "../source.ts"

/** Longer JSON is not looked into; its file is for its owner alone. */
const MOST_SEARCHED = 8 * 1024 * 1024
const MODE = 0o644
const PRIVATE_MODE = 0o600

/** A table with JSON that may hold credentials. */
interface Place {
  readonly table: string
  readonly needs: readonly string[]
  /** Columns of JSON that are looked into. */
  readonly json: readonly string[]
  readonly id: (row: Row) => string
  /** What a column's JSON is called. */
  readonly called: (row: Row, column: string) => string
  readonly path: (row: Row) => string[]
}

const PLACES: readonly Place[] = [
  {
    ...{ table: "settings", needs: ["user_id", "key", "value"], json: ["value"] },
    id: (row) => `${encodeId(row.word("user_id"))},${encodeId(row.word("key"))}`,
    called: (row) => row.word("key"),
    path: (row) => ["system", "settings", encodeId(row.word("user_id")), `${encodeId(row.word("key"))}.json`],
  },
  {
    table: "routines",
    needs: ["id", "user_id", "name"],
    json: ["trigger_config", "action_config", "state"],
    id: (row) => row.word("id"),
    called: (row, column) => `routines.${row.word("name")}.${column}`,
    path: (row) => [
      "agents",
      "default",
      "routines",
      encodeId(row.word("user_id")),
      `${encodeId(row.word("name"))}.json`,
    ],
  },
]

interface Examined {
  readonly row: Row
  readonly credentials: readonly Credential[]
  /** Column → JSON with references; only what has credentials. */
  readonly changed: ReadonlyMap<string, string>
  readonly isTooLong: boolean
}

async function* examined(context: Context, place: Place): AsyncGenerator<Examined> {
  const table = tableWith(context, place.table, place.needs)
  if (table === undefined) return
  const order = orderOf(context, table)
  const reading = order === undefined ? {} : { order }
  for await (const row of new TableRows(context.session, table, reading).read()) {
    const changed = new Map<string, string>()
    const all: Credential[] = []
    let isTooLong = false
    for (const column of place.json) {
      const length = row.lengthOf(column)
      if (length > MOST_SEARCHED) isTooLong = true
      if (length === 0 || length > MOST_SEARCHED) continue
      const json = (await collected(row.bytes(column))).toString()
      const found = credentialsIn(row.word("user_id"), place.called(row, column), json)
      all.push(...found)
      if (found.length > 0)
        changed.set(
          column,
          replaced(
            json,
            found.map((each) => ({ ...each, by: referenceTo(each) })),
          ),
        )
    }
    yield { row, credentials: all, changed, isTooLong }
  }
}

export async function* settingItems(context: Context): AsyncGenerator<Item> {
  for (const place of PLACES)
    for await (const { row, changed, isTooLong } of examined(context, place))
      yield {
        ...{ key: `${place.table}/${place.id(row)}`, table: place.table, rows: 1, attributes: {} },
        path: place.path(row),
        modified: row.text("updated_at"),
        mode: isTooLong ? PRIVATE_MODE : MODE,
        content: async function* () {
          yield* row.json(changed)
          yield LINE_END
        },
      }
}

export async function* settingSecrets(context: Context): AsyncGenerator<FoundSecret> {
  for (const place of PLACES)
    for await (const { row, credentials } of examined(context, place))
      for (const { name, dotted, value } of credentials)
        yield {
          ...{ key: `${place.table}/${place.id(row)}#${dotted}`, table: place.table, name, expires: 0 },
          ...{ user: row.word("user_id"), original: dotted, value: Buffer.from(value) },
          about: {},
          isRow: false,
        }
}

export async function* settingHazards(context: Context): AsyncGenerator<Hazard> {
  for (const place of PLACES)
    for await (const { row, credentials, isTooLong } of examined(context, place)) {
      const found = { code: "plaintext-credential" as const, table: place.table, id: place.id(row) }
      for (const { dotted, name } of credentials)
        yield { ...found, detail: `${dotted} is a credential in plain text; it goes to the vault as ${name}` }
      if (isTooLong) yield { ...found, detail: "too long to be looked into; its file is for its owner alone" }
    }
}
