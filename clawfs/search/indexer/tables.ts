/**
 * What the indexer keeps of its own in `index.db`: files that are to be looked at (`pending`) and how a file was when it
 * was read (`seen`). Both change in the transaction that they belong to, so a killed indexer goes on where it was.
 */
import type { Inode } from "../../store/inode.ts"
import type { Database, Query } from "../../store/database.ts"

const SQL = `
CREATE TABLE IF NOT EXISTS pending (
  ino     INTEGER PRIMARY KEY,
  seq     INTEGER NOT NULL, -- the first change that it waits for
  changed INTEGER NOT NULL, -- 1: its contents may have changed
  first   INTEGER NOT NULL, -- when that was heard of, and when it was heard of last, milliseconds since 1970
  last    INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS pending_seq ON pending (seq);
CREATE TABLE IF NOT EXISTS seen (
  ino         INTEGER PRIMARY KEY,
  size        INTEGER NOT NULL,
  ctime       INTEGER NOT NULL,
  ctime_nanos INTEGER NOT NULL,
  read        INTEGER NOT NULL -- when, milliseconds since 1970
) STRICT;
`

/** File times come from a clock that ticks every 1 to 10 ms: a file that was read so soon may have changed without a sign. */
const CLOCK_TICK_MS = 100

export interface PendingFile {
  readonly ino: number
  readonly seq: number
  readonly mayHaveChanged: boolean
  readonly last: number
}

type PendingRow = [number, number, number, number]

export class Pending {
  readonly #put: Query<[number, number, number, number, number]>
  readonly #due: Query<[number, number, number, number], PendingRow>
  readonly #remove: Query<[number, number]>
  readonly #first: Query<[], [number | null]>
  readonly #oldest: Query<[], [number | null]>
  readonly #next: Query<[number, number], [number | null]>
  readonly #count: Query<[], [number]>
  readonly #clear: Query<[]>

  constructor(db: Database) {
    db.execute(SQL)
    this.#put = db.query(
      `INSERT INTO pending (ino, seq, changed, first, last) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (ino) DO UPDATE SET changed = max(changed, excluded.changed), last = excluded.last`,
    )
    this.#due = db.query(
      `SELECT ino, seq, changed, last FROM pending WHERE last <= ? OR first <= ? OR seq <= ? ORDER BY seq LIMIT ?`,
    )
    this.#remove = db.query("DELETE FROM pending WHERE ino = ? AND last = ?")
    this.#first = db.query("SELECT min(seq) FROM pending")
    this.#oldest = db.query("SELECT min(first) FROM pending")
    this.#next = db.query("SELECT min(min(last + ?, first + ?)) FROM pending")
    this.#count = db.query("SELECT count(*) FROM pending")
    this.#clear = db.query("DELETE FROM pending")
  }

  put(ino: number, seq: number, mayHaveChanged: boolean, nowMs: number): void {
    this.#put.run(ino, seq, mayHaveChanged ? 1 : 0, nowMs, nowMs)
  }

  /** Up to `limit` files that nobody wrote to for `quietMs`, or that have waited for `longestMs`, or for a change up to `upTo`. */
  due(
    { nowMs, quietMs, longestMs, upTo }: { nowMs: number; quietMs: number; longestMs: number; upTo: number },
    limit: number,
  ): PendingFile[] {
    return this.#due
      .all(nowMs - quietMs, nowMs - longestMs, upTo, limit)
      .map(([ino, seq, changed, last]) => ({ ino, seq, mayHaveChanged: changed === 1, last }))
  }

  /** It was looked at; not if something was heard of it since. */
  remove({ ino, last }: PendingFile): void {
    this.#remove.run(ino, last)
  }

  /** The first change that something waits for; undefined: nothing waits. */
  get first(): number | undefined {
    return this.#first.get()?.[0] ?? undefined
  }

  /** Since when the file waits that has waited longest, milliseconds since 1970. */
  get oldestMs(): number | undefined {
    return this.#oldest.get()?.[0] ?? undefined
  }

  /** When the next file is due, milliseconds since 1970; undefined: nothing waits. */
  nextMs(quietMs: number, longestMs: number): number | undefined {
    return this.#next.get(quietMs, longestMs)?.[0] ?? undefined
  }

  get count(): number {
    return this.#count.get()?.[0] ?? 0
  }

  clear(): void {
    this.#clear.run()
  }
}

export class Seen {
  readonly #select: Query<[number], [number, number, number, number]>
  readonly #put: Query<[number, number, number, number, number]>
  readonly #remove: Query<[number]>

  /** The tables are made by `Pending`. */
  constructor(db: Database) {
    this.#select = db.query("SELECT size, ctime, ctime_nanos, read FROM seen WHERE ino = ?")
    this.#put = db.query(
      "INSERT OR REPLACE INTO seen (ino, size, ctime, ctime_nanos, read) VALUES (?, ?, ?, ?, ?)",
    )
    this.#remove = db.query("DELETE FROM seen WHERE ino = ?")
  }

  /** Whether the file is for certain as it was when it was read. */
  isSame(inode: Inode): boolean {
    const row = this.#select.get(inode.ino)
    if (row === undefined) return false
    const [size, ctime, nanos, readMs] = row
    const isRacy = readMs < ctime * 1000 + nanos / 1e6 + CLOCK_TICK_MS
    return size === inode.size && ctime === inode.ctime && nanos === inode.ctimeNanos && !isRacy
  }

  put({ ino, size, ctime, ctimeNanos }: Inode, readMs: number): void {
    this.#put.run(ino, size, ctime, ctimeNanos, readMs)
  }

  remove(ino: number): void {
    this.#remove.run(ino)
  }
}
