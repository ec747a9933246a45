/** A connection to a server, as libpq would make it: TLS, the password, and what to do when there is none. */
import { readFileSync } from "node:fs"
import type { ConnectionOptions } from "node:tls"
import pg from "pg"
import { Fault } from "../../core/fault.ts"
import type { Connection, Values } from "./session.ts"
import type { Server } from "./url.ts"

/** The server is not there, or not any more: it may come back. */
export class ServerAway extends Fault {}

const CONNECT_MS = 15_000
/** What the library says of a server that has no TLS. */
const NO_TLS = "does not support SSL"
const AS_TEXT = { getTypeParser: () => (value: string) => value }

export class ServerConnection implements Connection {
  /** A number that a cluster keeps for life; where the server does not tell it, the server's address. */
  readonly cluster: string
  readonly #client: pg.Client

  private constructor(client: pg.Client, cluster: string) {
    this.#client = client
    this.cluster = cluster
  }

  /** Throws a `Fault` that says what to do about a server that can't be used. */
  static async open(server: Server): Promise<ServerConnection> {
    const client = await connected(server)
    return new ServerConnection(client, (await clusterOf(client)) ?? `${server.host}:${server.port}`)
  }

  async query(text: string): Promise<Values[]> {
    try {
      const query = { text, rowMode: "array" as const, types: AS_TEXT }
      const { rows } = await this.#client.query<(string | null)[]>(query)
      return rows
    } catch (cause) {
      throw faultOf(cause)
    }
  }

  async close(): Promise<void> {
    await this.#client.end()
  }
}

async function clusterOf(client: pg.Client): Promise<string | undefined> {
  try {
    const text = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()"
    const { rows } = await client.query<[string]>({ text, rowMode: "array" })
    return rows[0]?.[0]
  } catch (thrown) {
    // Not every role, and not every server that speaks the protocol, has it.
    if (thrown instanceof pg.DatabaseError) return undefined
    throw faultOf(thrown)
  }
}

async function connected(server: Server): Promise<pg.Client> {
  const { sslMode } = server
  if (sslMode === "disable" || server.host.startsWith("/")) return await connect(server, false)
  if (sslMode === "allow") {
    try {
      return await connect(server, false)
    } catch (thrown) {
      if (!(thrown instanceof Fault && thrown.kind === "denied")) throw thrown
    }
  }
  try {
    return await connect(server, tlsOf(server))
  } catch (thrown) {
    const hasNone = thrown instanceof Error && thrown.message.includes(NO_TLS)
    if (sslMode === "prefer" && hasNone) return await connect(server, false)
    throw thrown
  }
}

/** libpq's meaning: only verify-ca and verify-full look at the certificate, or require with a root certificate. */
function tlsOf({ host, sslMode, sslRootCert, sslCert, sslKey }: Server): ConnectionOptions {
  const checks = sslMode === "verify-ca" || sslMode === "verify-full"
  const isNameFree = sslMode !== "verify-full"
  return {
    servername: /^[\d.:]+$/.test(host) ? "" : host,
    rejectUnauthorized: checks || (sslMode === "require" && sslRootCert !== undefined),
    ...(isNameFree ? { checkServerIdentity: () => undefined } : {}),
    ...(sslRootCert === undefined || sslRootCert === "system" ? {} : { ca: readFileSync(sslRootCert) }),
    ...(sslCert === undefined ? {} : { cert: readFileSync(sslCert) }),
    ...(sslKey === undefined ? {} : { key: readFileSync(sslKey) }),
  }
}

async function connect(server: Server, ssl: ConnectionOptions | false): Promise<pg.Client> {
  const { host, port, user, database, password } = server
  const client = new pg.Client({
    ...{ host, port, user, database, ssl, connectionTimeoutMillis: CONNECT_MS, keepAlive: true },
    // "" is asked for; undefined would make the library look into ~/.pgpass by itself.
    password: password ?? "",
    application_name: "clawfs migrate",
  })
  // A connection that breaks between two queries; the next one tells.
  client.on("error", () => undefined)
  try {
    await client.connect()
    return client
  } catch (cause) {
    throw connectFault(cause, server)
  }
}

function connectFault(cause: unknown, { host, port, user, database }: Server): Fault {
  const { code = "", message } = cause as NodeJS.ErrnoException
  const place = host.startsWith("/") ? host : `${host}:${port}`
  if (code === "28P01" || code === "28000" || /password/i.test(message))
    return new Fault("denied", `the server does not let ${user} in: ${message}`, {
      cause,
      hint: "put the password into PGPASSWORD, ~/.pgpass or a file for --password-file",
    })
  if (code === "3D000") return new Fault("not-found", `the server has no database "${database}"`, { cause })
  if (code === "53300") return new ServerAway("busy", "the server has no connection left", { cause })
  if (code === "57P03") return new ServerAway("busy", "the server is starting or ending", { cause })
  if (message.includes(NO_TLS))
    return new Fault("unsupported", `${message} (${place})`, {
      cause,
      hint: "sslmode=prefer goes on without",
    })
  const isTls = /certificate|SSL|TLS/i.test(`${code} ${message}`)
  if (isTls)
    return new Fault("denied", `the server at ${place} does not prove who it is: ${message}`, {
      cause,
      hint: "sslrootcert=FILE names who signed its certificate",
    })
  return new ServerAway("not-found", `no PostgreSQL server answers at ${place}: ${message || code}`, {
    cause,
    hint: "is it running, and does it listen there",
  })
}

/** What became of a query, for people. */
function faultOf(cause: unknown): Fault {
  if (cause instanceof Fault) return cause
  const { code = "", message } = cause as NodeJS.ErrnoException
  if (code === "42501")
    return new Fault("denied", `the role may not read all of it: ${message}`, {
      cause,
      hint: "GRANT pg_read_all_data TO the role, or use the owner of the tables",
    })
  if (code === "42P01" || code === "42703")
    return new Fault("invalid", `the database changed or is not what it seems: ${message}`, { cause })
  const isGone = code === "" || code.startsWith("57P") || code.startsWith("08") || code.startsWith("E")
  if (isGone)
    return new ServerAway("io", `the connection to the server was lost: ${message}`, {
      cause,
      hint: "run the same command again: it goes on where this one stopped",
    })
  return new Fault("io", `the server says: ${message} (${code})`, { cause })
}
