/**
 * One of several processes that write to one SQLite database. Each transaction adds a row and counts up a counter that
 * all share; a lost or doubled transaction shows in the end. Without transactions it only makes the tables.
 *
 *   node build/test-programs/test/model/sqlite-writer.js JOURNAL-MODE DATABASE WRITER TRANSACTIONS [STOP-FILE]
 */
import { existsSync } from "node:fs"
import Database from "better-sqlite3"
import { Recorder } from "./report.ts"

const [mode = "wal", file = "", writer = "0", transactions = "100", stop] = process.argv.slice(2)
const recorder = new Recorder()
/** Longer than a waiting writer sleeps, where transactions take long. */
const patience = stop === undefined ? 4 : 150
const idle = new Int32Array(new SharedArrayBuffer(4))

const db = new Database(file, { timeout: 300_000 })
db.pragma(`journal_mode = ${mode}`)
db.pragma("synchronous = FULL")
// as one transaction that takes the write lock first: a read lock could not be raised while another process writes
const initialise = db.transaction(() => {
  db.exec(`CREATE TABLE IF NOT EXISTS counter (value INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS entry (writer INTEGER, number INTEGER, text TEXT, PRIMARY KEY (writer, number));
    CREATE INDEX IF NOT EXISTS entry_text ON entry (text);`)
  if (db.prepare("SELECT count(*) FROM counter").pluck().get() === 0)
    db.exec("INSERT INTO counter VALUES (0)")
})
initialise.immediate()

const insert = db.prepare("INSERT INTO entry VALUES (?, ?, ?)")
const countUp = db.prepare("UPDATE counter SET value = value + 1")
const own = db.prepare("SELECT count(*) FROM entry WHERE writer = ?").pluck()
const write = db.transaction((number: number) => {
  insert.run(writer, number, `${writer}-${number}-`.padEnd(20 + ((number * 37) % 900), "x"))
  countUp.run()
})

for (let i = 0; i < Number(transactions); i++) {
  if (i > 0 && stop !== undefined && existsSync(stop)) break
  // SQLite's waiting is not fair: it looks every 100 ms, and who comes back sooner keeps the lock for itself
  Atomics.wait(idle, 0, 0, i % 5 === 4 ? patience : 1 + (i % 3))
  try {
    recorder.timed("transaction", () => write.immediate(i))
    recorder.succeeded("transaction")
    if (own.get(writer) !== i + 1) recorder.fail(`transaction ${i} is not there`)
  } catch (error) {
    recorder.fail(String(error))
    break
  }
}
db.close()
process.stdout.write(`${JSON.stringify(recorder.report())}\n`)
