/** What the vault's owner may list: secrets without values, grants, rows of the audit. */
import { Fault } from "../../clawfs/core/fault.ts"
import type { VaultParams } from "../../schema/vault-api.ts"
import type { Grants } from "../grants.ts"
import { dueAt } from "../metadata.ts"
import type { Vault } from "../vault.ts"

export function listSecrets(vault: Vault): object[] {
  return vault.list().map(({ metadata }) => ({ ...metadata, due: dueAt(metadata) }))
}

function namesIn(vault: Vault): Map<string, string> {
  return new Map(vault.list().map(({ id, metadata }) => [id.toString("hex"), metadata.name]))
}

export function listGrants(vault: Vault, grants: Grants): object[] {
  const names = namesIn(vault)
  return grants.all(vault.keys).map(({ secret, ...grant }) => ({ ...grant, name: names.get(secret) ?? "" }))
}

/** Throws `Fault("not-found")` for a secret that is not there. */
export function listAudit(vault: Vault, { since, name, uid }: VaultParams<"audit">): object[] {
  const names = namesIn(vault)
  const entry = name === undefined ? undefined : vault.find(name)
  if (name !== undefined && entry === undefined)
    throw new Fault("not-found", `the vault has no secret ${JSON.stringify(name)}`)
  const rows = vault.audit.rows({ since, secret: entry?.id, uid })
  return [...rows].map(({ seq, time, event, outcome, subject, secret, version, detail }) => ({
    ...{ seq, time, event, outcome, version },
    subject: JSON.parse(subject) as unknown,
    secret: secret.length === 0 ? undefined : (names.get(secret.toString("hex")) ?? secret.toString("hex")),
    detail: JSON.parse(detail) as unknown,
  }))
}
