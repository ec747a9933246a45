/**
 * A dump's tables and rows into the engine. Only names, types that are known, keys and rows are taken from it: what is run are
 * statements of our own. No default, check, function or trigger of a dump ever is.
 */
import { Fault } from "../../core/fault.ts"
import { identifier } from "../postgres/session.ts"
import { Engine, VECTOR_SCHEMA } from "./engine.ts"
import { partsOf } from "./parts.ts"
import {
  statementOf,
  type DumpColumn,
  type InsertValue,
  type Statement,
  type TableName,
} from "./statements.ts"

const MOST_TABLES = 5000
/** INSERTs that are put together. */
const BATCH = 2 * 1024 * 1024
/** Types whose values are read as such; those of all others stay the text that they are in the dump. */
const KNOWN = new RegExp(
  `^(?:${[
    ...["smallint", "integer", "bigint", "real", "double precision", "boolean", "oid", '"char"', "name"],
    ...["text", "bytea", "uuid", "json", "jsonb", "date", "inet", "cidr", "tsvector", "interval"],
    ...["numeric(?:\\(\\d+(?:,-?\\d+)?\\))?", "character(?: varying)?(?:\\(\\d+\\))?"],
    "time(?:stamp)?(?:\\(\\d\\))? with(?:out)? time zone",
  ].join("|")})(?:\\[\\])*$`,
)
/** In whatever schema the extension was. */
const VECTOR = /^(?:(?:\w+|"[^"]*")\.)?vector(?:\(\d+\))?$/

/** The engine with all tables of the dump. Throws a `Fault` for what is no whole dump; then nothing is left of it. */
export async function loadDump(bytes: AsyncIterable<Buffer>): Promise<Engine> {
  const parts = partsOf(bytes)
  // What is no dump shows before the engine starts, which takes seconds.
  let part = await parts.next()
  const engine = await Engine.start()
  try {
    const loader = new Loader(engine)
    for (; part.done !== true; part = await parts.next()) {
      if (part.value.kind === "rows") await loader.rows(part.value.bytes)
      else await loader.statement(statementOf(part.value.tokens))
    }
    await loader.finish()
    return engine
  } catch (thrown) {
    await parts.return(undefined)
    await engine.close()
    throw thrown
  }
}

interface Known {
  readonly sql: string
  readonly columns: readonly DumpColumn[]
}

class Loader {
  readonly #engine: Engine
  readonly #tables = new Map<string, Known>()
  readonly #schemas = new Set(["public"])
  readonly #keys: (Statement & { kind: "key" })[] = []
  #hasVectors = false
  /** Where the rows go that come next. */
  #target = ""
  #inserts: { readonly target: string; lines: string[]; length: number } | undefined

  constructor(engine: Engine) {
    this.#engine = engine
  }

  async statement(statement: Statement | undefined): Promise<void> {
    if (statement === undefined) return
    if (statement.kind === "vectors") this.#hasVectors = true
    else if (statement.kind === "key") this.#keys.push(statement)
    else if (statement.kind === "table") await this.#create(statement.table, statement.columns)
    else if (statement.kind === "copy") {
      await this.#flush()
      this.#target = targetOf(this.#known(statement.table), statement.columns)
    } else for (const row of statement.rows) await this.#insert(statement.table, statement.columns, row)
  }

  async rows(bytes: Buffer): Promise<void> {
    await this.#engine.copy(this.#target, bytes)
  }

  /** Keys and indexes, which are quicker made of all rows at once. */
  async finish(): Promise<void> {
    await this.#flush()
    for (const { table, columns, isPrimary } of this.#keys) {
      const { sql, columns: all } = this.#known(table)
      if (!columns.every((name) => all.some((column) => column.name === name && !column.isGenerated)))
        continue
      const names = columns.map(identifier).join(", ")
      if (isPrimary) await this.#engine.query(`ALTER TABLE ${sql} ADD PRIMARY KEY (${names})`)
      else await this.#engine.query(`CREATE INDEX ON ${sql} (${names})`)
    }
    await this.#engine.query("ANALYZE")
  }

  async #create(table: TableName, columns: readonly DumpColumn[]): Promise<void> {
    const { schema, name } = table
    if (isSystem(schema)) throw new Fault("invalid", `the dump has a table in the system's schema ${schema}`)
    if (this.#tables.size >= MOST_TABLES)
      throw new Fault("invalid", `the dump has more than ${MOST_TABLES} tables`)
    if (!this.#schemas.has(schema)) {
      await this.#engine.query(`CREATE SCHEMA IF NOT EXISTS ${identifier(schema)}`)
      this.#schemas.add(schema)
    }
    const sql = `${identifier(schema)}.${identifier(name)}`
    const own = columns
      .filter(({ isGenerated }) => !isGenerated)
      .map((column) => `${identifier(column.name)} ${this.#typeOf(column)}`)
    // Unlogged: there is no crash to recover from.
    await this.#engine.query(`CREATE UNLOGGED TABLE ${sql} (${own.join(", ")})`)
    this.#tables.set(sql, { sql, columns })
  }

  #typeOf({ type }: DumpColumn): string {
    if (KNOWN.test(type)) return type
    return this.#hasVectors && VECTOR.test(type) ? `${VECTOR_SCHEMA}.vector` : "text"
  }

  #known({ schema, name }: TableName): Known {
    const known = this.#tables.get(`${identifier(schema)}.${identifier(name)}`)
    if (known !== undefined) return known
    throw new Fault("invalid", `the dump has rows of ${JSON.stringify(name)}, but not the table`, {
      hint: "make it without --data-only",
    })
  }

  async #insert(
    table: TableName,
    named: readonly string[] | undefined,
    row: readonly InsertValue[],
  ): Promise<void> {
    const known = this.#known(table)
    const names = named ?? known.columns.map(({ name }) => name)
    // Of a column that is computed there is no value.
    const given = names.flatMap((name, at) => {
      const value = row[at]
      return value === undefined ? [] : [{ name, value }]
    })
    const isFitting = row.length <= names.length && given.length + generatedIn(known, names) === names.length
    if (!isFitting)
      throw new Fault("invalid", `the dump has a row of ${JSON.stringify(table.name)} with values missing`)
    const target = targetOf(
      known,
      given.map(({ name }) => name),
    )
    if (this.#inserts?.target !== target) await this.#flush()
    const line = given.map(({ value }) => value).join("\t")
    this.#inserts ??= { target, lines: [], length: 0 }
    this.#inserts.lines.push(line)
    this.#inserts.length += line.length
    if (this.#inserts.length > BATCH) await this.#flush()
  }

  async #flush(): Promise<void> {
    const inserts = this.#inserts
    this.#inserts = undefined
    if (inserts !== undefined)
      await this.#engine.copy(inserts.target, Buffer.from(`${inserts.lines.join("\n")}\n`))
  }
}

const isSystem = (schema: string): boolean => schema.startsWith("pg_") || schema === "information_schema"

function generatedIn({ columns }: Known, names: readonly string[]): number {
  return columns.filter(({ name, isGenerated }) => isGenerated && names.includes(name)).length
}

function targetOf({ sql, columns: all }: Known, names: readonly string[]): string {
  const strange = names.find((name) => !all.some((column) => column.name === name && !column.isGenerated))
  if (strange !== undefined)
    throw new Fault(
      "invalid",
      `the dump has values of a column ${JSON.stringify(strange)} that its table has not`,
    )
  return `${sql} (${names.map(identifier).join(", ")})`
}
