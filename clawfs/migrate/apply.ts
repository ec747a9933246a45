/** A migration: secrets first, then every file, in an order that is always the same. Killed anywhere, the next one goes on. */
import type { Run } from "./run.ts"
import { place, type Options, type Placing } from "./place.ts"
import { transfer, type Loss, type Secrets, type SecretStore } from "./secrets/transfer.ts"
import type { Item, Source, TableReport } from "./source.ts"

export interface Applied {
  readonly files: { made: number; updated: number; unchanged: number; conflict: number }
  readonly bytes: number
  readonly secrets: { made: number; unchanged: number }
  /** Rows of the source without a place, and why. */
  readonly losses: readonly Loss[]
  /** Losses beyond those that are listed. */
  readonly moreLosses: number
}

export interface Work extends Options {
  readonly source: Source
  /** Those of the source, if they are known already. */
  readonly tables?: readonly TableReport[]
  readonly run: Run
  readonly secrets: Secrets
  /** Undefined when there are no secrets. */
  readonly store: SecretStore | undefined
  readonly masterKey: Buffer | undefined
  /** A moment of the server that this process has migrated already; undefined: everything is compared. */
  readonly since?: string | undefined
  readonly onProgress: (what: string, done: number, total: number) => void
  readonly onPlaced?: (item: Item, placed: Placing) => void
}

const REPORT = "report.json"
const MOST_LOSSES = 1000

export async function apply(work: Work): Promise<Applied> {
  const { source, run, secrets, store, since, onProgress } = work
  const tables = work.tables ?? (await source.tables())
  await run.begin(source.identity, source.description)
  // A run that has once ended knows most of its files.
  const isLean = run.target.stat([...run.path, REPORT]) !== undefined
  const pass = { isLean, isTracked: true, since }
  const losses = new Losses(secrets.losses)
  const transferred =
    store === undefined
      ? undefined
      : transfer(secrets, store, run.ledger, { ...work, identity: source.identity })
  losses.add(...(transferred?.conflicts ?? []))
  const total = tables.reduce((sum, { rows }) => sum + rows, 0)
  const files = { made: 0, updated: 0, unchanged: 0, conflict: 0 }
  let [done, bytes] = [0, 0]
  for await (const item of source.items(pass)) {
    const placed = await place(run, item, work)
    work.onPlaced?.(item, placed)
    files[placed.outcome] += 1
    bytes += placed.bytes
    done += item.rows
    if (placed.outcome === "conflict")
      losses.add({ table: item.table, id: item.key, why: `${placed.path}: ${placed.why ?? ""}` })
    onProgress(item.table, done, total)
  }
  const { made = 0, unchanged = 0 } = transferred ?? {}
  const isReported = await run.writeJson(REPORT, reportOf(source, tables, losses.listed))
  // Where there was nothing to do, there is nothing that the disk lacks.
  if (isReported || files.made + files.updated + made > 0) run.target.sync([...run.path, REPORT])
  return { files, bytes, secrets: { made, unchanged }, losses: losses.listed, moreLosses: losses.more }
}

/** A bounded list. */
export class Losses {
  readonly listed: Loss[] = []
  more = 0

  constructor(losses: readonly Loss[] = []) {
    this.add(...losses)
  }

  add(...losses: readonly Loss[]): void {
    for (const loss of losses)
      if (this.listed.length < MOST_LOSSES) this.listed.push(loss)
      else this.more += 1
  }
}

function reportOf(source: Source, tables: readonly TableReport[], losses: readonly Loss[]): object {
  // Sizes on the server's disk change without a change of rows.
  const shown = tables.map(({ table, rows, disposition, target }) => ({ table, rows, disposition, target }))
  return { format: 1, source: source.description, tables: shown, losses }
}
