/**
 * Table `snapshot_schedule`: which directories are snapshotted by the clock. All rows, which are few, must add up to
 * `state.schedule_sum`.
 */
import { damagedRow, moved, sumOf, sumOfText } from "./checksum.ts"
import type { Counters } from "./counters.ts"
import type { Database, Query, Value } from "./database.ts"

export interface Schedule {
  readonly name: string
  /** From the root of the filesystem. */
  readonly path: Buffer
  /** Seconds between two snapshots. */
  readonly every: number
  /** How many are kept. */
  readonly keep: number
  /** When the next one is due, seconds since 1970. */
  readonly next: number
}

type Row = [string, Buffer, number, number, number]

export const SCHEDULE_COLUMNS = "name, path, every, keep, next"

export class Schedules {
  readonly #counters: Counters
  readonly #all: Query<[], Row>
  readonly #put: Query<Row>
  readonly #delete: Query<[string]>

  constructor(db: Database, counters: Counters) {
    this.#counters = counters
    this.#all = db.query(`SELECT ${SCHEDULE_COLUMNS} FROM snapshot_schedule ORDER BY name`)
    this.#put = db.query(`INSERT INTO snapshot_schedule (${SCHEDULE_COLUMNS}) VALUES (?, ?, ?, ?, ?)`)
    this.#delete = db.query("DELETE FROM snapshot_schedule WHERE name = ?")
  }

  /** By name. Throws `Fault("corrupt")`, as the others do, when one is lost or not as it was written. */
  all(): Schedule[] {
    return this.#rows().map(([name, path, every, keep, next]) => ({ name, path, every, keep, next }))
  }

  put({ name, path, every, keep, next }: Schedule): void {
    this.delete(name)
    const row: Row = [name, path, every, keep, next]
    this.#put.run(...row)
    this.#count(sumOfSchedule(row), 0)
  }

  delete(name: string): void {
    const row = this.#rows().find(([each]) => each === name)
    if (row === undefined) return
    this.#delete.run(name)
    this.#count(0, sumOfSchedule(row))
  }

  #rows(): Row[] {
    const rows = this.#all.all()
    const sum = rows.reduce((so, row) => moved(so, sumOfSchedule(row), 0), 0)
    if (sum !== this.#counters.scheduleSum) throw damagedRow("the table of schedules")
    return rows
  }

  #count(added: number, removed: number): void {
    this.#counters.scheduleSum = moved(this.#counters.scheduleSum, added, removed)
  }
}

/** What a row adds to the sum of the table. */
export function sumOfSchedule([name, ...row]: readonly Value[]): number {
  return sumOf(sumOfText(name), row)
}
