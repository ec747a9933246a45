/**
 * Values that a client has read from other programs' files (clawfs/cli/vault/sources): what they mean was found out there, so
 * that nothing but lengths is parsed where the keys are.
 */
import { Fault } from "../../clawfs/core/fault.ts"
import { SecretStack } from "../../keyring/secret-stack.ts"
import { ImportList, MOST_IMPORT_BYTES } from "../../schema/vault-api.ts"
import type { Subject } from "../audit.ts"
import type { Found, Vault } from "../vault.ts"
import { readAllInto } from "./descriptors.ts"
import { requireFreeName } from "./manifest-key.ts"

const NEWLINE = 0x0a

/** What was found under each name, in order. */
export type ImportFound = readonly {
  readonly name: string
  readonly found: Found
  readonly stored: boolean
}[]

/**
 * Stores them, all or nothing. Throws `Fault("invalid")` for what is no list with values, "busy" when the vault has another value
 * of which nothing was said.
 */
export function importValues(
  vault: Vault,
  subject: Subject,
  { from, preview }: { readonly from: number; readonly preview: boolean },
): ImportFound {
  const result: { name: string; found: Found; stored: boolean }[] = []
  using memory = new SecretStack(MOST_IMPORT_BYTES + 1)
  memory.borrow(MOST_IMPORT_BYTES + 1, (room) => {
    const incoming = valuesIn(room.subarray(0, readAllInto(from, room, "the list of values")))
    const wishes = new Map(incoming.map(({ name, otherwise }) => [name, otherwise]))
    vault.takeIn(
      subject,
      (take) => {
        for (const each of incoming) {
          requireFreeName(each.name)
          take(each)
        }
      },
      (name, found) => {
        const stored = !preview && isStored(name, found, wishes.get(name))
        result.push({ name, found, stored })
        return stored
      },
    )
  })
  return result
}

function isStored(name: string, found: Found, wish: Listed["otherwise"]): boolean {
  if (found !== "other") return found === "new"
  if (wish !== undefined) return wish === "replace"
  throw new Fault("busy", `${name} was changed in the vault meanwhile`, { hint: "try again" })
}

interface Listed {
  readonly name: string
  readonly value: Buffer
  readonly otherwise: "replace" | "keep" | undefined
  readonly options: { readonly description?: string | undefined }
}

function valuesIn(plain: Buffer): Listed[] {
  const end = plain.indexOf(NEWLINE)
  const list = ImportList.safeParse(end < 0 ? undefined : json(plain.toString("utf8", 0, end)))
  if (!list.success) throw noList(list.error)
  let at = end + 1
  const found = list.data.secrets.map(({ name, bytes, description, otherwise }): Listed => {
    at += bytes
    return { name, value: plain.subarray(at - bytes, at), otherwise, options: { description } }
  })
  const names = new Set(found.map(({ name }) => name))
  if (at !== plain.length || names.size !== found.length) throw noList()
  return found
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw noList(cause)
  }
}

function noList(cause?: unknown): Fault {
  return new Fault("invalid", "this is no list of values", { cause })
}
