/** Credentials that stand in settings as plain text: IronClaw has some there, and users put others. */
import { stringsIn, type JsonString } from "./json-strings.ts"
import { MOST_VALUE_BYTES, isVaultReference, vaultReference } from "./reference.ts"
import { vaultName } from "./names.ts"

/** The last name of a path, case aside. */
const TELLING =
  /(^|[._-])(api_?key|token|secret|password|passwd|private_?key|access_?key|client_?secret|bearer|credentials?|authorization)$/i
/** Whatever stands below these: headers and environments of servers. */
const CARRIERS = /(^|\.)(headers|env)\./i
const URL_WITH_PASSWORD = /^[a-z][a-z0-9+.-]*:\/\/[^/@\s]*:[^/@\s]+@/i

export interface Credential extends JsonString {
  /** Of the vault's secret. */
  readonly name: string
  readonly dotted: string
}

/** `place`: what the setting is called, such as `channels.gateway_auth_token`. */
export function credentialsIn(user: string, place: string, json: string): Credential[] {
  const found: Credential[] = []
  for (const each of stringsIn(json)) {
    const dotted = [place, ...each.path].join(".")
    const isTelling = TELLING.test(dotted) || CARRIERS.test(dotted) || URL_WITH_PASSWORD.test(each.value)
    const length = Buffer.byteLength(each.value)
    if (!isTelling || length === 0 || length > MOST_VALUE_BYTES || isVaultReference(each.value)) continue
    found.push({ ...each, dotted, name: vaultName(user, ...dotted.split(".")) })
  }
  return found
}

/** What stands in a credential's place. */
export function referenceTo({ name }: Credential): string {
  return vaultReference(name)
}
