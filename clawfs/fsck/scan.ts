/** Tables read in the order of their keys, a page at a time: memory stays bounded, and rows may be mended meanwhile. */
import { Fault } from "../core/fault.ts"
import type { Database, Value } from "../store/database.ts"

/** Rows in one query. */
export const PAGE = 2000

/** Inode numbers from here on are those of virtual files; keys below are exact as JavaScript numbers. */
export const INO_LIMIT = 2 ** 52
export const SAFE_LIMIT = 2 ** 53

/**
 * All rows of a query, which takes the key of the last row (so many leading columns as `first` has) and returns the
 * next `PAGE` ones.
 */
export function* rowsOf<R extends Value[]>(db: Database, sql: string, first: Value[]): Generator<R> {
  const query = db.query<Value[], R>(sql)
  let after = first
  for (;;) {
    const rows = query.all(...after)
    yield* rows
    const last = rows.at(-1)
    if (last === undefined || rows.length < PAGE) return
    after = last.slice(0, first.length)
  }
}

/** Changes rows; for repairs, which are few. */
export function change(db: Database, sql: string, ...values: Value[]): void {
  // Such a number, read out of a damaged row, is not the one that stands there.
  if (values.some((value) => typeof value === "number" && !Number.isSafeInteger(value)))
    throw new Fault("invalid", "a number that is out of range")
  db.query<Value[]>(sql).run(...values)
}

export function numberOf(db: Database, sql: string, ...values: Value[]): number | undefined {
  return db.query<Value[], [number | null]>(sql).get(...values)?.[0] ?? undefined
}

/** Rows of a table that hang on inodes, taken inode by inode, in step with a scan of table `inode`. */
export class Companion<R extends [number, ...Value[]]> {
  readonly #rows: Generator<R>
  readonly #onStray: (ino: number) => void
  #next: R | undefined
  #stray = 0

  /** `onStray` hears once of each inode that rows belong to and that the scan does not have. */
  constructor(rows: Generator<R>, onStray: (ino: number) => void) {
    this.#rows = rows
    this.#onStray = onStray
    this.#advance()
  }

  #advance(): void {
    const next = this.#rows.next()
    this.#next = next.done === true ? undefined : next.value
  }

  /** The rows of `ino`; those of lower numbers belong to no inode. To be used up before the next call. */
  *of(ino: number): Generator<R> {
    this.#skipTo(ino)
    while (this.#next?.[0] === ino) {
      yield this.#next
      this.#advance()
    }
  }

  /** The scan is over. */
  finish(): void {
    this.#skipTo(Infinity)
  }

  #skipTo(ino: number): void {
    while (this.#next !== undefined && this.#next[0] < ino) {
      const stray = this.#next[0]
      if (stray !== this.#stray) this.#onStray(stray)
      this.#stray = stray
      this.#advance()
    }
  }
}
