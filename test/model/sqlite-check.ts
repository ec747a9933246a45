/**
 * Checks the database that the writers left: integrity, and nothing lost or doubled.
 *
 *   node build/test-programs/test/model/sqlite-check.js DATABASE WRITERS [TRANSACTIONS]
 */
import Database from "better-sqlite3"

const [file = "", writers = "0", transactions] = process.argv.slice(2)
const db = new Database(file, { timeout: 60_000 })
const one = (sql: string): unknown => db.prepare(sql).pluck().get()
const total =
  transactions === undefined ? one("SELECT count(*) FROM entry") : Number(writers) * Number(transactions)

const findings: readonly (readonly [string, unknown, unknown])[] = [
  ["integrity_check", one("PRAGMA integrity_check"), "ok"],
  ["counter", one("SELECT value FROM counter"), total],
  ["entries", one("SELECT count(*) FROM entry"), total],
  [
    "gaps",
    one("SELECT count(*) FROM (SELECT 1 FROM entry GROUP BY writer HAVING max(number) + 1 <> count(*))"),
    0,
  ],
  ["writers", one("SELECT count(DISTINCT writer) FROM entry"), Number(writers)],
  [
    "entries through the index",
    one("SELECT count(*) FROM entry INDEXED BY entry_text WHERE text >= ''"),
    total,
  ],
]
for (const [what, got, want] of findings) {
  if (got === want) continue
  process.stdout.write(`${what}: got ${String(got)}, want ${String(want)}\n`)
  process.exitCode = 1
}
db.close()
