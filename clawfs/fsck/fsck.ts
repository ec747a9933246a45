/**
 * Checks a store against the rules of docs/FORMAT.md, and mends what can be mended without losing anything: counts and
 * sums, rows that belong to nothing, names without an inode, inodes without a name. What a damaged record held stays
 * damaged, and is told by file and byte range.
 */
import { closeSync, existsSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Fault } from "../core/fault.ts"
import { Database } from "../store/database.ts"
import { lockStore } from "../store/lock.ts"
import { requireStoreDatabase, requireWritableFormat } from "../store/recognise.ts"
import { recoverFromPowerCut } from "../store/recovery.ts"
import { syncDirectory } from "../store/segment-files.ts"
import { removeEmptySqliteFiles, sqliteFilesOf } from "../store/sqlite-files.ts"
import { META, STORE_VERSION } from "../store/store.ts"
import { check, mend, type CheckOptions, type Outcome } from "./check.ts"
import { printable, type Counts, type Finding } from "./finding.ts"
import { journalState, mendJournal } from "./journal.ts"
import type { OnProgress, Totals } from "./pass.ts"
import { unreadable } from "./unreadable.ts"
import { uncleanState, type Unclean } from "./unclean.ts"

export interface FsckOptions {
  readonly directory: string
  /** A server has the store: it is checked as of one commit, and never changed. */
  readonly isOnline: boolean
  /** Mends what can be mended, after a copy of `meta.db`. */
  readonly repair: boolean
  /** With `repair`: gives up answered requests that wait for the key of an encrypted tree, and those after them. */
  readonly dropsSealed?: boolean
  readonly onProgress?: OnProgress
}

export interface FsckResult {
  readonly findings: readonly Finding[]
  /** All findings, those included that there was no room for in the list. */
  readonly counts: Counts
  readonly omitted: number
  readonly totals: Totals
  /** How the store was left, a sentence each. */
  readonly remarks: readonly string[]
  /** The copy of `meta.db` from before the repair. */
  readonly backup?: string
}

const RESTORE = "restore the store from a backup"
/** So many are listed of what can't be read in a damaged database. */
const MOST_FINDINGS = 10_000
/** A repair may bring more to light: so many passes at most. */
const MOST_PASSES = 8

/**
 * Checks the store, with its lock held unless a server has it. Throws a `Fault` for what is no store of this version, is
 * in use, or can't be mended now; what is wrong inside of the store is a finding.
 */
export function fsck(options: FsckOptions): FsckResult {
  const lock = options.isOnline ? undefined : lockStore(options.directory, "clawfs fsck")
  const meta = join(options.directory, META)
  const before = sqliteFilesOf(meta)
  try {
    return options.repair ? repaired(options) : checked(options)
  } catch (thrown) {
    if (!(thrown instanceof Fault && thrown.kind === "corrupt")) throw thrown
    // SQLite quotes what it has found, whatever bytes that are.
    throw new Fault("corrupt", printable(Buffer.from(thrown.message)), { cause: thrown, hint: RESTORE })
  } finally {
    if (lock !== undefined) {
      removeEmptySqliteFiles(meta, before)
      closeSync(lock)
    }
  }
}

function checked(options: FsckOptions): FsckResult {
  const { outcome, unclean } = look(options)
  const result = resultOf([outcome], unclean.remarks)
  return outcome.isDamaged ? withUnreadable(options, result) : result
}

/** Of a database that is damaged as a whole: the files that are hit, where nothing names them already. */
function withUnreadable(options: FsckOptions, result: FsckResult): FsckResult {
  using db = new Database(join(options.directory, META), { readonly: true })
  const named = new Set(result.findings.map(({ path }) => path))
  const findings = [...result.findings]
  let hits = 0
  for (const finding of unreadable(db, checkOptions(options))) {
    if (named.has(finding.path)) continue
    hits += 1
    if (findings.length < MOST_FINDINGS) findings.push(finding)
  }
  const counts = { ...result.counts, errors: result.counts.errors + hits }
  const listed = findings.length - result.findings.length
  return { ...result, findings, counts, omitted: result.omitted + hits - listed }
}

function look(options: FsckOptions): { outcome: Outcome; unclean: Unclean } {
  const path = join(options.directory, META)
  if (!options.isOnline) requireWritableFormat(path)
  using db = new Database(path, { readonly: true })
  requireVersion(db)
  const outcome = check(db, checkOptions(options))
  const none = { requests: 0, needsKey: false, isPowerCut: false, remarks: [] }
  if (options.isOnline) return { outcome, unclean: none }
  const journal = journalState(options.directory, db)
  const { problem } = journal
  if (problem !== undefined)
    outcome.findings.add({ kind: "journal", message: problem, repairFile: () => undefined })
  return { outcome, unclean: outcome.isDamaged ? none : uncleanState(options.directory, journal) }
}

function checkOptions({ directory, isOnline, onProgress }: FsckOptions): CheckOptions {
  return { directory, isOnline, onProgress: onProgress ?? ((): void => undefined) }
}

function repaired(options: FsckOptions): FsckResult {
  const { directory } = options
  // First: whether the machine went down stands in the journal.
  const remarks = mendedJournal(directory)
  if (options.dropsSealed === true) remarks.push(...withoutSealed(directory))
  const recovery = recoverFromPowerCut(directory)
  if (recovery !== undefined && recovery.undone > 0)
    remarks.push(
      `the machine went down while the store was mounted: ${recovery.undone} commits were not whole and are undone`,
    )
  const { outcome, unclean } = look(options)
  requireNoRequests(directory, unclean)
  const { findings } = outcome
  if (outcome.isDamaged) {
    remarks.push(`the database itself is damaged: nothing was repaired, ${RESTORE}`)
    return withUnreadable(options, resultOf([outcome], remarks))
  }
  if (findings.repairable === 0 && !findings.hasFileRepairs) return resultOf([outcome], remarks)
  const { passes, backup } = mendDatabase(options, outcome)
  const all = [...passes, outcome]
  passes.at(-1)?.findings.repairFiles("error")
  findings.repairFiles("error")
  // As long as something is wrong, what nothing points to may be what something should point to.
  if (resultOf(all, remarks).counts.errors === 0) passes.at(-1)?.findings.repairFiles("note")
  return { ...resultOf(all, remarks), backup }
}

