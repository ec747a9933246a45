/** Table `snapshot_schedule`: which directories are snapshotted by the clock. */
import type { Database, Query } from "./database.ts"

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

export class Schedules {
  readonly #all: Query<[], Row>
  readonly #put: Query<Row>
  readonly #delete: Query<[string]>

  constructor(db: Database) {
    this.#all = db.query("SELECT name, path, every, keep, next FROM snapshot_schedule ORDER BY name")
    this.#put = db.query(
      "INSERT OR REPLACE INTO snapshot_schedule (name, path, every, keep, next) VALUES (?, ?, ?, ?, ?)",
    )
    this.#delete = db.query("DELETE FROM snapshot_schedule WHERE name = ?")
  }

  all(): Schedule[] {
    return this.#all.all().map(([name, path, every, keep, next]) => ({ name, path, every, keep, next }))
  }

  put({ name, path, every, keep, next }: Schedule): void {
    this.#put.run(name, path, every, keep, next)
  }

  delete(name: string): void {
    this.#delete.run(name)
  }
}
