/** PostgreSQL in WebAssembly with pgvector, in memory and in this process: no file, no network, no server. The one place of PGlite. */
import type { PGlite } from "@electric-sql/pglite"
import { Fault, describe } from "../../core/fault.ts"
import type { Connection, Values } from "../postgres/session.ts"

/** The schema of pgvector's types and functions, as it stands in SQL. */
export const VECTOR_SCHEMA = '"clawfs pgvector"'

const SETTINGS = ["fsync=off", "autovacuum=off", "max_wal_size=64MB", "min_wal_size=32MB"]

export class Engine implements Connection {
  readonly #db: PGlite

  private constructor(db: PGlite) {
    this.#db = db
  }

  /** Takes some 4 s and 450 MB. Throws `Fault("unsupported")` where the package is not installed. */
  static async start(): Promise<Engine> {
    const { PGlite, types, vector } = await loaded()
    // As the server writes them: nothing is to become a number or an object.
    const asText = Object.fromEntries(Object.keys(types.parsers).map((type) => [type, identity]))
    const db = await PGlite.create({ extensions: { vector }, parsers: asText, postgresqlconf: SETTINGS })
    const engine = new Engine(db)
    await engine.query(`CREATE SCHEMA ${VECTOR_SCHEMA}`)
    await engine.query(`CREATE EXTENSION vector SCHEMA ${VECTOR_SCHEMA}`)
    return engine
  }

  async query(text: string): Promise<Values[]> {
    return await this.#run(text)
  }

  /** Lines of COPY's text form into a table; `target` as it stands in SQL behind COPY. */
  async copy(target: string, rows: Buffer): Promise<void> {
    // The library's name for what is given beside a query.
    await this.#run(`COPY ${target} FROM '/dev/blob'`, new Blob([new Uint8Array(rows)]))
  }

  async #run(text: string, blob?: Blob): Promise<Values[]> {
    try {
      const options = { rowMode: "array" as const, ...(blob === undefined ? {} : { blob }) }
      const { rows } = await this.#db.query<Values>(text, [], options)
      return rows
    } catch (cause) {
      throw faultOf(cause)
    }
  }

  async close(): Promise<void> {
    await this.#db.close()
  }
}

const identity = (text: string): string => text

async function loaded() {
  try {
    const [{ PGlite, types }, { vector }] = await Promise.all([
      import("@electric-sql/pglite"),
      import("@electric-sql/pglite-pgvector"),
    ])
    return { PGlite, types, vector }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw cause
    throw new Fault(
      "unsupported",
      "a dump needs the optional package @electric-sql/pglite, which is missing",
      {
        cause,
        hint: "install it (npm ci), or load the dump into a server and migrate from there",
      },
    )
  }
}

/** Without the values that the engine's own sentences quote: they can be secrets, or commands to a terminal. */
function faultOf(cause: unknown): Fault {
  const { code } = cause as { code?: unknown }
  if (code === "53200" || code === "53100" || cause instanceof RangeError)
    return new Fault("invalid", "the dump is too large for the memory that it is read into", {
      cause,
      hint: "load it into a server, and migrate from there",
    })
  if (typeof code === "string" && /^(?:22|23|54)/.test(code))
    return new Fault("corrupt", `the dump has rows that do not fit their table (SQLSTATE ${code})`, { cause })
  const what = typeof code === "string" ? `SQLSTATE ${code}` : describe(cause)
  return new Fault("io", `the engine that dumps are read with failed (${what})`, { cause })
}
