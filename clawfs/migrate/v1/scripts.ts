/**
 * The code of `dynamic_tools`, as files beside their rows. A script that names its interpreter gets a manifest without any capability:
 * `clawfs tool install` of its directory makes it a tool, in a sandbox. Nothing of it runs before that.
 */
import { tableWith, type Context } from "../context.ts"
import { encodeName, shortHash } from "../names.ts"
import { TableRows, type Row } from "../postgres/table-rows.ts"
import { orderOf } from "../rows.ts"
import type { Item } from "../source.ts"
import { once } from "../once.ts"

const MODE = 0o600
const TABLE = "dynamic_tools"
const ENTRY = "code"
const MOST_NAME = 64
const MOST_DESCRIPTION = 1000

export async function* scriptItems(context: Context): AsyncGenerator<Item> {
  const table = tableWith(context, TABLE, ["id", "name", "code"])
  if (table === undefined) return
  const order = orderOf(context, table)
  for await (const row of new TableRows(
    context.session,
    table,
    order === undefined ? {} : { order },
  ).read()) {
    const name = row.word("name")
    const base = ["tools", "imported", "dynamic", encodeName(name).replaceAll("/", "%2F")]
    const common = { table: TABLE, rows: 0, mode: MODE, attributes: {}, modified: row.text("updated_at") }
    yield {
      ...{ ...common, key: `${TABLE}/${row.word("id")}/code`, path: [...base, ENTRY] },
      content: () => row.bytes("code"),
    }
    if (await isScript(row))
      yield {
        ...{ ...common, key: `${TABLE}/${row.word("id")}/manifest`, path: [...base, "tool.json"] },
        content: () => once(manifestOf(name, row)),
      }
  }
}

async function isScript(row: Row): Promise<boolean> {
  for await (const piece of row.bytes("code")) return piece.toString("latin1", 0, 3) === "#!/"
  return false
}

function manifestOf(name: string, row: Row): Buffer {
  const description = row.lengthOf("description") > MOST_DESCRIPTION ? "" : row.word("description")
  const manifest = {
    ...{ tool_id: toolNameOf(name), version: "1.0.0", kind: "script", entry: ENTRY },
    ...(description === "" ? {} : { description }),
  }
  return Buffer.from(`${JSON.stringify(manifest, undefined, 2)}\n`)
}

/** As a tool can be called (schema/tool.ts). */
export function toolNameOf(name: string): string {
  const plain = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, MOST_NAME)
    .replace(/^-+|-+$/g, "")
  return plain === "" ? `tool-${shortHash(name)}` : plain
}
