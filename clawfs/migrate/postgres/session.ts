/**
 * One connection that reads one moment of a database: a read-only REPEATABLE READ transaction. Whatever the database
 * contains, no function of its own is called: the search path is pg_catalog alone, rows come through cursors.
 */
import { Fault } from "../../core/fault.ts"

/** Values as the server writes them; null is SQL's NULL. */
export type Values = readonly (string | null)[]

/** Whatever runs a statement: a server, or the engine that dumps are read with. */
export interface Connection {
  /** All rows at once. Throws a `Fault` that says what to do. */
  query(text: string): Promise<Values[]>
  close(): Promise<void>
}

const PAGE = 200

/** Nothing of the server's, the database's or the role's settings shall matter. */
const SETTINGS = [
  ["search_path", "pg_catalog"],
  ["timezone", "UTC"],
  ["datestyle", "ISO, YMD"],
  ["intervalstyle", "iso_8601"],
  ["extra_float_digits", "3"],
  ["client_encoding", "UTF8"],
  ["standard_conforming_strings", "on"],
  ["statement_timeout", "0"],
  ["idle_in_transaction_session_timeout", "0"],
  // Rows that a policy hides would be missing without a word: an error instead.
  ["row_security", "off"],
] as const

export class Session implements AsyncDisposable {
  readonly #connection: Connection
  #cursors = 0

  private constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Takes the connection over. Throws a `Fault` for a server or database of a kind that can't be read. */
  static async over(connection: Connection): Promise<Session> {
    const session = new Session(connection)
    try {
      await session.#begin()
      return session
    } catch (thrown) {
      await connection.close()
      throw thrown
    }
  }

  async #begin(): Promise<void> {
    await this.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    for (const [name, value] of SETTINGS) await this.query(`SET LOCAL ${name} = ${this.literal(value)}`)
    const [[encoding, version] = []] = await this.query(
      "SELECT current_setting('server_encoding'), current_setting('server_version_num')",
    )
    if (encoding === "SQL_ASCII")
      throw new Fault(
        "unsupported",
        "the database has no encoding (SQL_ASCII): its texts can't be read as UTF-8",
      )
    if (Number(version) < 120_000)
      throw new Fault("unsupported", "the server is older than PostgreSQL 12", {
        hint: "dump the database and load it into a newer server",
      })
  }

  /** All rows at once: for what is short. */
  async query(text: string): Promise<Values[]> {
    return await this.#connection.query(text)
  }

  /** Row by row, two times `page` of them in memory. */
  async *rows(text: string, page = PAGE): AsyncGenerator<Values> {
    this.#cursors += 1
    const name = `clawfs_${this.#cursors}`
    await this.query(`DECLARE ${name} NO SCROLL CURSOR FOR ${text}`)
    // The server fills the next page while this one is worked on.
    let next = this.#ahead(`FETCH ${page} FROM ${name}`)
    for (let isLast = false; !isLast;) {
      const rows = await next
      isLast = rows.length < page
      if (!isLast) next = this.#ahead(`FETCH ${page} FROM ${name}`)
      yield* rows
    }
    await this.query(`CLOSE ${name}`)
  }

  /** A query whose failure is told to who waits for it, and to nobody when nobody does any more. */
  #ahead(text: string): Promise<Values[]> {
    const rows = this.query(text)
    rows.catch(() => undefined)
    return rows
  }

  /** A text or NULL as it stands in SQL: with standard_conforming_strings, a backslash is one. */
  literal(value: string | null): string {
    return value === null ? "NULL" : `'${value.replaceAll("'", "''")}'`
  }

  /** A name as it stands in SQL. */
  identifier(name: string): string {
    return identifier(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection.close()
  }
}

/** A name as it stands in SQL. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
