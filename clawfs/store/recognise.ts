/** Whether a database is that of a store, and can be written to. */
import { closeSync, openSync, readSync, statSync } from "node:fs"
import { Fault } from "../core/fault.ts"
import { APPLICATION_ID } from "../../migrations/sqlite/steps.ts"
import type { Database } from "./database.ts"

/** sqlite.org/fileformat.html, 1.3: the file format's number for whoever writes; 2 is with a WAL. */
const WRITE_VERSION_AT = 18
const NEWEST_WRITE_VERSION = 2

/** Throws `Fault("invalid")`. */
export function requireStoreDatabase(db: Database): void {
  if (Number(db.pragma("application_id")) === APPLICATION_ID) return
  throw new Fault("invalid", `${db.path} is an SQLite database, but not that of a ClawFS store`)
}

/**
 * Throws `Fault("corrupt")` for a file that SQLite would only read, as if it were of a later format. To be called before this
 * process opens it: to close any descriptor of it is to lose SQLite's locks (fcntl(2)).
 */
export function requireWritableFormat(path: string): void {
  // What is in the WAL counts instead, and comes into the file with the next checkpoint.
  const wal = statSync(`${path}-wal`, { throwIfNoEntry: false })
  const isThere = statSync(path, { throwIfNoEntry: false }) !== undefined
  if (!isThere || (wal?.size ?? 0) > 0 || writeVersionOf(path) <= NEWEST_WRITE_VERSION) return
  throw new Fault("corrupt", `${path} is damaged (the number of its format for writing)`)
}

function writeVersionOf(path: string): number {
  const fd = openSync(path, "r")
  try {
    const byte = Buffer.alloc(1)
    readSync(fd, byte, 0, 1, WRITE_VERSION_AT)
    return byte[0] ?? 0
  } finally {
    closeSync(fd)
  }
}
