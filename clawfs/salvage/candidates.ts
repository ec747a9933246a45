/** The copies of a store's database that there may be: its own, those that migrations and repairs have left, a backup's. */
import { copyFileSync, existsSync, readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import type { Generation } from "../backup/place.ts"
import { describe } from "../core/fault.ts"
import { printable } from "../fsck/finding.ts"
import { Database } from "../store/database.ts"
import { migrate } from "../store/migrate.ts"
import { META } from "../store/store.ts"
import { isUnreadable } from "./tolerant.ts"

/** A copy of a copy, open; closed by whoever asked for it. */
export interface Candidate extends Disposable {
  /** Where it comes from. */
  readonly path: string
  readonly db: Database
  /** The store's own, which knows the latest. */
  readonly isOwn: boolean
  /** SQLite finds nothing wrong with it. */
  readonly isSound: boolean
  readonly uuid: Buffer | undefined
  /** Number of the newest record that it knows. */
  readonly sequence: number
  /** Inodes from this number on are younger. */
  readonly nextIno: number
}

const COPY = /^meta\.db\.(v\d+|fsck-\d+)$/

/** Paths of all candidates; the store's own first. */
export function candidatePaths(store: string, generation: Generation | undefined): string[] {
  const names = existsSync(store) ? readdirSync(store).filter((name) => COPY.test(name)) : []
  const copies = names.map((name) => join(store, name)).sort((a, b) => timeOf(b) - timeOf(a))
  const backup = generation === undefined ? [] : [join(generation.path, META)]
  return [join(store, META), ...backup, ...copies].filter((path) => existsSync(path))
}

function timeOf(path: string): number {
  return statSync(path).mtimeMs
}

/**
 * Opens a copy of the candidate in `scratch`, in the present format; a sentence why not if it is beyond reading. The
 * source is not touched: SQLite would fold its WAL back.
 */
export function openCandidate(path: string, scratch: string, own: string): Candidate | string {
  const copy = join(scratch, `candidate-${readdirSync(scratch).length}.db`)
  copyFileSync(path, copy)
  if (existsSync(`${path}-wal`)) copyFileSync(`${path}-wal`, `${copy}-wal`)
  let db: Database | undefined
  try {
    db = new Database(copy)
    migrate(db, { readOnly: false })
    return inspected(path, db, path === own)
  } catch (thrown) {
    db?.[Symbol.dispose]()
    if (!isUnreadable(thrown)) throw thrown
    return `${path} can't be read: ${printable(Buffer.from(describe(thrown)))}`
  }
}

function inspected(path: string, db: Database, isOwn: boolean): Candidate {
  const store = tried(() => db.query<[], [Buffer]>("SELECT uuid FROM store").get())
  const state = tried(() => db.query<[], [number, number]>("SELECT sequence, next_ino FROM state").get())
  const newest = tried(() => db.query<[], [number]>("SELECT max(sequence) FROM extent").get())
  const highest = tried(() => db.query<[], [number]>("SELECT max(ino) FROM inode").get())
  const check = tried(() => db.query<[], [string]>("PRAGMA integrity_check(1)").get())
  const uuid = Buffer.isBuffer(store?.[0]) && store[0].length === 16 ? store[0] : undefined
  const isSound = check?.[0] === "ok" && uuid !== undefined && state !== undefined
  return {
    ...{ path, db, isOwn, isSound, uuid },
    sequence: safe(state?.[0] ?? newest?.[0]),
    nextIno: safe(state?.[1]) || safe(highest?.[0]) + 1,
    [Symbol.dispose]: () => db[Symbol.dispose](),
  }
}

function safe(value: unknown): number {
  return Number.isSafeInteger(value) ? Number(value) : 0
}

function tried<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (thrown) {
    if (isUnreadable(thrown)) return undefined
    throw thrown
  }
}
