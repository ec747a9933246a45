/**
 * Table `inode`, behind a bounded cache: one object per inode, so that every part of an operation sees the same state.
 * Changed inodes are written once per transaction, when it is committed.
 */
import { ROOT_NODE, type NodeId } from "../core/brand.ts"
import { damagedRow, sumOf, sumOfNumbers, type Sum } from "./checksum.ts"
import type { Counters } from "./counters.ts"
import type { Database, Query, Value } from "./database.ts"
import { Inode } from "./inode.ts"
import type { Trees } from "./trees.ts"

/** All but the key and the checksum, which covers them in this order. */
export const INODE_COLUMNS = `mode, nlink, uid, gid, rdev, size, alloc, flags, parent, inline_offset, inline_length,
  atime, atime_nanos, mtime, mtime_nanos, ctime, ctime_nanos, btime, btime_nanos, tree, body, part_sum`
const COLUMNS = INODE_COLUMNS.split(",").length

/** About 300 bytes each: 6 MB. The kernel caches attributes, so a miss costs one B-tree lookup and is rare. */
const CACHE_SIZE = 20_000

export class Inodes {
  readonly #cache = new Map<number, Inode>()
  readonly #changed = new Set<Inode>()
  /** Without a row yet. */
  readonly #fresh = new Set<Inode>()
  /** Regular files whose rows were taken away in this transaction. */
  readonly #gone: number[] = []
  readonly #counters: Counters
  readonly #trees: Trees
  readonly #select: Query<[number], (number | null)[]>
  readonly #insert: Query<Value[]>
  readonly #update: Query<Value[]>
  readonly #assign: Query<[number, number, number]>
  readonly #delete: Query<[number]>
  readonly #orphans: Query<[], [number]>

