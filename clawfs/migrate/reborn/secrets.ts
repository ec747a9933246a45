/** A secret of IronClaw 1.x: JSON with numbers for bytes, bound to tenant, user, agent, project and handle. */
import { rebornBinding } from "../secrets/ironclaw-crypto.ts"
import { vaultName } from "../secrets/names.ts"
import { opened } from "../secrets/opened.ts"
import type { FoundSecret } from "../source.ts"
import type { SecretPlace } from "./paths.ts"

const DOMAIN = "reborn/v1/fs_secret_record"
const TABLE = "root_filesystem_entries"

export interface SecretRecord {
  readonly value: Buffer
  readonly salt: Buffer
  readonly expires: number
  readonly created: string | undefined
}

/** Undefined for what is no such record. */
export function secretRecord(text: string | undefined): SecretRecord | undefined {
  if (text === undefined) return undefined
  let record: Readonly<Record<string, unknown>>
  try {
    record = JSON.parse(text) as typeof record
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined
    throw thrown
  }
  const { encrypted_value: value, key_salt: salt, expires_at: expires, created_at: created } = record
  if (!isBytes(value) || !isBytes(salt)) return undefined
  const at = typeof expires === "string" ? Date.parse(expires) : NaN
  return {
    ...{
      value: Buffer.from(value),
      salt: Buffer.from(salt),
      expires: Number.isNaN(at) ? 0 : Math.max(1, at),
    },
    created: typeof created === "string" ? created : undefined,
  }
}

function isBytes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((each) => Number.isInteger(each) && each >= 0 && each <= 255)
}

export function openedSecret(
  path: string,
  { tenant, user, agent, project, handle }: SecretPlace,
  record: SecretRecord | undefined,
  masterKey: Buffer | undefined,
): FoundSecret {
  const bound = rebornBinding(DOMAIN, [tenant, user, agent, project, handle])
  const parts = [agent, project, handle].filter((part) => part !== "")
  const value =
    record === undefined
      ? { value: undefined, why: "it is no record of a secret" }
      : opened(masterKey, record.salt, record.value, bound)
  return {
    ...{
      key: `${TABLE}${path}`,
      table: TABLE,
      name: vaultName(user, ...parts),
      user,
      original: parts.join("/"),
    },
    ...{ ...value, isRow: true, expires: record?.expires ?? 0, about: { created_at: record?.created } },
  }
}
