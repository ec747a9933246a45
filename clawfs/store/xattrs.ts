/**
 * Tables `xattr` and `symlink`: small values by inode, encrypted where the inode is (docs/FORMAT.md §6). Checksums are those
 * of what is stored. Each row of `xattr` has the sum over all of its inode, so that none can be missing but all of them;
 * of that a flag of the inode tells.
 */
import { damagedRow, moved, sumOfAttribute, sumOfBytes, sumOfKey, type Sum } from "./checksum.ts"
import type { NodeId } from "../core/brand.ts"
import type { FileKey } from "../../keyring/file-key.ts"
import type { Database, Query } from "./database.ts"
import { InodeFlag, type Inode } from "./inode.ts"

/** Undefined for an inode in the clear. */
export type KeyOf = (inode: Inode) => FileKey | undefined
const IN_THE_CLEAR: KeyOf = () => undefined
const NO_PLACE = Buffer.alloc(0)

type Row = [name: Buffer, value: Buffer, sum: Sum]

/** Whoever changes something saves the inode. */
export class Xattrs {
  readonly #keyOf: KeyOf
  readonly #all: Query<[number], Row>
  readonly #put: Query<[number, Buffer, Buffer]>
  readonly #sum: Query<[number, number]>
  readonly #delete: Query<[number, Buffer]>
  readonly #deleteAll: Query<[number]>

  constructor(db: Database, keyOf: KeyOf = IN_THE_CLEAR) {
    this.#keyOf = keyOf
    this.#all = db.query("SELECT name, value, sum FROM xattr WHERE ino = ? ORDER BY name")
    this.#put = db.query("INSERT OR REPLACE INTO xattr (ino, name, value) VALUES (?, ?, ?)")
    this.#sum = db.query("UPDATE xattr SET sum = ? WHERE ino = ?")
    this.#delete = db.query("DELETE FROM xattr WHERE ino = ? AND name = ?")
    this.#deleteAll = db.query("DELETE FROM xattr WHERE ino = ?")
  }

  get(inode: Inode, name: Buffer): Buffer | undefined {
    const key = this.#keyOf(inode)
    const cell = key?.sealName("xattr name", name).cell ?? name
    const value = valueIn(this.#rows(inode), cell)
    return value === undefined ? undefined : (key?.openValue("xattr value", cell, value) ?? value)
  }

  names(inode: Inode): Buffer[] {
    const key = this.#keyOf(inode)
    const cells = this.#rows(inode).map(([cell]) => cell)
    if (key === undefined) return cells
    return cells.map((cell) => key.openName("xattr name", cell).name).sort((a, b) => a.compare(b))
  }

  put(inode: Inode, name: Buffer, value: Buffer): void {
    const rows = this.#rows(inode)
    const key = this.#keyOf(inode)
    const cell = key?.sealName("xattr name", name).cell ?? name
    const stored = key?.sealValue("xattr value", cell, value) ?? value
    const before = valueIn(rows, cell)
    this.#put.run(inode.ino, cell, stored)
    const removed = before === undefined ? 0 : sumOfAttribute(cell, before)
    this.#keep(inode, moved(sumOfAttributes(rows), sumOfAttribute(cell, stored), removed))
    inode.setFlag(InodeFlag.HAS_XATTR, true)
  }

  delete(inode: Inode, name: Buffer): void {
    const rows = this.#rows(inode)
    const cell = this.#keyOf(inode)?.sealName("xattr name", name).cell ?? name
    const before = valueIn(rows, cell)
    if (before === undefined) return
    this.#delete.run(inode.ino, cell)
    this.#keep(inode, moved(sumOfAttributes(rows), 0, sumOfAttribute(cell, before)))
    if (rows.length === 1) inode.setFlag(InodeFlag.HAS_XATTR, false)
  }

  deleteAll(inode: Inode): void {
    this.#deleteAll.run(inode.ino)
    inode.setFlag(InodeFlag.HAS_XATTR, false)
  }

  #keep(inode: Inode, sum: number): void {
    this.#sum.run(sum ^ sumOfKey(inode.ino), inode.ino)
  }

  /** All of an inode, which are few: a name that is missing is no answer unless the others are all there. */
  #rows(inode: Inode): Row[] {
    const rows = this.#all.all(inode.ino)
    const right = sumOfAttributes(rows) ^ sumOfKey(inode.ino)
    const isWhole = rows.every(([, , sum]) => sum === right)
    if (!isWhole || inode.has(InodeFlag.HAS_XATTR) !== rows.length > 0)
      throw damagedRow(`an extended attribute of inode ${inode.ino}`)
    return rows
  }
}

/** The sum over all of an inode, but for the inode's number. */
export function sumOfAttributes(
  rows: readonly (readonly [name: Buffer, value: Buffer, ...unknown[]])[],
): number {
  return rows.reduce((sum, [name, value]) => (sum + sumOfAttribute(name, value)) | 0, 0)
}

function valueIn(rows: readonly Row[], name: Buffer): Buffer | undefined {
  return rows.find(([each]) => each.equals(name))?.[1]
}

export class Symlinks {
  readonly #keyOf: KeyOf
  readonly #select: Query<[number], [Buffer, Sum]>
  readonly #insert: Query<[number, Buffer, number]>
  readonly #delete: Query<[number]>

  constructor(db: Database, keyOf: KeyOf = IN_THE_CLEAR) {
    this.#keyOf = keyOf
    this.#select = db.query("SELECT target, sum FROM symlink WHERE ino = ?")
    this.#insert = db.query("INSERT INTO symlink (ino, target, sum) VALUES (?, ?, ?)")
    this.#delete = db.query("DELETE FROM symlink WHERE ino = ?")
  }

  /** The target; throws `Fault("corrupt")` for a link that has lost it. */
  get(inode: Inode): Buffer {
    const [stored, sum] = this.#select.get(inode.ino) ?? []
    if (stored === undefined || sum !== sumOfBytes(inode.ino, stored))
      throw damagedRow(`the target of link ${inode.ino}`)
    return this.#keyOf(inode)?.openValue("symlink", NO_PLACE, stored) ?? stored
  }

  insert(inode: Inode, target: Buffer): void {
    const stored = this.#keyOf(inode)?.sealValue("symlink", NO_PLACE, target) ?? target
    this.#insert.run(inode.ino, stored, sumOfBytes(inode.ino, stored))
  }

  delete(ino: NodeId): void {
    this.#delete.run(ino)
  }
}
