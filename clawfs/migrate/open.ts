/** Connects to a server and finds out what is in the database: the generation is seen from the tables, never assumed. */
import { Fault } from "../core/fault.ts"
import { readCatalog, type Catalog } from "./postgres/catalog.ts"
import { Session } from "./postgres/session.ts"
import type { Server } from "./postgres/url.ts"
import type { Source } from "./source.ts"
import { IronclawV1 } from "./v1/source.ts"

/** Of IronClaw's own migrations; a newer one may mean something else by the same tables. */
const NEWEST_LEVEL = 34

export interface Wanted {
  readonly server: Server
  readonly schema: string | undefined
  readonly run: (identity: string) => string
  readonly masterKey: Buffer | undefined
}

export interface OpenSource extends AsyncDisposable {
  readonly source: Source
  readonly run: string
}

/** Throws a `Fault` for a server that can't be used and for a database that is none of IronClaw's. */
export async function openSource({ server, schema, run: runOf, masterKey }: Wanted): Promise<OpenSource> {
  const session = await Session.open(server)
  try {
    const catalog = await readCatalog(session, schema)
    const level = await levelOf(session, catalog)
    const generation = generationOf(catalog, server, level)
    const identity = `postgresql:${session.cluster}:${server.database}:${catalog.schema}`
    const place = server.host.startsWith("/") ? server.host : `${server.host}:${server.port}`
    const description = `${generation}${level === undefined ? "" : ` (V${level})`}, database ${server.database} at ${place}`
    const run = runOf(identity)
    const source = new IronclawV1({ session, catalog, run, masterKey }, identity, description)
    return { source, run, [Symbol.asyncDispose]: () => session[Symbol.asyncDispose]() }
  } catch (thrown) {
    await session[Symbol.asyncDispose]()
    throw thrown
  }
}

async function levelOf(session: Session, { tables }: Catalog): Promise<number | undefined> {
  const history = tables.get("refinery_schema_history")
  if (history?.columns.some(({ name }) => name === "version") !== true) return undefined
  const [[level] = []] = await session.query(`SELECT max(version)::text FROM ${history.sql}`)
  return typeof level === "string" ? Number(level) : undefined
}

function generationOf({ tables, schema }: Catalog, { database }: Server, level: number | undefined): string {
  if (level !== undefined && level > NEWEST_LEVEL)
    throw new Fault(
      "unsupported",
      `the database is of a newer IronClaw (V${level}) than this version knows (V${NEWEST_LEVEL})`,
      {
        hint: "a newer clawfs may know it",
      },
    )
  if (tables.has("memory_documents")) return "ironclaw-v1"
  if (tables.has("root_filesystem_entries"))
    throw new Fault("unsupported", "the database is of IronClaw 1.x, which this version does not migrate")
  throw new Fault(
    "invalid",
    `the database ${database} is not one of IronClaw's: its schema ${schema} has no table memory_documents`,
    {
      hint: "is it the right database? --schema NAME names another schema",
    },
  )
}
