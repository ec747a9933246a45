/** The files that SQLite keeps beside a database in WAL mode. */
import { existsSync, rmSync, statSync } from "node:fs"

const SUFFIXES = ["-wal", "-shm"]

/** Which of them are there: to be asked before a reading connection is opened on a store that nobody serves. */
export function sqliteFilesOf(database: string): string[] {
  return SUFFIXES.map((suffix) => database + suffix).filter((path) => existsSync(path))
}

/** A connection that only reads leaves its files behind, empty: a store that was closed has none but those of `before`. */
export function removeEmptySqliteFiles(database: string, before: readonly string[]): void {
  const wal = statSync(`${database}-wal`, { throwIfNoEntry: false })?.size ?? 0
  if (wal > 0) return
  for (const path of sqliteFilesOf(database)) if (!before.includes(path)) rmSync(path, { force: true })
}
