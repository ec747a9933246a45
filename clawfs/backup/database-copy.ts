/** The database of a store as of one moment: that moment is the backup's. */
import { closeSync, fsyncSync, openSync, rmSync } from "node:fs"
import { present } from "../core/assert.ts"
import { Fault } from "../core/fault.ts"
import { requireVersion } from "../fsck/fsck.ts"
import { Database } from "../store/database.ts"

/**
 * Copies the database `from`, which others may be writing to, to `to`, on the disk when this returns. VACUUM INTO reads
 * one snapshot; the copy is a single file that needs no WAL.
 */
export function copyDatabase(from: string, to: string): void {
  {
    using db = new Database(from, { readonly: true })
    requireVersion(db)
    rmSync(to, { force: true })
    // SQLite fills an empty file: nobody else can read this one, nor has put a link there.
    closeSync(openSync(to, "wx", 0o600))
    vacuumInto(db, to)
  }
  const fd = openSync(to, "r")
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

function vacuumInto(db: Database, to: string): void {
  try {
    db.copyTo(to)
  } catch (thrown) {
    if (!(thrown instanceof Fault && thrown.kind === "no-space")) throw thrown
    throw new Fault("no-space", `${to}: no space left on device`, { cause: thrown })
  }
}

export interface StoreState {
  /** Hexadecimal digits. */
  readonly uuid: string
  readonly schema: number
  /** Where the log ends that the database rests on (`log-position.ts`); 0: not known. */
  readonly logEnd: number
  readonly inodes: number
  readonly bytes: number
  /** Numbers of the segments that there must be. */
  readonly segments: readonly number[]
}

/** What a database says about its store. */
export function stateOf(db: Database): StoreState {
  const [uuid] = present(db.query<[], [Buffer]>("SELECT uuid FROM store").get(), "row of table store")
  const [logEnd, inodes, bytes] = present(
    db.query<[], [number, number, number]>("SELECT log_end, inodes, bytes FROM state").get(),
    "row of table state",
  )
  const segments = db
    .query<[], [number]>(
      "SELECT id FROM segment UNION SELECT DISTINCT segment FROM extent WHERE segment != 0 ORDER BY 1",
    )
    .all()
    .map(([id]) => id)
  const schema = Number(db.pragma("user_version"))
  return { uuid: uuid.toString("hex"), schema, logEnd, inodes, bytes, segments }
}
