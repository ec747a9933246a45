/** Loads a fixture into a database. */
import pg from "pg"
import { rowsOf, type Rows, type Size, type Value } from "./fixture.ts"
import { schemaOf } from "./schema.ts"

const BATCH = 200

export async function connectTo(url: string): Promise<pg.Client & AsyncDisposable> {
  const client = new pg.Client({ connectionString: url })
  // A server that is stopped while a test is connected.
  client.on("error", () => undefined)
  await client.connect()
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}

export async function insert(client: pg.Client, { table, columns, rows }: Rows): Promise<void> {
  for (let from = 0; from < rows.length; from += BATCH) {
    const batch = rows.slice(from, from + BATCH)
    const values: Value[] = []
    const tuples = batch.map((row) => `(${row.map((value) => `$${values.push(value)}`).join(", ")})`)
    await client.query(`INSERT INTO ${table} (${columns.join(", ")}) VALUES ${tuples.join(", ")}`, values)
  }
}

export async function load(url: string, size: Size): Promise<void> {
  await using client = await connectTo(url)
  await client.query("BEGIN")
  for (const sql of schemaOf(size.level, size)) await client.query(sql)
  for (const rows of rowsOf(size)) await insert(client, rows)
  await client.query("COMMIT")
}
