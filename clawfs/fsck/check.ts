/** All checks in their order: one pass over the tables, then over the files. */
import { Fault, describe } from "../core/fault.ts"
import type { Database } from "../store/database.ts"
import { checkBodies } from "./bodies.ts"
import { checkDirectories } from "./directories.ts"
import { Findings, printable, type PathFinder } from "./finding.ts"
import { checkInodes } from "./inodes.ts"
import { DT_DIR, InodeIndex } from "./inode-index.ts"
import { checkNames } from "./names.ts"
import { Steps, type Identity, type OnProgress, type Pass, type RecordSlice, type Totals } from "./pass.ts"
import { checkKeys } from "./keys.ts"
import { EncryptedTrees } from "../store/encrypted-trees.ts"
import { Paths } from "./paths.ts"
import { checkRecords } from "./records.ts"
import { mendSums } from "../store/row-sums.ts"
import { numberOf } from "./scan.ts"
import { checkSegmentFiles, checkSegmentRows } from "./segments.ts"
import { checkSnapshots } from "./snapshots.ts"
import { checkSequence, checkTotals } from "./totals.ts"
import { findWrongSums, reportWrongSums } from "./sums.ts"
import { checkTree } from "./tree.ts"
import { checkTrees } from "./trees.ts"

export interface CheckOptions {
  readonly directory: string
  readonly isOnline: boolean
  readonly onProgress: OnProgress
  readonly slice?: RecordSlice
}

/** What a pass has brought to light. */
export interface Outcome {
  readonly findings: Findings
  readonly paths: PathFinder
  readonly totals: Totals
  /** The highest sequence number that a record has. */
  readonly highest: number
  /** SQLite's own structure is damaged: nothing can be mended in it. */
  readonly isDamaged: boolean
}

const TABLES = [
  "store",
  "state",
  "inode",
  "dentry",
  "symlink",
  "xattr",
  "inline",
  "extent",
  "segment",
  "shared",
  "tree",
  "key",
  "key_slot",
  "file_key",
  "snapshot",
  "snapshot_schedule",
]
const MOST_MESSAGES = 20

/**
 * Checks everything. Online, the tables are read in one snapshot, which is given back before the records are read: a
 * server can't shorten its WAL as long as somebody holds on to an old state.
 */
export function check(db: Database, options: CheckOptions): Outcome {
  const run = new Run(db, options, false)
  db.begin()
  try {
    run.guarded(() => run.structure())
    run.guarded(() => run.tables())
    if (options.isOnline) db.rollback()
    run.guarded(() => run.files())
    run.guarded(() => run.records())
  } finally {
    db.rollback()
  }
  return run.outcome
}

/** Checks and mends the tables, inside of the caller's transaction. `highest` is what the records say. */
export function mend(db: Database, options: CheckOptions, highest: number): Outcome {
  const run = new Run(db, options, true)
  run.tables()
  run.files()
  run.sequence(highest)
  // Repairs are not in the feed: its reader is to compare everything.
  db.execute("UPDATE state SET feed_epoch = 0")
  mendSums(db)
  return run.outcome
}

