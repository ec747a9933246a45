/**
 * Table `dentry`: one B-tree serves lookups and listings. An entry's place in its directory, and at the same time its
 * readdir cookie, is a 52-bit hash of its name with the store's own seed (so nobody can aim for collisions), or the next
 * free number after it. A cookie stays valid whatever is added or removed around it.
 */
import { Fault } from "../core/fault.ts"
import type { NodeId } from "../core/brand.ts"
import type { FileKey } from "../../keyring/file-key.ts"
import type { Database, Query } from "./database.ts"
import { NameCache, type Found } from "./name-cache.ts"

/** Names whose hashes meet lie within this many numbers; more collisions than that do not occur by chance. */
const PROBES = 16

/** 1 and 2 are the cookies of `.` and `..`. */
const FIRST_COOKIE = 16

export interface Dentry {
  readonly name: Buffer
  readonly ino: NodeId
  readonly type: number
  readonly cookie: number
}

export type { Found }

/** How the names of an encrypted directory are stored (docs/FORMAT.md §6); undefined for one in the clear. */
export type NameKeyOf = (directory: NodeId) => FileKey | undefined

/** Told of each name that came, went or points elsewhere now. */
export type OnName = (ino: number, parent: number, cookie: number) => void

export class Dentries {
  readonly #keyOf: NameKeyOf
  readonly #onName: OnName
  readonly #cache = new NameCache()
  readonly #seedA: number
  readonly #seedB: number
  readonly #select: Query<[number, number, number, Buffer], [number, number]>
  readonly #insert: Query<[number, number, Buffer, number, number]>
  readonly #delete: Query<[number, number]>
  readonly #retarget: Query<[number, number, number, number]>
  readonly #any: Query<[number], [number]>
  readonly #nameOf: Query<[number, number], [Buffer]>
  readonly #list: Query<[number, number, number], [number, Buffer, number, number]>
  readonly #at: Query<[number, number], [Buffer, number, number]>

  constructor(
    db: Database,
    seedA: number,
    seedB: number,
    keyOf: NameKeyOf = () => undefined,
    onName: OnName = () => undefined,
  ) {
    this.#keyOf = keyOf
    this.#onName = onName
    this.#seedA = seedA
    this.#seedB = seedB
    this.#select = db.query(
      "SELECT ino, cookie FROM dentry WHERE parent = ? AND cookie BETWEEN ? AND ? AND name = ?",
    )
    this.#insert = db.query(
      "INSERT OR IGNORE INTO dentry (parent, cookie, name, ino, type) VALUES (?, ?, ?, ?, ?)",
    )
    this.#delete = db.query("DELETE FROM dentry WHERE parent = ? AND cookie = ?")
    this.#retarget = db.query("UPDATE dentry SET ino = ?, type = ? WHERE parent = ? AND cookie = ?")
    this.#any = db.query("SELECT 1 FROM dentry WHERE parent = ? LIMIT 1")
    this.#at = db.query("SELECT name, ino, type FROM dentry WHERE parent = ? AND cookie = ?")
    this.#nameOf = db.query("SELECT name FROM dentry WHERE parent = ? AND ino = ? LIMIT 1")
    this.#list = db.query(
      "SELECT cookie, name, ino, type FROM dentry WHERE parent = ? AND cookie > ? ORDER BY cookie LIMIT ?",
    )
  }

  find(parent: NodeId, name: Buffer): Found | undefined {
    const cached = this.#cache.get(parent, name)
    if (cached !== null) return cached
    const { first, cell } = this.#stored(parent, name)
    const row = this.#select.get(parent, first, first + PROBES - 1, cell)
    const found = row === undefined ? undefined : { ino: row[0] as NodeId, cookie: row[1] }
    this.#cache.set(parent, name, found)
    return found
  }

  /** The caller has checked that the name is free. */
  insert(parent: NodeId, name: Buffer, ino: NodeId, type: number): void {
    const { first, cell } = this.#stored(parent, name)
    for (let cookie = first; cookie < first + PROBES; cookie += 1) {
      if (this.#insert.run(parent, cookie, cell, ino, type) === 0) continue
      this.#cache.set(parent, name, { ino, cookie })
      this.#onName(ino, parent, cookie)
      return
    }
    throw new Fault("no-space", "no place for a name: too many names with one hash in this directory")
  }

  remove(parent: NodeId, name: Buffer, entry: Found): void {
    this.#delete.run(parent, entry.cookie)
    this.#cache.set(parent, name, undefined)
    this.#onName(entry.ino, parent, entry.cookie)
  }

  /** Lets an existing name point to another inode. */
  retarget(parent: NodeId, name: Buffer, entry: Found, ino: NodeId, type: number): void {
    this.#retarget.run(ino, type, parent, entry.cookie)
    this.#cache.set(parent, name, { ino, cookie: entry.cookie })
    this.#onName(ino, parent, entry.cookie)
  }

  /** The directory is gone: its number may not come again, and what is known of its names is worth nothing. */
  forget(parent: NodeId): void {
    this.#cache.forget(parent)
  }

  /** After a rollback. */
  clearCache(): void {
    this.#cache.clear()
  }

  /** Up to `limit` entries of a directory without their names, which may be those of a locked tree. */
  places(parent: NodeId, limit: number): Found[] {
    return this.#list.all(parent, 0, limit).map(([cookie, , ino]) => ({ ino: ino as NodeId, cookie }))
  }

  /** Takes out an entry whatever its name is. */
  removeAt(parent: NodeId, { ino, cookie }: Found): void {
    this.#delete.run(parent, cookie)
    this.#cache.forget(parent)
    this.#onName(ino, parent, cookie)
  }

  isEmpty(parent: NodeId): boolean {
    return this.#any.get(parent) === undefined
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
    const [cell, ino, type] = row
    const key = this.#keyOf(parent)
    return { cookie, name: key === undefined ? cell : nameIn(key, cell, cookie), ino: ino as NodeId, type }
  }

  /** Up to `limit` entries behind `cookie`, in cookie order. */
  list(parent: NodeId, cookie: number, limit: number): Dentry[] {
    const key = this.#keyOf(parent)
    return this.#list.all(parent, cookie, limit).map(([at, cell, ino, type]) => ({
      cookie: at,
      name: key === undefined ? cell : nameIn(key, cell, at),
      ino: ino as NodeId,
      type,
    }))
  }

  /** What of a name is in the table, and the first number where it may be. */
  #stored(parent: NodeId, name: Buffer): { first: number; cell: Buffer } {
    const key = this.#keyOf(parent)
    if (key === undefined) return { first: this.#hash(name), cell: name }
    const { cell, hash } = key.sealName("name", name)
    return { first: FIRST_COOKIE + hash, cell }
  }

  /** Two seeded lanes of MurmurHash3's mixing; 52 bits, so that cookies stay exact doubles. */
  #hash(name: Buffer): number {
    let a = this.#seedA
    let b = this.#seedB
    for (const byte of name) {
      a = Math.imul(a ^ byte, 0xcc9e2d51)
      a = (a << 13) | (a >>> 19)
      b = Math.imul(b ^ byte, 0x1b873593)
      b = (b << 15) | (b >>> 17)
    }
    const low = finish(a ^ name.length) >>> 0
    const high = finish(b ^ a) & 0xf_ffff
    return FIRST_COOKIE + high * 0x1_0000_0000 + low
  }
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
