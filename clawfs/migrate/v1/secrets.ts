/** `secrets`: decrypted in memory, before anything is written. */
import { TableRows } from "../postgres/table-rows.ts"
import { opened } from "../secrets/opened.ts"
import { vaultName } from "../secrets/names.ts"
import { MOST_VALUE_BYTES } from "../secrets/reference.ts"
import type { FoundSecret } from "../source.ts"
import { tableWith, type Context } from "../context.ts"
import { collected } from "../rows.ts"

const NEEDS = ["id", "user_id", "name", "encrypted_value", "key_salt"]
const OVERHEAD = 28
const BASE64_FACTOR = 4 / 3

export function hasSecrets(context: Context): boolean {
  return tableWith(context, "secrets", NEEDS) !== undefined
}

export async function* secretRows(context: Context): AsyncGenerator<FoundSecret> {
  const table = tableWith(context, "secrets", NEEDS)
  if (table === undefined) return
  const order = 't.user_id COLLATE "C", t.name COLLATE "C", t.id'
  for await (const row of new TableRows(context.session, table, { order }).read()) {
    const [user, original] = [row.word("user_id"), row.word("name")]
    const isTooLong = row.lengthOf("encrypted_value") > (MOST_VALUE_BYTES + OVERHEAD) * BASE64_FACTOR + 4
    const blob = isTooLong
      ? undefined
      : Buffer.from((await collected(row.bytes("encrypted_value"))).toString(), "base64")
    const salt = Buffer.from(row.word("key_salt"), "base64")
    const expires = row.text("expires_at")
    yield {
      ...{
        key: `secrets/${row.word("id")}`,
        table: "secrets",
        name: vaultName(user, original),
        user,
        original,
      },
      ...opened(context.masterKey, salt, blob),
      expires: expires === undefined ? 0 : expiryOf(expires),
      isRow: true,
      about: {
        provider: row.text("provider"),
        usage_count: row.text("usage_count"),
        last_used_at: row.text("last_used_at"),
        created_at: row.text("created_at"),
      },
    }
  }
}

/** A time that can't be read, such as infinity, is never. */
function expiryOf(text: string): number {
  const at = Date.parse(text)
  return Number.isNaN(at) ? 0 : Math.max(1, at)
}
