/**
 * Table `dentry`: one B-tree serves lookups and listings. An entry's place in its directory, and at the same time its
 * readdir cookie, is a 52-bit hash of its name with the store's own seed (so nobody can aim for collisions), or the next
 * free number after it. A cookie stays valid whatever is added or removed around it.
 */
import { crc32 } from "node:zlib"
import { Fault } from "../core/fault.ts"
import type { NodeId } from "../core/brand.ts"
import type { FileKey } from "../../keyring/file-key.ts"
import type { Database, Query } from "./database.ts"
import { damagedRow, moved, sumOfName, sumOfPart } from "./checksum.ts"
import type { Inode } from "./inode.ts"
import { NameCache, type Found } from "./name-cache.ts"

/** Names whose hashes meet lie within this many numbers; more collisions than that do not occur by chance. */
const PROBES = 16

/** 1 and 2 are the cookies of `.` and `..`. */
const FIRST_COOKIE = 16

/** Rows that are read at once to see whether a directory's names are all there. */
const PAGE = 10_000
/** So many directories are remembered for having been whole. */
const REMEMBERED = 50_000

export interface Dentry {
  readonly name: Buffer
  readonly ino: NodeId
  readonly type: number
  readonly cookie: number
}

export type { Found }

/** What is to be known of directories; docs/FORMAT.md §6 tells how names of encrypted ones are stored. */
export interface Directories {
  /** The inode keeps the sum of its names. */
  readonly get: (directory: NodeId) => Inode | undefined
  readonly isEncrypted: (directory: Inode) => boolean
  /** Undefined for one in the clear. Throws `Fault("locked")`. */
  readonly keyOf: (directory: Inode) => FileKey | undefined
}

type Row = [cookie: number, name: Buffer, ino: number, type: number, sum: number | null]

/** A name as it stands in the table, the first number where it may be, and its part of the row's sum. */
interface Stored {
  readonly first: number
  readonly cell: Buffer
  readonly sum: number
}

/** Told of each name that came, went or points elsewhere now. */
export type OnName = (ino: number, parent: number, cookie: number) => void

export class Dentries {
  readonly #onName: OnName
  readonly #cache = new NameCache()
  /** Directories that have every name that they should. */
  readonly #whole = new Set<number>()
  /** The name that was encrypted last: one that is looked up is often made next. */
  #sealed: { readonly parent: NodeId; readonly name: Buffer; readonly stored: Stored } | undefined
  readonly #directories: Directories | undefined
  readonly #seedA: number
  readonly #seedB: number
  readonly #select: Query<[number, number, number, Buffer], [number, number, number, number | null]>
  readonly #insert: Query<[number, number, Buffer, number, number, number]>
  readonly #delete: Query<[number, number]>
  readonly #retarget: Query<[number, number, number, number, number]>
  readonly #any: Query<[number], [number]>
  readonly #nameOf: Query<[number, number], [Buffer]>
  readonly #list: Query<[number, number, number], Row>
  readonly #at: Query<[number, number], Row>
  readonly #isAt: Query<[number, number], [number]>

