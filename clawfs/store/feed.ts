/**
 * Table `feed`: what has changed, in the order of the commits that changed it, for the search index, which reads it from
 * a process of its own. It is written in the transaction that makes the changes: one for each file whose contents or
 * attributes changed and one for each name that came or went. They share a row by commit, as a row for each would cost a
 * tenth of making a file (measured: 5 of 50 us). What was read is taken out.
 *
 * It is complete within an epoch. A new one begins where commits may have been lost after somebody read them (a power cut
 * takes the end of the WAL), or where nobody read for so long that the rows were given up: then the reader compares
 * everything.
 *
 * Rows have no checksums: nothing but the index is made of them. What is damaged is left out.
 */
import { randomInt } from "node:crypto"
import type { Counters } from "./counters.ts"
import type { Database, Query, Value } from "./database.ts"

/** Nobody reads: from so many changes on, starting again costs the reader less than they cost the store. */
const MOST_CHANGES = 1_000_000
/** Rows taken out at once: some 3 ms. */
const SLICE = 512
const EPOCHS = 2 ** 47
const NUMBER = 8
const CHANGE = 3 * NUMBER

export interface Change {
  readonly ino: number
  /** Where a name came or went; 0: the contents or attributes changed. */
  readonly parent: number
  readonly cookie: number
}

/** What one commit changed. */
export interface Commit {
  /** Number of the last of its changes. */
  readonly seq: number
  readonly changes: readonly Change[]
}

export class Feed {
  readonly #counters: Counters
  /** Of the present transaction: ino, parent and cookie of each. */
  #noted: number[] = []
  readonly #insert: Query<[number, Buffer]>
  readonly #first: Query<[], [number | null]>
  readonly #position: Query<[], [number, number]>
  readonly #read: Query<[number, number, number], [number, Value]>
  readonly #drop: Query<[number, number]>
  readonly #clear: Query<[]>

  constructor(db: Database, counters: Counters) {
    this.#counters = counters
    // A row that has this number by damage must not keep anything from being committed.
    this.#insert = db.query("INSERT OR REPLACE INTO feed (seq, changes) VALUES (?, ?)")
    this.#first = db.query("SELECT min(seq) FROM feed")
    this.#position = db.query("SELECT feed_epoch, feed_last FROM state WHERE id = 1")
    this.#read = db.query("SELECT seq, changes FROM feed WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?")
    this.#drop = db.query(
      "DELETE FROM feed WHERE seq IN (SELECT seq FROM feed WHERE seq <= ? ORDER BY seq LIMIT ?)",
    )
    this.#clear = db.query("DELETE FROM feed")
  }

  /**
   * The name at `cookie` in `parent` came, went, or points to `ino` now; without them: something else of a directory that
   * concerns what is below it.
   */
  note(ino: number, parent = 0, cookie = 0): void {
    this.#noted.push(ino, parent, cookie)
  }

  /** Part of every commit: `changed` are the files whose contents or attributes changed. */
  flush(changed: Iterable<number>): void {
    const noted = this.#noted
    const named = new Set<number>()
    for (let i = 0; i < noted.length; i += 3) named.add(noted[i] ?? 0)
    for (const ino of changed) if (!named.has(ino)) noted.push(ino, 0, 0)
    if (noted.length === 0) return
    const changes = Buffer.alloc(noted.length * NUMBER)
    noted.forEach((number, i) => changes.writeDoubleLE(number, i * NUMBER))
    this.#counters.feedLast += noted.length / 3
    this.#insert.run(this.#counters.feedLast, changes)
    this.#noted = []
  }

  /** After a rollback. */
  clear(): void {
    this.#noted = []
  }

  /** The epoch and the last change as they are in the database now: a cheap look, for whoever waits for changes. */
  get position(): { readonly epoch: number; readonly last: number } {
    const [epoch = 0, last = 0] = this.#position.get() ?? []
    return { epoch, last }
  }

  /** Up to `limit` commits behind the change `seq`, in order. */
  behind(seq: number, limit: number): Commit[] {
    const rows = this.#read.all(seq, this.#counters.feedLast, limit)
    return rows.map(([at, changes]) => ({ seq: at, changes: unpacked(changes) }))
  }

  /**
   * Takes out what the reader is done with, up to change `seq`, some rows at a time; true when there may be more. Within
   * a transaction.
   */
  trim(seq: number): boolean {
    return this.#drop.run(seq, SLICE) === SLICE
  }

  /** Nobody has read for too long. */
  get isTooLong(): boolean {
    const first = this.#first.get()?.[0] ?? undefined
    return first !== undefined && this.#counters.feedLast - first > MOST_CHANGES
  }

  /** Begins a new epoch; within a transaction. */
  renew(): void {
    this.#clear.run()
    this.#counters.feedEpoch = randomInt(1, EPOCHS)
  }
}

/** Whatever the row holds: changes that are possible. */
function unpacked(value: Value): Change[] {
  if (!Buffer.isBuffer(value)) return []
  const changes: Change[] = []
  for (let at = 0; at + CHANGE <= value.length; at += CHANGE) {
    const numbers = [0, NUMBER, 2 * NUMBER].map((offset) => value.readDoubleLE(at + offset))
    const [ino = 0, parent = 0, cookie = 0] = numbers
    const isPossible = numbers.every((number) => Number.isSafeInteger(number) && number >= 0) && ino > 0
    if (isPossible) changes.push({ ino, parent, cookie })
  }
  return changes
}
