/**
 * Table `snapshot`: what copies there are below `/.snapshots`, and of what. There are not many and they are rarely asked
 * for: whoever looks reads all, which must add up to `state.snapshot_sum`.
 */
import { damagedRow, moved, sumOf, sumOfText } from "./checksum.ts"
import type { Counters } from "./counters.ts"
import type { Database, Query, Value } from "./database.ts"

export interface Snapshot {
  /** Inode of the copy's top directory. */
  readonly root: number
  readonly name: string
  /** Inode of the directory that was copied, and its path then, from the root of the filesystem. */
  readonly source: number
  readonly path: Buffer
  /** Seconds since 1970. */
  readonly created: number
  /** What the top directory's owner and permissions were: those of the copy may be narrower. */
  readonly uid: number
  readonly mode: number
  readonly inodes: number
  /** Sum of `alloc`: what it refers to, not what it takes. */
  readonly bytes: number
}

type Row = [number, string, number, Buffer, number, number, number, number, number]

export const SNAPSHOT_COLUMNS = "root, name, source, path, created, uid, mode, inodes, bytes"

export class Snapshots {
  readonly #counters: Counters
  readonly #all: Query<[], Row>
  readonly #insert: Query<Row>
  readonly #delete: Query<[number]>

  constructor(db: Database, counters: Counters) {
    this.#counters = counters
    this.#all = db.query(`SELECT ${SNAPSHOT_COLUMNS} FROM snapshot ORDER BY created, root`)
    this.#insert = db.query(`INSERT INTO snapshot (${SNAPSHOT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#delete = db.query("DELETE FROM snapshot WHERE root = ?")
  }

  /** Oldest first. Throws `Fault("corrupt")`, as the others do, when one is lost or not as it was written. */
  all(): Snapshot[] {
    return this.#rows().map(fromRow)
  }

  find(name: string): Snapshot | undefined {
    return this.all().find((each) => each.name === name)
  }

  /** The snapshot whose top directory is inode `root`. */
  of(root: number): Snapshot | undefined {
    return this.all().find((each) => each.root === root)
  }

  insert({ root, name, source, path, created, uid, mode, inodes, bytes }: Snapshot): void {
    const row: Row = [root, name, source, path, created, uid, mode, inodes, bytes]
    this.#insert.run(...row)
    this.#counters.snapshotSum = moved(this.#counters.snapshotSum, sumOfSnapshot(row), 0)
  }

  delete(root: number): void {
    const row = this.#rows().find(([each]) => each === root)
    if (row === undefined) return
    this.#delete.run(root)
    this.#counters.snapshotSum = moved(this.#counters.snapshotSum, 0, sumOfSnapshot(row))
  }

  #rows(): Row[] {
    const rows = this.#all.all()
    const sum = rows.reduce((so, row) => moved(so, sumOfSnapshot(row), 0), 0)
    if (sum !== this.#counters.snapshotSum) throw damagedRow("the table of snapshots")
    return rows
  }
}

/** What a row adds to the sum of the table. */
export function sumOfSnapshot([root, name, ...row]: readonly Value[]): number {
  return sumOf(root as number, [sumOfText(name), ...row])
}

function fromRow([root, name, source, path, created, uid, mode, inodes, bytes]: Row): Snapshot {
  return { root, name, source, path, created, uid, mode, inodes, bytes }
}
