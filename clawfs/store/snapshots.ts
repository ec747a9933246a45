/** Table `snapshot`: what copies there are below `/.snapshots`, and of what. */
import type { Database, Query } from "./database.ts"

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

const COLUMNS = "root, name, source, path, created, uid, mode, inodes, bytes"

export class Snapshots {
  readonly #all: Query<[], Row>
  readonly #find: Query<[string], Row>
  readonly #of: Query<[number], Row>
  readonly #insert: Query<Row>
  readonly #delete: Query<[number]>

  constructor(db: Database) {
    this.#all = db.query(`SELECT ${COLUMNS} FROM snapshot ORDER BY created, root`)
    this.#find = db.query(`SELECT ${COLUMNS} FROM snapshot WHERE name = ?`)
    this.#of = db.query(`SELECT ${COLUMNS} FROM snapshot WHERE root = ?`)
    this.#insert = db.query(`INSERT INTO snapshot (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#delete = db.query("DELETE FROM snapshot WHERE root = ?")
  }

  /** Oldest first. */
  all(): Snapshot[] {
    return this.#all.all().map(fromRow)
  }

  find(name: string): Snapshot | undefined {
    const row = this.#find.get(name)
    return row === undefined ? undefined : fromRow(row)
  }

  /** The snapshot whose top directory is inode `root`. */
  of(root: number): Snapshot | undefined {
    const row = this.#of.get(root)
    return row === undefined ? undefined : fromRow(row)
  }

  insert({ root, name, source, path, created, uid, mode, inodes, bytes }: Snapshot): void {
    this.#insert.run(root, name, source, path, created, uid, mode, inodes, bytes)
  }

  delete(root: number): void {
    this.#delete.run(root)
  }
}

function fromRow([root, name, source, path, created, uid, mode, inodes, bytes]: Row): Snapshot {
  return { root, name, source, path, created, uid, mode, inodes, bytes }
}
