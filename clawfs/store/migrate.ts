/**
 * Brings an older store forward, one transaction a step, after a backup of `meta.db`. A newer store is refused: an old
 * program must not guess.
 */
import { renameSync, rmSync } from "node:fs"
import { Fault } from "../core/fault.ts"
import { APPLICATION_ID, SCHEMA_VERSION, STEPS } from "../../migrations/sqlite/steps.ts"
import { Database } from "./database.ts"
import { requireStoreDatabase } from "./recognise.ts"
import { fillSums, sumOfSchema } from "./row-sums.ts"

export function migrate(db: Database, options: { readOnly: boolean }): void {
  const application = Number(db.pragma("application_id"))
  const version = Number(db.pragma("user_version"))
  const isNew = application === 0 && version === 0 && Number(db.pragma("page_count")) <= 1
  if (!isNew) requireStoreDatabase(db)
  if (version > SCHEMA_VERSION) {
    throw new Fault(
      "unsupported",
      `the store has format ${version}, this clawfs knows up to ${SCHEMA_VERSION}`,
      {
        hint: "install a newer clawfs",
      },
    )
  }
  if (version === SCHEMA_VERSION) return
  if (options.readOnly)
    throw new Fault("read-only", `the store has format ${version}: mount it writable once to migrate it`)
  if (!isNew) {
    requireSchemaOf(db, version)
    backup(db, version)
  }
  STEPS.slice(version).forEach((step, index) => {
    db.beginWriting()
    try {
      db.execute(step.sql)
      // What a row consists of is known when all columns are there; the schema has a checksum too.
      if (version + index + 1 === SCHEMA_VERSION) fillSums(db)
      db.pragma(`application_id = ${APPLICATION_ID}`)
      db.pragma(`user_version = ${version + index + 1}`)
      db.commit()
    } catch (thrown) {
      db.rollback()
      throw thrown
    }
  })
  if (!isNew) makeShrinkable(db)
}

/** A number that is damaged would have steps done twice. Throws `Fault("corrupt")`. */
function requireSchemaOf(db: Database, version: number): void {
  using right = new Database(":memory:", { create: true })
  for (const { sql } of STEPS.slice(0, version)) right.execute(sql)
  if (sumOfSchema(right) === sumOfSchema(db)) return
  throw new Fault(
    "corrupt",
    `${db.path} is damaged (its tables are not those of format ${version}, which it says it has)`,
  )
}

/** Stores of earlier versions can't give free pages back: the file is written anew, which takes as much room again. */
function makeShrinkable(db: Database): void {
  if (Number(db.pragma("auto_vacuum")) !== 0) return
  db.pragma("auto_vacuum = INCREMENTAL")
  try {
    db.execute("VACUUM")
    db.checkpoint("TRUNCATE")
  } catch (thrown) {
    // Without room for that the store works as before.
    if (!(thrown instanceof Fault && thrown.kind === "no-space")) throw thrown
  }
}

/** `meta.db.v3`: a whole, consistent copy, made anew for every attempt; it gets its name when it is complete. */
function backup(db: Database, version: number): void {
  const path = `${db.path}.v${version}`
  rmSync(`${path}.new`, { force: true })
  db.copyTo(`${path}.new`)
  renameSync(`${path}.new`, path)
}
