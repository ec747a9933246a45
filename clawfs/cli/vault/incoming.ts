/** Values from other programs on their way into the vault: their names, what is there already, and what becomes of it. */
import { MOST_IMPORTED, MOST_IMPORT_BYTES, type ImportList } from "../../../schema/vault-api.ts"
import type { ImportFound } from "../../../vault/service/incoming.ts"
import { newSecret } from "../../../keyring/secret.ts"
import { checkName } from "../../../vault/metadata.ts"
import { Fault } from "../../core/fault.ts"
import { Attachments, callVault } from "./client.ts"
import { nameFor, type ForeignValue } from "./sources/value.ts"

export type Wish = "replace" | "keep"

export interface NamedValue extends ForeignValue {
  readonly name: string
}

const MOST_DESCRIPTION = 200

/** Throws `Fault("invalid")` where two get the same name, or one gets none. */
export function named(values: readonly ForeignValue[], prefix: string): NamedValue[] {
  const sources = new Map<string, string>()
  return values.map(({ source, value }) => {
    const name = checkName(nameFor(source, prefix))
    const other = sources.get(name)
    if (other !== undefined)
      throw new Fault("invalid", `${other} and ${source} would both be the secret ${name}`, {
        hint: "rename one of them there",
      })
    sources.set(name, source)
    return { name, source, value }
  })
}

/** What the vault has under these names; `wishes`: stores them, and for those with another value there, says what becomes of it. */
export function offerToVault(
  directory: string,
  values: readonly NamedValue[],
  wishes?: ReadonlyMap<string, Wish>,
): ImportFound {
  if (values.length > MOST_IMPORTED) throw tooMuch(`${MOST_IMPORTED} values`)
  const secrets = values.map(({ name, source, value }) => {
    const otherwise = wishes?.get(name)
    const description = `imported from ${source}`.replaceAll(/\p{Cc}/gu, "?").slice(0, MOST_DESCRIPTION)
    return { name, bytes: value.length, description, ...(otherwise === undefined ? {} : { otherwise }) }
  })
  const list = Buffer.from(`${JSON.stringify({ secrets } satisfies ImportList)}\n`)
  const length = values.reduce((sum, { value }) => sum + value.length, list.length)
  if (length > MOST_IMPORT_BYTES) throw tooMuch(`${MOST_IMPORT_BYTES} bytes`)
  const message = newSecret(length)
  try {
    let at = list.copy(message)
    for (const { value } of values) at += value.copy(message, at)
    using attached = new Attachments()
    const params = { from: attached.give(message), preview: wishes === undefined }
    return callVault(directory, "import.values", params, attached.fds) as ImportFound
  } finally {
    message.fill(0)
  }
}

function tooMuch(limit: string): Fault {
  return new Fault("invalid", `this is more than ${limit}`, { hint: "import it in parts" })
}