class Run {
  readonly #db: Database
  readonly #options: CheckOptions
  readonly #findings: Findings
  readonly #paths: Paths
  readonly #totals: Totals = {
    ...{ inodes: 0, names: 0, bytes: 0, extents: 0, records: 0, recordBytes: 0, segments: 0, orphans: 0 },
  }
  #pass: Pass | undefined
  #index: InodeIndex | undefined
  #sealed: EncryptedTrees | undefined
  #highest = 0
  #isDamaged = false
  /** Something could not be read to its end: what depends on it would be found missing. */
  #isOver = false

  constructor(db: Database, options: CheckOptions, isRepairing: boolean) {
    this.#db = db
    this.#options = options
    this.#paths = new Paths(
      db,
      () => this.#index,
      (parent) => this.#sealed?.has(parent) === true,
    )
    this.#findings = new Findings(this.#paths, isRepairing)
  }

  get outcome(): Outcome {
    return {
      findings: this.#findings,
      paths: this.#paths,
      totals: this.#totals,
      highest: this.#highest,
      isDamaged: this.#isDamaged,
    }
  }

  /** A database that can't be read is a finding, and the end of the check. */
  guarded(step: () => void): void {
    if (this.#isOver) return
    try {
      step()
    } catch (thrown) {
      if (thrown instanceof Fault && thrown.kind === "interrupted") throw thrown
      // In a damaged database values may have types that no table of ours has.
      const isDamage = (thrown instanceof Fault && thrown.kind === "corrupt") || this.#isDamaged
      if (!isDamage) throw thrown
      this.#damage(describe(thrown))
      this.#isOver = true
    }
  }

  #damage(message: string): void {
    this.#isDamaged = true
    // SQLite quotes what it has found, whatever bytes that are.
    this.#findings.add({ kind: "database", message: printable(Buffer.from(message)) })
  }

  /** SQLite's own check. Online the quick one, which leaves out the index: it is not to keep a snapshot for long. */
  structure(): void {
    const { isOnline, onProgress } = this.#options
    onProgress("database", 0, 0)
    const names = this.#db.query<[], [string]>("SELECT name FROM sqlite_master WHERE type = 'table'").all()
    const missing = TABLES.filter((table) => !names.some(([name]) => name === table))
    for (const table of missing) this.#damage(`meta.db has no table ${table}`)
    if (missing.length > 0) this.#isOver = true
    const pragma = `PRAGMA ${isOnline ? "quick_check" : "integrity_check"}(${MOST_MESSAGES})`
    for (const [message] of this.#db.query<[], [string]>(pragma).all())
      if (message !== "ok") this.#damage(`meta.db is damaged: ${message.replaceAll("\n", ", ")}`)
  }

  tables(): void {
    const identity = this.#identity()
    if (identity === undefined) return
    const { directory, isOnline, onProgress, slice } = this.#options
    const sealed = new EncryptedTrees(this.#db)
    this.#sealed = sealed
    const directories = checkDirectories(this.#db, this.#findings)
    const count = numberOf(this.#db, "SELECT count(*) FROM inode") ?? 0
    const steps = new Steps(onProgress, "index", count)
    const index = new InodeIndex(this.#db, () => steps.step())
    this.#index = index
    for (const ino of directories) index.type[index.find(ino)] = DT_DIR
    const pass: Pass = {
      ...{ directory, isOnline, onProgress, slice, db: this.#db, identity, index, paths: this.#paths },
      sealed,
      ...{ findings: this.#findings, totals: this.#totals, use: new Map() },
    }
    const wrong = findWrongSums(pass)
    if (wrong.some(({ what }) => what === "schema"))
      this.#damage("the tables of meta.db are not those that were made")
    checkNames(pass)
    checkTree(pass)
    checkInodes(pass)
    checkKeys(pass)
    checkBodies(pass)
    checkTrees(pass)
    checkSnapshots(pass)
    checkSegmentRows(pass)
    checkTotals(pass)
    reportWrongSums(pass, wrong)
    this.#pass = pass
  }

  /** Without it names can't be looked up and segments not be told from those of other stores. */
  #identity(): Identity | undefined {
    const row = this.#db
      .query<[], [Buffer, number, number]>("SELECT uuid, seed_a, seed_b FROM store WHERE id = 1")
      .get()
    if (row?.[0].length === 16) return { uuid: row[0], seedA: row[1], seedB: row[2] }
    this.#findings.add({
      kind: "state",
      message: "the row of table store is lost or damaged: nothing can be read",
    })
    return undefined
  }

  files(): void {
    if (this.#pass !== undefined) checkSegmentFiles(this.#pass)
  }

  records(): void {
    if (this.#pass === undefined) return
    this.sequence(checkRecords(this.#pass))
  }

  sequence(highest: number): void {
    this.#highest = highest
    if (this.#pass !== undefined) checkSequence(this.#pass, highest)
  }
}