  constructor(db: Database, counters: Counters, trees: Trees) {
    this.#counters = counters
    this.#trees = trees
    this.#select = db.query(`SELECT ${INODE_COLUMNS}, sum FROM inode WHERE ino = ?`)
    this.#insert = db.query(
      `INSERT INTO inode (${INODE_COLUMNS}, sum, ino) VALUES (${Array(24).fill("?").join(", ")})`,
    )
    const set = `${INODE_COLUMNS}, sum`.split(",").map((column) => `${column} = ?`)
    this.#update = db.query(`UPDATE inode SET ${set.join(", ")} WHERE ino = ?`)
    const assigned = INODE_COLUMNS.replace("tree", "?")
    this.#assign = db.query(
      `UPDATE inode SET tree = ?, sum = row_sum(ino, ${assigned})
       WHERE ino = ? AND sum = row_sum(ino, ${INODE_COLUMNS})`,
    )
    this.#delete = db.query("DELETE FROM inode WHERE ino = ?")
    this.#orphans = db.query("SELECT ino FROM inode WHERE nlink = 0")
  }

  get(ino: number): Inode | undefined {
    const cached = this.#cache.get(ino)
    if (cached !== undefined) return cached
    const row = this.#select.get(ino)
    if (row === undefined) return undefined
    const inode = fromRow(ino as NodeId, row)
    this.#cache.set(ino, inode)
    return inode
  }

  /** A new inode; its row is written by `flush`. */
  insert(inode: Inode): void {
    this.#fresh.add(inode)
    this.#counters.inodes += 1
    this.#trees.charge(inode.tree, 0, 1)
    this.#cache.set(inode.ino, inode)
  }

  save(inode: Inode): void {
    if (!this.#fresh.has(inode)) this.#changed.add(inode)
  }

  /** Takes the inode's row away, or sees to it that none is written. */
  delete(inode: Inode): void {
    this.#changed.delete(inode)
    if (!this.#fresh.delete(inode)) {
      this.#delete.run(inode.ino)
      if (inode.isRegular) this.#gone.push(inode.ino)
    }
    this.#counters.inodes -= 1
    this.#trees.charge(inode.tree, 0, -1)
    this.#cache.delete(inode.ino)
  }

  /** Lets an inode belong to another tree, without charging anybody; where everything else is committed. */
  assignTree(ino: number, tree: number): void {
    this.#assign.run(tree, tree, ino)
    const cached = this.#cache.get(ino)
    if (cached !== undefined) cached.tree = tree
  }

  /** Regular files that are new, changed or gone since the last commit. */
  *changedFiles(): Generator<number> {
    for (const inode of this.#fresh) if (inode.isRegular) yield inode.ino
    for (const inode of this.#changed) if (inode.isRegular) yield inode.ino
    yield* this.#gone
  }

  /** Writes the rows of new and changed inodes. */
  flush(): void {
    for (const inode of this.#fresh) this.#insert.run(...toRow(inode))
    for (const inode of this.#changed) this.#update.run(...toRow(inode))
    this.#gone.length = 0
    this.#fresh.clear()
    this.#changed.clear()
  }

  /** Committed inodes without a name: unlinked while open, or left by a server that died. */
  orphans(): NodeId[] {
    return this.#orphans.all().map(([ino]) => ino as NodeId)
  }

  /** After a rollback: the objects may hold what was never committed. */
  clear(): void {
    this.#cache.clear()
    this.#changed.clear()
    this.#fresh.clear()
    this.#gone.length = 0
  }

  /** Contents have been given to other inodes: none that is in memory may count on being the only one to have its own. */
  forgetSole(): void {
    for (const inode of this.#cache.values()) inode.isSole = false
  }

  /** After a commit only: nothing may be unsaved, and no part of a request may hold an object. */
  trim(): void {
    if (this.#cache.size <= CACHE_SIZE || this.#changed.size > 0 || this.#fresh.size > 0) return
    for (const ino of this.#cache.keys()) {
      if (this.#cache.size <= CACHE_SIZE / 2) break
      if (ino !== ROOT_NODE) this.#cache.delete(ino)
    }
  }
}

/** With the checksum and the key behind it: one array, as to spread more than one takes a microsecond. */
function toRow(inode: Inode): number[] {
  const row = [
    inode.mode,
    inode.nlink,
    inode.uid,
    inode.gid,
    inode.rdev,
    inode.size,
    inode.alloc,
    inode.flags,
    inode.parent,
    inode.inlineOffset,
    inode.inlineLength,
    inode.atime,
    inode.atimeNanos,
    inode.mtime,
    inode.mtimeNanos,
    inode.ctime,
    inode.ctimeNanos,
    inode.btime,
    inode.btimeNanos,
    inode.tree,
    // Most inodes have their own: that takes no room in the row.
    inode.body === inode.ino ? 0 : inode.body,
    inode.partSum,
    0,
    inode.ino,
  ]
  row[COLUMNS] = sumOfNumbers(inode.ino, row, COLUMNS)
  return row
}

/** `row` ends with the sum of what is before it. Throws `Fault("corrupt")` when that is wrong. */
function fromRow(ino: NodeId, row: Sum[]): Inode {
  const sum = row.pop() ?? null
  if (sum !== sumOf(ino, row)) throw damagedRow(`inode ${ino}`)
  const [mode, nlink, uid, gid, rdev] = row as number[]
  const inode = new Inode(ino, mode ?? 0, nlink ?? 0, uid ?? 0, gid ?? 0, rdev ?? 0)
  inode.size = row[5] ?? 0
  inode.alloc = row[6] ?? 0
  inode.flags = row[7] ?? 0
  inode.parent = row[8] ?? 0
  inode.inlineOffset = row[9] ?? 0
  inode.inlineLength = row[10] ?? 0
  inode.atime = row[11] ?? 0
  inode.atimeNanos = row[12] ?? 0
  inode.mtime = row[13] ?? 0
  inode.mtimeNanos = row[14] ?? 0
  inode.ctime = row[15] ?? 0
  inode.ctimeNanos = row[16] ?? 0
  inode.btime = row[17] ?? 0
  inode.btimeNanos = row[18] ?? 0
  inode.tree = row[19] ?? 0
  const body = row[20] ?? 0
  if (body !== 0) inode.body = body
  inode.partSum = row[21] ?? 0
  return inode
}
