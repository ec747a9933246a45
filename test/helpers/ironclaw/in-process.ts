/** Migrations within the test's process, into any directory whose filesystem has extended attributes. */
import { createHmac } from "node:crypto"
import { apply, type Applied } from "../../../clawfs/migrate/apply.ts"
import { openSource } from "../../../clawfs/migrate/open.ts"
import { plan, type Plan } from "../../../clawfs/migrate/plan.ts"
import { readUrl } from "../../../clawfs/migrate/postgres/url.ts"
import { Run } from "../../../clawfs/migrate/run.ts"
import type { Item, Pass, Source } from "../../../clawfs/migrate/source.ts"
import { Secrets, type Kept, type SecretStore } from "../../../clawfs/migrate/secrets/transfer.ts"
import { verify, type Verified } from "../../../clawfs/migrate/verify.ts"
import { MASTER_KEY } from "./crypto.ts"

/** A vault in memory. */
export class MemoryStore implements SecretStore {
  readonly kept = new Map<string, Kept & { readonly value: Buffer; readonly expires: number }>()

  list(): ReadonlyMap<string, Kept> {
    return this.kept
  }
  put(
    name: string,
    value: Buffer,
    { description, expires }: { description: string; expires: number },
    key: Buffer,
  ): { version: number; echo: Buffer } {
    const version = (this.kept.get(name)?.latest ?? 0) + 1
    this.kept.set(name, { latest: version, description, value: Buffer.from(value), expires })
    return { version, echo: createHmac("sha256", key).update(value).digest() }
  }
  remove(name: string): void {
    this.kept.delete(name)
  }
}

export interface Migration {
  /** Of a server, or the path of a dump. */
  readonly url: string
  readonly directory: string
  readonly store?: SecretStore
  readonly theirs?: boolean
  /** IronClaw's own directory. */
  readonly home?: string
  /** A moment of the server that was migrated already. */
  readonly since?: string
  /** Called when the source has given its first document, and waited for. */
  readonly meanwhile?: () => Promise<void>
}

const NAME = "test"

export function migrate(migration: Migration): Promise<Applied> {
  return withSource(migration, (work) => apply(work))
}

/** The server's moment, as a pass that follows gets it. */
export async function momentOf(url: string): Promise<string> {
  const origin = { server: readUrl(url, {}) }
  await using open = await openSource({ origin, schema: undefined, masterKey: undefined, run: () => NAME })
  return open.moment
}

export function compare(migration: Migration): Promise<Verified> {
  return withSource(migration, (work) => verify(work))
}

export function planOf(migration: Migration): Promise<Plan> {
  return withSource(migration, ({ source, secrets }) => plan(source, secrets, Date.parse("2026-06-01")))
}

async function withSource<T>(
  { url, directory, store = new MemoryStore(), theirs = false, home, since, meanwhile }: Migration,
  work: (work: Parameters<typeof apply>[0]) => Promise<T>,
): Promise<T> {
  const masterKey = Buffer.from(MASTER_KEY)
  const origin = url.startsWith("/")
    ? { dump: url, searchPath: process.env["PATH"] ?? "" }
    : { server: readUrl(url, {}) }
  await using open = await openSource({ origin, schema: undefined, masterKey, run: () => NAME, home })
  using secrets = await Secrets.collect(open.source.secrets())
  using run = new Run(directory, open.run)
  return await work({
    source: meanwhile === undefined ? open.source : interrupted(open.source, meanwhile),
    run,
    since,
    secrets,
    store,
    masterKey,
    theirs,
    onProgress: () => undefined,
  })
}

/** A source during whose reading something else happens. */
function interrupted(source: Source, meanwhile: () => Promise<void>): Source {
  const items = async function* (pass?: Pass): AsyncGenerator<Item> {
    let isFirst = true
    for await (const item of source.items(pass)) {
      if (isFirst && item.table === "memory_documents") {
        isFirst = false
        await meanwhile()
      }
      yield item
    }
  }
  return {
    ...{ identity: source.identity, description: source.description, items },
    tables: () => source.tables(),
    hazards: () => source.hazards(),
    secrets: () => source.secrets(),
    rankings: (most) => source.rankings(most),
  }
}
