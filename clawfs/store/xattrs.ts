/** Tables `xattr` and `symlink`: small values by inode, encrypted where the inode is (docs/FORMAT.md §6). */
import type { NodeId } from "../core/brand.ts"
import type { FileKey } from "../../keyring/file-key.ts"
import type { Database, Query } from "./database.ts"
import type { Inode } from "./inode.ts"

/** Undefined for an inode in the clear. */
export type KeyOf = (inode: Inode) => FileKey | undefined
const IN_THE_CLEAR: KeyOf = () => undefined
const NO_PLACE = Buffer.alloc(0)

export class Xattrs {
  readonly #keyOf: KeyOf
  readonly #select: Query<[number, Buffer], [Buffer]>
  readonly #names: Query<[number], [Buffer]>
  readonly #put: Query<[number, Buffer, Buffer]>
  readonly #delete: Query<[number, Buffer]>
  readonly #deleteAll: Query<[number]>

  constructor(db: Database, keyOf: KeyOf = IN_THE_CLEAR) {
    this.#keyOf = keyOf
    this.#select = db.query("SELECT value FROM xattr WHERE ino = ? AND name = ?")
    this.#names = db.query("SELECT name FROM xattr WHERE ino = ? ORDER BY name")
    this.#put = db.query("INSERT OR REPLACE INTO xattr (ino, name, value) VALUES (?, ?, ?)")
    this.#delete = db.query("DELETE FROM xattr WHERE ino = ? AND name = ?")
    this.#deleteAll = db.query("DELETE FROM xattr WHERE ino = ?")
  }

  get(inode: Inode, name: Buffer): Buffer | undefined {
    const key = this.#keyOf(inode)
    if (key === undefined) return this.#select.get(inode.ino, name)?.[0]
    const { cell } = key.sealName("xattr name", name)
    const blob = this.#select.get(inode.ino, cell)?.[0]
    return blob === undefined ? undefined : key.openValue("xattr value", cell, blob)
  }

  names(inode: Inode): Buffer[] {
    const key = this.#keyOf(inode)
    const cells = this.#names.all(inode.ino).map(([cell]) => cell)
    if (key === undefined) return cells
    return cells.map((cell) => key.openName("xattr name", cell).name).sort((a, b) => a.compare(b))
  }

  put(inode: Inode, name: Buffer, value: Buffer): void {
    const key = this.#keyOf(inode)
    if (key === undefined) {
      this.#put.run(inode.ino, name, value)
      return
    }
    const { cell } = key.sealName("xattr name", name)
    this.#put.run(inode.ino, cell, key.sealValue("xattr value", cell, value))
  }

  delete(inode: Inode, name: Buffer): void {
    this.#delete.run(inode.ino, this.#keyOf(inode)?.sealName("xattr name", name).cell ?? name)
  }

  deleteAll(ino: NodeId): void {
    this.#deleteAll.run(ino)
  }
}

export class Symlinks {
  readonly #keyOf: KeyOf
  readonly #select: Query<[number], [Buffer]>
  readonly #insert: Query<[number, Buffer]>
  readonly #delete: Query<[number]>

  constructor(db: Database, keyOf: KeyOf = IN_THE_CLEAR) {
    this.#keyOf = keyOf
    this.#select = db.query("SELECT target FROM symlink WHERE ino = ?")
    this.#insert = db.query("INSERT INTO symlink (ino, target) VALUES (?, ?)")
    this.#delete = db.query("DELETE FROM symlink WHERE ino = ?")
  }

  get(inode: Inode): Buffer | undefined {
    const stored = this.#select.get(inode.ino)?.[0]
    return stored === undefined
      ? undefined
      : (this.#keyOf(inode)?.openValue("symlink", NO_PLACE, stored) ?? stored)
  }

  insert(inode: Inode, target: Buffer): void {
    const key = this.#keyOf(inode)
    this.#insert.run(inode.ino, key?.sealValue("symlink", NO_PLACE, target) ?? target)
  }

  delete(ino: NodeId): void {
    this.#delete.run(ino)
  }
}
