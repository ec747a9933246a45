/** Table `shared`: contents that more than one inode has. Changed rarely, so every change is written at once. */
import type { Database, Query } from "./database.ts"

export class SharedBodies {
  readonly #select: Query<[number], [number]>
  readonly #insert: Query<[number]>
  readonly #update: Query<[number, number]>
  readonly #delete: Query<[number]>

  constructor(db: Database) {
    this.#select = db.query("SELECT refs FROM shared WHERE body = ?")
    this.#insert = db.query(
      "INSERT INTO shared (body, refs) VALUES (?, 2) ON CONFLICT (body) DO UPDATE SET refs = refs + 1",
    )
    this.#update = db.query("UPDATE shared SET refs = ? WHERE body = ?")
    this.#delete = db.query("DELETE FROM shared WHERE body = ?")
  }

  /** Whether inodes other than the one that asks have `body` too. */
  has(body: number): boolean {
    return this.#select.get(body) !== undefined
  }

  /** One inode more has `body`. */
  acquire(body: number): void {
    this.#insert.run(body)
  }

  /** One inode less has `body`. False when it was the only one: its contents go. */
  release(body: number): boolean {
    const refs = this.#select.get(body)?.[0]
    if (refs === undefined) return false
    if (refs > 2) this.#update.run(refs - 1, body)
    else this.#delete.run(body)
    return true
  }
}
