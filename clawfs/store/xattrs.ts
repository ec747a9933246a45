/** Tables `xattr` and `symlink`: small values by inode. */
import type { NodeId } from "../core/brand.ts"
import type { Database, Query } from "./database.ts"

export class Xattrs {
  readonly #select: Query<[number, Buffer], [Buffer]>
  readonly #names: Query<[number], [Buffer]>
  readonly #put: Query<[number, Buffer, Buffer]>
  readonly #delete: Query<[number, Buffer]>
  readonly #deleteAll: Query<[number]>

  constructor(db: Database) {
    this.#select = db.query("SELECT value FROM xattr WHERE ino = ? AND name = ?")
    this.#names = db.query("SELECT name FROM xattr WHERE ino = ? ORDER BY name")
    this.#put = db.query("INSERT OR REPLACE INTO xattr (ino, name, value) VALUES (?, ?, ?)")
    this.#delete = db.query("DELETE FROM xattr WHERE ino = ? AND name = ?")
    this.#deleteAll = db.query("DELETE FROM xattr WHERE ino = ?")
  }

  get(ino: NodeId, name: Buffer): Buffer | undefined {
    return this.#select.get(ino, name)?.[0]
  }

  names(ino: NodeId): Buffer[] {
    return this.#names.all(ino).map(([name]) => name)
  }

  put(ino: NodeId, name: Buffer, value: Buffer): void {
    this.#put.run(ino, name, value)
  }

  delete(ino: NodeId, name: Buffer): void {
    this.#delete.run(ino, name)
  }

  deleteAll(ino: NodeId): void {
    this.#deleteAll.run(ino)
  }
}

export class Symlinks {
  readonly #select: Query<[number], [Buffer]>
  readonly #insert: Query<[number, Buffer]>
  readonly #delete: Query<[number]>

  constructor(db: Database) {
    this.#select = db.query("SELECT target FROM symlink WHERE ino = ?")
    this.#insert = db.query("INSERT INTO symlink (ino, target) VALUES (?, ?)")
    this.#delete = db.query("DELETE FROM symlink WHERE ino = ?")
  }

  get(ino: NodeId): Buffer | undefined {
    return this.#select.get(ino)?.[0]
  }

  insert(ino: NodeId, target: Buffer): void {
    this.#insert.run(ino, target)
  }

  delete(ino: NodeId): void {
    this.#delete.run(ino)
  }
}
