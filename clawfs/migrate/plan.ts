/** What a migration would do: read whole, nothing changed. */
import { agentWithoutIdentity } from "./identities.ts"
import type { Secrets } from "./secrets/transfer.ts"
import { WHOLE, type Hazard, type HazardCode, type Source, type TableReport } from "./source.ts"

export interface Plan {
  readonly source: string
  readonly tables: readonly TableReport[]
  readonly items: { readonly files: number; readonly rows: number }
  readonly hazards: Readonly<Partial<Record<HazardCode, number>>>
  /** The first of them. */
  readonly listed: readonly Hazard[]
  readonly secrets: {
    readonly total: number
    readonly expired: number
    readonly lost: readonly { readonly id: string; readonly why: string }[]
  }
}

const MOST_LISTED = 10_000

export async function plan(source: Source, secrets: Secrets, now: number): Promise<Plan> {
  const tables = await source.tables()
  const hazards: Partial<Record<HazardCode, number>> = {}
  const listed: Hazard[] = []
  const add = (hazard: Hazard): void => {
    hazards[hazard.code] = (hazards[hazard.code] ?? 0) + 1
    if (listed.length < MOST_LISTED) listed.push(hazard)
  }
  for await (const hazard of source.hazards()) add(hazard)
  for (const { id, table, why } of secrets.losses) add({ code: "undecryptable", table, id, detail: why })
  const expired = secrets.found.filter(({ expires }) => expires !== 0 && expires <= now)
  for (const { key, table, expires } of expired)
    add({
      code: "expired",
      table,
      id: key,
      detail: `expired on ${new Date(expires).toISOString()}; it goes over with that`,
    })
  const items = { files: 0, rows: 0 }
  const nameless = new Set<string>()
  for await (const { rows, path } of source.items({ ...WHOLE, isLean: true })) {
    items.files += 1
    items.rows += rows
    const agent = agentWithoutIdentity(path)
    if (agent === undefined || nameless.has(agent)) continue
    nameless.add(agent)
    const detail = "no identity can have this name: what is the agent's goes over, without an identity.json"
    add({ code: "no-identity", table: "identities", id: agent, detail })
  }
  const lost = secrets.losses.map(({ id, why }) => ({ id, why }))
  return {
    ...{ source: source.description, tables, items, hazards, listed },
    secrets: { total: secrets.found.length, expired: expired.length, lost },
  }
}
