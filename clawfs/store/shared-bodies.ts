/**
 * Table `shared`: contents that more than one inode has. Changed rarely, so every change is written at once. A row that is
 * lost would let somebody write into what others have, or take it away: `state.shared_sum` tells whether all are there.
 */
import { damagedRow, moved, sumOfSharing } from "./checksum.ts"
import type { Counters } from "./counters.ts"
import type { Database, Query } from "./database.ts"

/** Rows that are read at once to see whether they are all there. */
const PAGE = 10_000
/** More inodes than any store has. */
const REFS_LIMIT = 2 ** 31

export class SharedBodies {
  readonly #counters: Counters
  /** All rows were there. */
  #isWhole = false
  readonly #select: Query<[number], [number]>
  readonly #list: Query<[number, number], [body: number, refs: number]>
  readonly #insert: Query<[number]>
  readonly #update: Query<[number, number]>
  readonly #delete: Query<[number]>

  constructor(db: Database, counters: Counters) {
    this.#counters = counters
    this.#select = db.query("SELECT refs FROM shared WHERE body = ?")
    this.#list = db.query("SELECT body, refs FROM shared WHERE body > ? ORDER BY body LIMIT ?")
    this.#insert = db.query(
      "INSERT INTO shared (body, refs) VALUES (?, 2) ON CONFLICT (body) DO UPDATE SET refs = refs + 1",
    )
    this.#update = db.query("UPDATE shared SET refs = ? WHERE body = ?")
    this.#delete = db.query("DELETE FROM shared WHERE body = ?")
  }

  /** Whether inodes other than the one that asks have `body` too. Throws `Fault("corrupt")` when that can't be told. */
  has(body: number): boolean {
    return this.#refs(body) !== undefined
  }

  /** One inode more has `body`. */
  acquire(body: number): void {
    this.#insert.run(body)
    this.#count(sumOfSharing(body), 0)
  }

  /** One inode less has `body`. False when it was the only one: its contents go. Throws `Fault("corrupt")`. */
  release(body: number): boolean {
    const refs = this.#refs(body)
    if (refs === undefined) return false
    if (refs > 2) this.#update.run(refs - 1, body)
    else this.#delete.run(body)
    this.#count(0, sumOfSharing(body))
    return true
  }

  #refs(body: number): number | undefined {
    if (!this.#isWhole) this.#requireWhole()
    return this.#select.get(body)?.[0]
  }

  /** Reads the table once, less than 1 us a row; afterwards the sum is kept up with every change. */
  #requireWhole(): void {
    let sum = 0
    for (let after = -1; ;) {
      const rows = this.#list.all(after, PAGE)
      for (const row of rows) {
        // An inner page may lead a search astray, and not the walk from leaf to leaf.
        if (this.#select.get(row[0]) === undefined) throw damagedRow("the table of shared contents")
        sum = moved(sum, sumOfShared(...row), 0)
      }
      after = rows.at(-1)?.[0] ?? 0
      if (rows.length < PAGE) break
    }
    if (sum !== this.#counters.sharedSum) throw damagedRow("the table of shared contents")
    this.#isWhole = true
  }

  #count(added: number, removed: number): void {
    this.#counters.sharedSum = moved(this.#counters.sharedSum, added, removed)
  }
}

/** What a row adds to the sum of the table: whatever number can't be one of inodes adds nothing, as if there were no row. */
export function sumOfShared(body: number, refs: number): number {
  const isCount = Number.isSafeInteger(refs) && refs > 1 && refs < REFS_LIMIT
  return isCount ? Math.imul(sumOfSharing(body), refs - 1) : 0
}
