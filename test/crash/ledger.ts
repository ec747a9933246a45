/**
 * A SQLite database on the mount, one row a transaction, each marked; what such a database looks like inside of a store
 * is judged by SQLite itself.
 *
 *   node build/test-programs/test/crash/ledger.js '{ "directory": …, "marks": …, "track": …, "mode": …, "from": …, "to": … }'
 */
import Database from "better-sqlite3"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { marker } from "./marks.ts"
import { LEDGER, rowText } from "./ledger-rows.ts"

export interface LedgerOrder {
  readonly directory: string
  readonly marks: string
  readonly track: string
  readonly mode: "delete" | "wal"
  readonly from: number
  readonly to: number
}

const order = JSON.parse(process.argv[2] ?? "") as LedgerOrder
const mark = marker(order.marks)
mkdirSync(order.directory, { recursive: true })
const db = new Database(join(order.directory, LEDGER))
db.pragma(`journal_mode = ${order.mode}`)
db.pragma("synchronous = FULL")
db.exec("CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
db.exec("CREATE INDEX IF NOT EXISTS entry_text ON entry (text)")
const insert = db.prepare("INSERT INTO entry VALUES (?, ?)")
for (let n = order.from; n < order.to; n += 1) {
  mark({ track: order.track, begun: n + 1 })
  insert.run(n + 1, rowText(n + 1))
  // A rollback journal is deleted without a sync of its directory: the newest transaction may be taken back.
  mark({ track: order.track, done: order.mode === "wal" ? n + 1 : n, durable: true })
}
db.close()
