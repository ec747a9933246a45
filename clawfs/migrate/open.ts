/** Reaches a database and finds out what is in it: the generation is seen from the tables, never assumed. */
import { basename } from "node:path"
import { Fault } from "../core/fault.ts"
import { loadDump } from "./dump/load.ts"
import { dumpText } from "./dump/open-file.ts"
import { readCatalog, type Catalog } from "./postgres/catalog.ts"
import { ServerConnection } from "./postgres/server.ts"
import { Session } from "./postgres/session.ts"
import type { Server } from "./postgres/url.ts"
import { Combined } from "./combined.ts"
import { IronclawHome } from "./home/source.ts"
import { WithIdentities } from "./identities.ts"
import { P14, isP14 } from "./p14/source.ts"
import { Reborn, isReborn } from "./reborn/source.ts"
import type { Source } from "./source.ts"
import { IronclawV1 } from "./v1/source.ts"

/** Of IronClaw's own migrations; a newer one may mean something else by the same tables. */
const NEWEST_LEVEL = 34

/** Where a database is. */
export type Origin =
  | { readonly server: Server }
  /** A file of pg_dump's, absolute; `searchPath`: where pg_restore is looked for, as PATH has it. */
  | { readonly dump: string; readonly searchPath: string }

export interface Wanted {
  readonly origin: Origin
  readonly schema: string | undefined
  readonly run: (identity: string) => string
  readonly masterKey: Buffer | undefined
  /** IronClaw's own directory; undefined: the database alone. */
  readonly home?: string | undefined
  /** What made the vectors, where the user says it. */
  readonly embeddingModel?: string | undefined
}

export interface OpenSource extends AsyncDisposable {
  readonly source: Source
  readonly run: string
  /** Changes when any transaction of the server has written something: nothing has changed while it is the same. */
  readonly moment: string
}

/** Throws a `Fault` for what can't be read, and for a database that is none of IronClaw's. */
export async function openSource(wanted: Wanted): Promise<OpenSource> {
  const { schema, run: runOf, masterKey, home, embeddingModel } = wanted
  const { session, origin, shown } = await reach(wanted.origin)
  try {
    const catalog = await readCatalog(session, schema)
    const level = await levelOf(session, catalog)
    const generations = await generationsOf(session, catalog, shown, level)
    const identity = `${origin}:${catalog.schema}`
    const version = level === undefined ? "" : ` (V${level})`
    const description = `${generations.join(" and ")}${version}, ${shown}`
    const run = runOf(identity)
    const [first, ...more] = generations
    const part = (generation: Generation): Source => {
      const tables = tablesOf(generation, generations, catalog)
      const context = { session, catalog: { ...catalog, tables }, run, masterKey, embeddingModel }
      return new SOURCES[generation](context, identity, description)
    }
    const others = home === undefined ? [] : [new IronclawHome(home, run)]
    const parts: readonly [Source, ...Source[]] = [part(first), ...more.map(part), ...others]
    const source = new WithIdentities(new Combined(description, parts))
    const [[moment] = []] = await session.query("SELECT txid_current_snapshot()::text")
    return { source, run, moment: moment ?? "", [Symbol.asyncDispose]: () => session[Symbol.asyncDispose]() }
  } catch (thrown) {
    await session[Symbol.asyncDispose]()
    throw thrown
  }
}

/** A session, what its database is called for good, and for people. */
async function reach(
  from: Origin,
): Promise<{ readonly session: Session; readonly origin: string; readonly shown: string }> {
  if ("dump" in from) {
    const engine = await loadDump(dumpText(from.dump, from.searchPath))
    return {
      session: await Session.over(engine),
      origin: `dump:${from.dump}`,
      shown: `the dump ${basename(from.dump)}`,
    }
  }
  const { server } = from
  const connection = await ServerConnection.open(server)
  const place = server.host.startsWith("/") ? server.host : `${server.host}:${server.port}`
  return {
    session: await Session.over(connection),
    origin: `postgresql:${connection.cluster}:${server.database}`,
    shown: `database ${server.database} at ${place}`,
  }
}

async function levelOf(session: Session, { tables }: Catalog): Promise<number | undefined> {
  const history = tables.get("refinery_schema_history")
  if (history?.columns.some(({ name }) => name === "version") !== true) return undefined
  const [[level] = []] = await session.query(`SELECT max(version)::text FROM ${history.sql}`)
  return typeof level === "string" ? Number(level) : undefined
}

const SOURCES = { "ironclaw-v1": IronclawV1, "ironclaw-reborn": Reborn, p14: P14 } as const
type Generation = keyof typeof SOURCES

const ENTRIES = "root_filesystem_entries"

/** Of a database with both, the entries are the newer one's, all else is the older one's. */
function tablesOf(
  generation: Generation,
  all: readonly Generation[],
  { tables }: Catalog,
): Catalog["tables"] {
  if (all.length === 1) return tables
  const isNewer = generation === "ironclaw-reborn"
  return new Map([...tables].filter(([name]) => (name === ENTRIES) === isNewer))
}

async function generationsOf(
  session: Session,
  catalog: Catalog,
  shown: string,
  level: number | undefined,
): Promise<readonly [Generation, ...Generation[]]> {
  if (level !== undefined && level > NEWEST_LEVEL)
    throw new Fault(
      "unsupported",
      `the database is of a newer IronClaw (V${level}) than this version knows (V${NEWEST_LEVEL})`,
      { hint: "a newer clawfs may know it" },
    )
  const entries = isReborn(catalog) ? catalog.tables.get(ENTRIES) : undefined
  if (catalog.tables.has("memory_documents")) {
    // The last releases of the first generation have the table, empty.
    const rows = entries === undefined ? [] : await session.query(`SELECT 1 FROM ${entries.sql} LIMIT 1`)
    return rows.length === 0 ? ["ironclaw-v1"] : ["ironclaw-v1", "ironclaw-reborn"]
  }
  if (entries !== undefined) return ["ironclaw-reborn"]
  if (isP14(catalog)) return ["p14"]
  throw new Fault(
    "invalid",
    `${shown} is not one of IronClaw's: its schema ${catalog.schema} has no table memory_documents or ${ENTRIES}`,
    { hint: "is it the right one? --schema NAME names another schema" },
  )
}
