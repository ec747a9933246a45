/** Reads the source once more, and what was made of it, and compares; says which rows have no place. */
import { Losses } from "./apply.ts"
import { compareRankings, type Rankings } from "./rankings.ts"
import type { Run } from "./run.ts"
import { macIn, macOf, type Loss, type Secrets, type SecretStore } from "./secrets/transfer.ts"
import type { Source, TableReport } from "./source.ts"
import { digestOf } from "./target.ts"

export interface Verified {
  readonly files: number
  readonly bytes: number
  readonly secrets: number
  /** Of vectors: what is nearest to each, as the database says and as the files say. */
  readonly rankings: Rankings
  readonly tables: readonly { readonly table: string; readonly rows: number; readonly found: number }[]
  /** Rows without a place, or whose place has something else: none when all is well. */
  readonly losses: readonly Loss[]
  readonly moreLosses: number
}

export interface Comparison {
  readonly source: Source
  /** Those of the source, if they are known already. */
  readonly tables?: readonly TableReport[]
  readonly run: Run
  readonly secrets: Secrets
  readonly store: SecretStore | undefined
  readonly masterKey: Buffer | undefined
  readonly onProgress: (what: string, done: number, total: number) => void
}

export async function verify(work: Comparison): Promise<Verified> {
  const { source, run, secrets, onProgress } = work
  const tables = work.tables ?? (await source.tables())
  const losses = new Losses(secrets.losses)
  const found = new Map<string, number>()
  const count = (table: string, rows: number): void => void found.set(table, (found.get(table) ?? 0) + rows)
  const total = tables.reduce((sum, { rows }) => sum + rows, 0)
  let [files, bytes, done] = [0, 0, 0]
  for await (const item of source.items()) {
    const line = run.ledger.file(item.key)
    const known = line?.state === "removed" ? undefined : line
    if (item.isSeed === true && known !== undefined) continue
    const wanted = await digestOf(item.content())
    const there = known === undefined ? undefined : run.target.digest(known.path.split("/"))
    files += 1
    bytes += wanted.bytes
    done += item.rows
    if (there?.sha256 === wanted.sha256) count(item.table, item.rows)
    else
      losses.add({
        table: item.table,
        id: item.key,
        why: reasonOf(known?.path, there?.sha256, known?.sha256),
      })
    onProgress(item.table, done, total)
  }
  losses.add(...compareSecrets(work, count))
  const rankings = await compareRankings(source, run.target, (dimensions) =>
    run.ledger.file(`memory_chunks/vectors-${dimensions}.f32`)?.path.split("/"),
  )
  if (rankings.equal !== rankings.compared) {
    const why = `${rankings.compared - rankings.equal} of ${rankings.compared} nearest-neighbour rankings differ from the database's`
    losses.add({ table: "memory_chunks", id: "rankings", why })
  }
  const rows = tables.map(({ table, rows: all }) => ({ table, rows: all, found: found.get(table) ?? 0 }))
  for (const { table, rows: all, found: placed } of rows)
    if (all !== placed && !losses.listed.some((loss) => loss.table === table))
      losses.add({ table, id: "", why: `${all} rows, ${placed} of them in files` })
  return {
    files,
    bytes,
    secrets: secrets.found.length,
    rankings,
    tables: rows,
    losses: losses.listed,
    moreLosses: losses.more,
  }
}

function reasonOf(path: string | undefined, there: string | undefined, made: string | undefined): string {
  if (path === undefined) return "it was not migrated yet"
  if (there === undefined) return `${path} is gone`
  return there === made ? `${path} is older than the source` : `${path} was changed since, or the source was`
}

function compareSecrets(work: Comparison, count: (table: string, rows: number) => void): Loss[] {
  const { secrets, store, run, source, masterKey } = work
  const kept = store?.list()
  return secrets.found.flatMap((secret) => {
    const { value, key, table, name, isRow } = secret
    if (value === undefined) return []
    const there = kept?.get(name)
    const isSame =
      there !== undefined && macIn(there.description) === macOf(masterKey, source.identity, key, value)
    // A value that was put since by somebody else has a version that the ledger does not know.
    const isOurs = run.ledger.secret(key)?.version === there?.latest
    if (isSame && isOurs) {
      if (isRow) count(table, 1)
      return []
    }
    return [
      {
        table,
        id: key,
        why: there === undefined ? `the vault has no ${name}` : `${name} has another value in the vault`,
      },
    ]
  })
}