/** Mends the journal if it is damaged; returns what is to be said of it. */
function mendedJournal(directory: string): string[] {
  using db = new Database(join(directory, META), { readonly: true })
  requireVersion(db)
  const { problem } = journalState(directory, db)
  if (problem === undefined) return []
  const copy = mendJournal(directory, db)
  return [`${problem}: what can't be executed is dropped, the journal as it was is in ${copy}`]
}

/** Gives up what can't be executed for want of a key; returns what is to be said of it. */
function withoutSealed(directory: string): string[] {
  using db = new Database(join(directory, META), { readonly: true })
  const { requests, unsealed } = journalState(directory, db)
  if (unsealed === requests) return []
  const copy = mendJournal(directory, db, unsealed)
  return [`${requests - unsealed} answered requests are given up, the journal as it was is in ${copy}`]
}

/** They would be executed on a tree that they don't know, and inode numbers would not be what was answered. */
function requireNoRequests(directory: string, { requests, needsKey }: Unclean): void {
  if (requests === 0) return
  if (needsKey)
    throw new Fault(
      "busy",
      `${requests} answered requests wait in the journal of ${directory} for the key of an encrypted tree`,
      {
        hint: "clawfs mount --key-file, --passphrase-file or --vault executes them; where the key is lost, --drop-sealed gives them up",
      },
    )
  throw new Fault("busy", `${requests} answered requests wait in the journal of ${directory}`, {
    hint: "mount and unmount it once, that executes them; then repair it",
  })
}

/** All repairs are one transaction. The last pass has nothing to mend any more. */
function mendDatabase(
  options: FsckOptions,
  { highest, findings }: Outcome,
): { passes: Outcome[]; backup: string } {
  using db = new Database(join(options.directory, META))
  const backup = copyDatabase(db)
  const passes: Outcome[] = []
  db.begin()
  try {
    do passes.push(mend(db, checkOptions(options), highest))
    while (passes.length < MOST_PASSES && (passes.at(-1)?.findings.repairs ?? 0) > 0)
    const last = passes.at(-1)
    if (last !== undefined) findings.resolveAgain(last.paths)
    db.commit()
  } catch (thrown) {
    db.rollback()
    throw thrown
  }
  db.checkpoint("TRUNCATE")
  return { passes, backup }
}

/** `meta.db.fsck-1`, `meta.db.fsck-2` …: a whole copy, which gets its name when it is complete. */
function copyDatabase(db: Database): string {
  let n = 1
  while (existsSync(`${db.path}.fsck-${n}`)) n += 1
  const path = `${db.path}.fsck-${n}`
  rmSync(`${path}.new`, { force: true })
  db.copyTo(`${path}.new`)
  renameSync(`${path}.new`, path)
  syncDirectory(join(path, ".."))
  return path
}

/**
 * Of a check alone: what it found. Of a repair: what its first pass mended, what its last pass still found, and the
 * contents that can't be read, as the check before found them.
 */
function resultOf(outcomes: readonly Outcome[], remarks: readonly string[]): FsckResult {
  const [first] = outcomes
  const dry = outcomes.at(-1)
  if (first === undefined || dry === undefined) throw new Fault("bug", "BUG: no pass has run")
  const all = dry.findings.list
  const parts = [all]
  const omitted = [dry.findings.omitted]
  const last = outcomes.at(-2)
  if (last !== undefined) {
    parts.splice(
      0,
      1,
      first.findings.list.filter(({ repaired }) => repaired),
    )
    parts.push(last.findings.list.filter(({ repaired }) => last !== first || !repaired))
    parts.push(all.filter(({ kind }) => kind === "contents"))
    omitted.splice(
      0,
      1,
      { ...first.findings.omitted, errors: 0, notes: 0 },
      { ...last.findings.omitted, repaired: 0 },
    )
  }
  const findings = parts.flat()
  const counts = omitted.reduce(sum, countsOf(findings))
  const { totals } = last ?? dry
  return {
    findings,
    counts,
    omitted: counts.errors + counts.notes + counts.repaired - findings.length,
    totals: { ...totals, records: dry.totals.records, recordBytes: dry.totals.recordBytes },
    remarks,
  }
}

function countsOf(findings: readonly Finding[]): Counts {
  const open = findings.filter(({ repaired }) => !repaired)
  const errors = open.filter(({ severity }) => severity === "error").length
  return { errors, notes: open.length - errors, repaired: findings.length - open.length }
}

function sum(a: Counts, b: Counts): Counts {
  return { errors: a.errors + b.errors, notes: a.notes + b.notes, repaired: a.repaired + b.repaired }
}

/** Throws "unsupported" for a database of another version than this program's, "invalid" for one that is no store's. */
export function requireVersion(db: Database): void {
  requireStoreDatabase(db)
  const version = Number(db.pragma("user_version"))
  const { schema } = STORE_VERSION
  if (version === schema) return
  const isNewer = version > schema
  throw new Fault("unsupported", `the store has format ${version}, this clawfs works with format ${schema}`, {
    hint: isNewer ? "install a newer clawfs" : "mount it once: that brings it to the present format",
  })
}
