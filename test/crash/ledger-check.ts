/** Takes a SQLite database out of a store and lets SQLite judge it: as after a power cut, with its journal. */
import Database from "better-sqlite3"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { LEDGER, rowText } from "./ledger-rows.ts"
import type { Found, Progress } from "./promises.ts"
import { memoryDirectory } from "./memory-directory.ts"

export function checkLedger(track: string, found: Found, { durable, begun }: Progress): string[] {
  const directory = mkdtempSync(join(memoryDirectory, "clawfs-ledger-"))
  try {
    for (const suffix of ["", "-journal", "-wal"]) {
      const bytes = found.bytes(`${track}/${LEDGER}${suffix}`)
      if (bytes !== undefined) writeFileSync(join(directory, LEDGER + suffix), bytes)
    }
    const rows = rowsOf(join(directory, LEDGER))
    if (typeof rows === "string") return durable === 0 ? [] : [`ledger ${track}: ${rows}`]
    const wrong = rows.findIndex(([id, text], index) => id !== index + 1 || text !== rowText(id))
    if (wrong >= 0) return [`ledger ${track}: row ${wrong + 1} of ${rows.length} is not what was inserted`]
    if (rows.length >= durable && rows.length <= begun) return []
    return [`ledger ${track}: ${rows.length} rows, ${durable} were durable and ${begun} begun`]
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** All rows in order, or what is wrong with the database. */
function rowsOf(path: string): [number, string][] | string {
  try {
    using db = opened(path)
    const verdict = db.handle.pragma("integrity_check", { simple: true })
    if (verdict !== "ok") return `integrity_check: ${String(verdict)}`
    return db.handle.prepare<[], [number, string]>("SELECT id, text FROM entry ORDER BY id").raw(true).all()
  } catch (thrown) {
    return String(thrown)
  }
}

function opened(path: string): Disposable & { handle: Database.Database } {
  const handle = new Database(path)
  return { handle, [Symbol.dispose]: () => void handle.close() }
}
