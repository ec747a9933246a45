/** Reads what can still be read of a table whose database is damaged: what no page leads to any more is skipped. */
import { Fault } from "../core/fault.ts"
import type { Database, Value } from "../store/database.ts"

/** Rows in one query as long as nothing is wrong. */
const PAGE = 1000
/** Keys are below 2^53. */
const LAST_KEY = Number.MAX_SAFE_INTEGER

export interface TableShape {
  readonly name: string
  readonly columns: readonly string[]
  /** How many of the columns, from the first one on, are the primary key; numbers but for a last one, if any, of `xattr`. */
  readonly keys: 1 | 2
}

export interface Reading {
  /** Something could not be read, or was not of the type that it must have. */
  isDamaged: boolean
}

/** Rows in the order of their keys. `reading` tells in the end whether that was all. */
export function* readableRows(db: Database, table: TableShape, reading: Reading): Generator<Value[]> {
  const reader = new Reader(db, table)
  let after: Value[] | undefined = table.keys === 1 ? [-LAST_KEY] : [-LAST_KEY, -LAST_KEY]
  let limit = PAGE
  while (after !== undefined) {
    const rows = reader.rows(after, limit)
    if (rows === undefined) {
      reading.isDamaged = true
      if (limit > 1) limit = Math.floor(limit / 10)
      else after = reader.behindDamage(after)
      continue
    }
    yield* rows
    if (rows.length < limit) return
    after = rows.at(-1)?.slice(0, table.keys)
    limit = Math.min(PAGE, limit * 10)
  }
}

class Reader {
  readonly #db: Database
  readonly #sql: string
  readonly #keys: 1 | 2

  constructor(db: Database, { name, columns, keys }: TableShape) {
    const [first = "", second = ""] = columns
    const key = keys === 1 ? first : `(${first}, ${second})`
    const order = keys === 1 ? first : `${first}, ${second}`
    this.#db = db
    this.#keys = keys
    this.#sql = `SELECT ${columns.join(", ")} FROM ${name} WHERE ${key} > ${keys === 1 ? "?" : "(?, ?)"}
      ORDER BY ${order} LIMIT ?`
  }

  /** Undefined when SQLite meets something that it can't read. */
  rows(after: readonly Value[], limit: number): Value[][] | undefined {
    try {
      return this.#db.query<Value[], Value[]>(this.#sql).all(...after, limit)
    } catch (thrown) {
      if (isUnreadable(thrown)) return undefined
      throw thrown
    }
  }

  /** The first key from which on reading goes on; undefined when there is none. */
  behindDamage(after: readonly Value[]): Value[] | undefined {
    const [first, second] = after
    if (this.#keys === 2 && typeof second === "number" && typeof first === "number") {
      const next = this.#search(second, (key) => [first, key])
      if (next !== undefined) return next
    }
    if (typeof first !== "number") return undefined
    return this.#search(first, (key) => (this.#keys === 1 ? [key] : [key, LAST_KEY]))
  }

  /** Steps of growing length until something can be read, then back to where that begins. */
  #search(from: number, keyAt: (key: number) => Value[]): Value[] | undefined {
    const start = Math.max(from, 0)
    let [bad, good] = [start, start + 1]
    for (; !this.#canRead(keyAt(good)); good = start + (good - start) * 2) {
      if (good >= LAST_KEY / 2) return undefined
      bad = good
    }
    while (good - bad > 1) {
      const middle = Math.floor((good + bad) / 2)
      if (this.#canRead(keyAt(middle))) good = middle
      else bad = middle
    }
    return keyAt(good)
  }

  #canRead(key: readonly Value[]): boolean {
    return this.rows(key, 1) !== undefined
  }
}

/** Also a table that is gone. */
export function isUnreadable(thrown: unknown): boolean {
  return thrown instanceof Fault && ["corrupt", "io", "bug"].includes(thrown.kind)
}
