/** Opening `index/index.db`: by the one process that writes it, and by those that read it meanwhile. */
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Fault } from "../../core/fault.ts"
import { Database } from "../../store/database.ts"
import { APPLICATION_ID, INDEX_VERSION, SCHEMA } from "./schema.ts"

export const DATABASE_NAME = "index.db"

/** Pages; SQLite's own checkpoints are right here, as no request waits for them. */
const AUTOCHECKPOINT = 4000

export interface OpenedIndex {
  readonly db: Database
  /** Why there is nothing in it: it is new, or the one before could not be used. Undefined: it was there. */
  readonly rebuiltBecause: string | undefined
}

/**
 * Opens the index in `directory` for the only writer. One that is missing, of an older version or damaged is made anew, empty.
 * Throws `Fault("unsupported")` for one of a newer version; that is left as it is.
 */
export function openForWriting(directory: string): OpenedIndex {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, DATABASE_NAME)
  const unusable = existsSync(path) ? defectOf(path) : "there was none"
  if (unusable === undefined) return { db: tuned(new Database(path)), rebuiltBecause: undefined }
  dropIndex(directory)
  const db = tuned(new Database(path, { create: true }))
  db.beginWriting()
  db.execute(SCHEMA)
  db.pragma(`application_id = ${APPLICATION_ID}`)
  db.pragma(`user_version = ${INDEX_VERSION}`)
  db.commit()
  return { db, rebuiltBecause: unusable }
}

/** Opens it for reading. Throws `Fault("not-found")` when there is none that can be read yet, with a hint. */
export function openForReading(directory: string): Database {
  const path = join(directory, DATABASE_NAME)
  const unusable = existsSync(path) ? defectOf(path) : "there is none"
  if (unusable !== undefined)
    throw new Fault("not-found", `there is no search index yet (${unusable})`, {
      hint: "it is built when the store is mounted: `clawfs index status` shows how far it is",
    })
  return tuned(new Database(path, { readonly: true }))
}

/** Removes the index with its caches, for instance when it is found damaged at work. Nothing but derived data is in it. */
export function dropIndex(directory: string): void {
  for (const name of existsSync(directory) ? readdirSync(directory) : [])
    if (name.startsWith(DATABASE_NAME) || /^hnsw-.*\.us(\.tmp)?$/.test(name))
      rmSync(join(directory, name), { force: true })
}

function tuned(db: Database): Database {
  db.pragma(`wal_autocheckpoint = ${AUTOCHECKPOINT}`)
  return db
}

/** Why it can't be used as it is. */
function defectOf(path: string): string | undefined {
  try {
    using db = new Database(path, { readonly: true })
    const version = Number(db.pragma("user_version"))
    if (db.pragma("application_id") !== APPLICATION_ID) return "it is no index of ClawFS"
    if (version > INDEX_VERSION)
      throw new Fault(
        "unsupported",
        `the search index is of version ${version}, this program knows ${INDEX_VERSION}`,
        {
          hint: "use the newer program, or remove the store's folder `index`: it is built again from the files",
        },
      )
    if (version < INDEX_VERSION) return `it is of version ${version}`
    db.query<[], [number]>("SELECT count(*) FROM sqlite_schema").get()
    db.query<[], [string]>("SELECT value FROM meta").all()
    return undefined
  } catch (thrown) {
    if (thrown instanceof Fault && (thrown.kind === "corrupt" || thrown.kind === "bug")) return thrown.message
    throw thrown
  }
}