  /** Without `directories` all names are in the clear, no sum of theirs is kept and none is checked. */
  constructor(
    db: Database,
    seedA: number,
    seedB: number,
    directories?: Directories,
    onName: OnName = () => undefined,
  ) {
    this.#directories = directories
    this.#onName = onName
    this.#seedA = seedA
    this.#seedB = seedB
    this.#select = db.query(
      "SELECT ino, cookie, type, sum FROM dentry WHERE parent = ? AND cookie BETWEEN ? AND ? AND name = ?",
    )
    this.#insert = db.query(
      "INSERT OR IGNORE INTO dentry (parent, cookie, name, ino, type, sum) VALUES (?, ?, ?, ?, ?, ?)",
    )
    this.#delete = db.query("DELETE FROM dentry WHERE parent = ? AND cookie = ?")
    this.#retarget = db.query("UPDATE dentry SET ino = ?, type = ?, sum = ? WHERE parent = ? AND cookie = ?")
    this.#any = db.query("SELECT 1 FROM dentry WHERE parent = ? LIMIT 1")
    this.#at = db.query("SELECT cookie, name, ino, type, sum FROM dentry WHERE parent = ? AND cookie = ?")
    this.#isAt = db.query("SELECT 1 FROM dentry WHERE parent = ? AND cookie = ?")
    this.#nameOf = db.query("SELECT name FROM dentry WHERE parent = ? AND ino = ? LIMIT 1")
    this.#list = db.query(
      "SELECT cookie, name, ino, type, sum FROM dentry WHERE parent = ? AND cookie > ? ORDER BY cookie LIMIT ?",
    )
  }

  find(parent: NodeId, name: Buffer): Found | undefined {
    const cached = this.#cache.get(parent, name)
    if (cached !== null) return cached
    const { first, cell, sum } = this.#stored(parent, name)
    const row = this.#select.get(parent, first, first + PROBES - 1, cell)
    if (row === undefined) this.#requireWhole(parent)
    else if (this.#directories !== undefined) {
      const right = sumOfName(parent, row[1], row[0], row[2]) ^ sum
      if (row[3] !== right) throw damagedRow(`a name in directory ${parent}`)
    }
    const found = row === undefined ? undefined : { ino: row[0] as NodeId, cookie: row[1] }
    this.#cache.set(parent, name, found)
    return found
  }

  /** The caller has checked that the name is free, and saves the directory. */
  insert(parent: NodeId, name: Buffer, ino: NodeId, type: number): void {
    const { first, cell, sum } = this.#stored(parent, name)
    for (let cookie = first; cookie < first + PROBES; cookie += 1) {
      const right = sumOfName(parent, cookie, ino, type) ^ sum
      if (this.#insert.run(parent, cookie, cell, ino, type, right) === 0) continue
      this.#count(parent, sumOfPart(0, cookie), 0)
      this.#cache.set(parent, name, { ino, cookie })
      this.#onName(ino, parent, cookie)
      return
    }
    throw new Fault("no-space", "no place for a name: too many names with one hash in this directory")
  }

  remove(parent: NodeId, name: Buffer, entry: Found): void {
    this.#delete.run(parent, entry.cookie)
    this.#count(parent, 0, sumOfPart(0, entry.cookie))
    this.#cache.set(parent, name, undefined)
    this.#onName(entry.ino, parent, entry.cookie)
  }

  /** Lets an existing name point to another inode. */
  retarget(parent: NodeId, name: Buffer, entry: Found, ino: NodeId, type: number): void {
    const sum = sumOfName(parent, entry.cookie, ino, type) ^ this.#stored(parent, name).sum
    this.#retarget.run(ino, type, sum, parent, entry.cookie)
    this.#cache.set(parent, name, { ino, cookie: entry.cookie })
    this.#onName(ino, parent, entry.cookie)
  }

  /** The directory is gone: its number may not come again, and what is known of its names is worth nothing. */
  forget(parent: NodeId): void {
    this.#cache.forget(parent)
    this.#sealed = undefined
    this.#whole.delete(parent)
  }

  /** After a rollback. */
  clearCache(): void {
    this.#cache.clear()
    this.#sealed = undefined
  }

  /** Up to `limit` entries of a directory without their names, which may be those of a locked tree. */
  places(parent: NodeId, limit: number): Found[] {
    return this.#rows(parent, 0, limit).map(([cookie, , ino]) => ({ ino: ino as NodeId, cookie }))
  }

  /** Takes out an entry whatever its name is. */
  removeAt(parent: NodeId, { ino, cookie }: Found): void {
    this.#delete.run(parent, cookie)
    this.#count(parent, 0, sumOfPart(0, cookie))
    this.#cache.forget(parent)
    this.#onName(ino, parent, cookie)
  }

  isEmpty(parent: NodeId): boolean {
    this.#requireWhole(parent)
    if (this.#any.get(parent) !== undefined) return false
    if ((this.#directories?.get(parent)?.partSum ?? 0) === 0) return true
    throw notFound(parent)
  }

  /** One of the names that the directory has for an inode: a look at all of them. */
  nameOf(parent: NodeId, ino: NodeId): Buffer | undefined {
    const cell = this.#nameOf.get(parent, ino)?.[0]
    return cell === undefined ? undefined : (this.#keyOf(parent)?.openName("name", cell).name ?? cell)
  }

  /** The entry with this cookie. */
  at(parent: NodeId, cookie: number): Dentry | undefined {
    const row = this.#at.get(parent, cookie)
    if (row === undefined) return undefined
    const key = this.#keyOf(parent)
    const [, cell, ino, type] = this.#checked(parent, [row])[0] ?? row
    return { cookie, name: key === undefined ? cell : nameIn(key, cell, cookie), ino: ino as NodeId, type }
  }

  /** Up to `limit` entries behind `cookie`, in cookie order. */
  list(parent: NodeId, cookie: number, limit: number): Dentry[] {
    const key = this.#keyOf(parent)
    return this.#rows(parent, cookie, limit).map(([at, cell, ino, type]) => ({
      cookie: at,
      name: key === undefined ? cell : nameIn(key, cell, at),
      ino: ino as NodeId,
      type,
    }))
  }

  #rows(parent: NodeId, cookie: number, limit: number): Row[] {
    this.#requireWhole(parent)
    return this.#checked(parent, this.#list.all(parent, cookie, limit))
  }

  #keyOf(parent: NodeId): FileKey | undefined {
    const directory = this.#directories?.get(parent)
    return directory === undefined ? undefined : this.#directories?.keyOf(directory)
  }

  /** What of a name is in the table, the first number where it may be, and what it adds to the sum of its row by XOR. */
  #stored(parent: NodeId, name: Buffer): Stored {
    const key = this.#keyOf(parent)
    if (key === undefined) return { first: this.#hash(name), cell: name, sum: 0 }
    if (this.#sealed?.parent === parent && this.#sealed.name.equals(name)) return this.#sealed.stored
    const { cell, hash } = key.sealName("name", name)
    const stored = { first: FIRST_COOKIE + hash, cell, sum: crc32(cell) }
    // A copy: the request's bytes are overwritten by the next one.
    this.#sealed = { parent, name: Buffer.from(name), stored }
    return stored
  }

  /**
   * The rows of a directory, if they are as they were written. A name in the clear has its checksum in its place, which is
   * its hash; one that is encrypted has it in the sum of its row.
   */
  #checked(parent: NodeId, rows: Row[]): Row[] {
    const directory = this.#directories?.get(parent)
    if (directory === undefined || this.#directories === undefined) return rows
    const isEncrypted = this.#directories.isEncrypted(directory)
    for (const row of rows) {
      const cell = row[1]
      const isName = Buffer.isBuffer(cell) && (isEncrypted || this.#isPlace(row[0], cell))
      const sum = isEncrypted && isName ? crc32(cell) : 0
      if (!isName || row[4] !== (sumOfName(parent, row[0], row[2], row[3]) ^ sum))
        throw damagedRow(`a name in directory ${parent}`)
    }
    return rows
  }

  #isPlace(cookie: number, name: Buffer): boolean {
    const first = this.#hash(name)
    return cookie >= first && cookie < first + PROBES
  }

  /**
   * Throws `Fault("corrupt")` unless all names are there, and are found: that a name is not found says nothing in a damaged
   * table. Reads the directory once; afterwards the sum is kept up with every change.
   */
  #requireWhole(parent: NodeId): void {
    if (this.#whole.has(parent)) return
    const directory = this.#directories?.get(parent)
    if (directory === undefined) return
    if (!directory.isWhole) this.#readAll(directory)
    if (this.#whole.size >= REMEMBERED) this.#whole.clear()
    this.#whole.add(parent)
  }

  #readAll({ ino: parent, partSum }: Inode): void {
    let sum = 0
    for (let after = -1; ;) {
      const rows = this.#checked(parent, this.#list.all(parent, after, PAGE))
      for (const [cookie] of rows) {
        // A damaged row of another directory, or an inner page, leads a search astray that a walk from row to row does not see.
        if (this.#isAt.get(parent, cookie) === undefined) throw notFound(parent)
        sum = moved(sum, sumOfPart(0, cookie), 0)
      }
      after = rows.at(-1)?.[0] ?? 0
      if (rows.length < PAGE) break
    }
    if (sum !== partSum) throw notFound(parent)
  }

  #count(parent: NodeId, added: number, removed: number): void {
    const directory = this.#directories?.get(parent)
    if (directory !== undefined) directory.partSum = moved(directory.partSum, added, removed)
  }

  /** Two seeded lanes of MurmurHash3's mixing; 52 bits, so that cookies stay exact doubles. */
  #hash(name: Buffer): number {
    let a = this.#seedA
    let b = this.#seedB
    const { length } = name
    // By index: `for … of` takes half as long again.
    for (let at = 0; at < length; at += 1) {
      const byte = name[at] ?? 0
      a = Math.imul(a ^ byte, 0xcc9e2d51)
      a = (a << 13) | (a >>> 19)
      b = Math.imul(b ^ byte, 0x1b873593)
      b = (b << 15) | (b >>> 17)
    }
    const low = finish(a ^ length) >>> 0
    const high = finish(b ^ a) & 0xf_ffff
    return FIRST_COOKIE + high * 0x1_0000_0000 + low
  }
}

function notFound(parent: number): Fault {
  return damagedRow(`the list of names in directory ${parent}`)
}

/** An entry's name decrypted. Throws `Fault("corrupt")` also for one that stands where it does not belong. */
function nameIn(key: FileKey, cell: Buffer, cookie: number): Buffer {
  const { name, hash } = key.openName("name", cell)
  const place = cookie - FIRST_COOKIE - hash
  if (place < 0 || place >= PROBES) throw new Fault("corrupt", "an encrypted name stands in a wrong place")
  return name
}

function finish(h: number): number {
  let x = h
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return x ^ (x >>> 16)
}
