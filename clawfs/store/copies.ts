/**
 * Copies of subtrees: new inodes and names for everything below a directory, which share their contents with what they
 * were copied from. Some ten rows a file are written and no byte of a file, in statements that run over all files at
 * once. What is copied is as of the last commit and the changes of this transaction that have reached the database, so
 * nothing else may have happened in it.
 */
import { Fault } from "../core/fault.ts"
import type { NodeId } from "../core/brand.ts"
import { damagedRow, moved, sumOfPart } from "./checksum.ts"
import type { Counters } from "./counters.ts"
import type { Database } from "./database.ts"
import { S_IFDIR, S_IFMT, S_IFREG, type Inode } from "./inode.ts"
import { INODE_COLUMNS, type Inodes } from "./inodes.ts"
import { TreeFlag, type Tree, type Trees } from "./trees.ts"

export interface CopyOptions {
  /** The directory that will hold the copy; the caller enters the name and counts the link. */
  readonly parent: NodeId
  /** The tree that `parent` is in. */
  readonly tree: number
  /** The copy becomes the top of a tree of its own, whatever its source is. */
  readonly isTree: boolean
  /** It and the trees in it are read-only, or none of them is. */
  readonly isReadOnly: boolean
  /** A directory that is not copied, although it lies in what is. */
  readonly except?: Inode | undefined
}

export interface Copied {
  readonly root: NodeId
  readonly inodes: number
  /** Sum of `alloc`. */
  readonly bytes: number
}

const DIRECTORY_TYPE = S_IFDIR >>> 12

/**
 * Which inode becomes which. Of this connection, in memory. Statements begin with these (CROSS JOIN: in the order that is written):
 * SQLite, which has no statistics, would rather go through all inodes of the store and look for each whether it is copied.
 */
export const COPY_MAPS = `
CREATE TEMP TABLE IF NOT EXISTS copied (old INTEGER PRIMARY KEY, new INTEGER NOT NULL);
CREATE TEMP TABLE IF NOT EXISTS copied_tree (old INTEGER PRIMARY KEY, new INTEGER NOT NULL);
DELETE FROM copied;
DELETE FROM copied_tree;`

/** Numbers in the order of the old ones: rows that were neighbours stay neighbours. */
const NUMBER = `
INSERT INTO copied SELECT ino, ? - 1 + row_number() OVER (ORDER BY ino) FROM (
  WITH RECURSIVE below (ino, type) AS (
    SELECT ?, ${DIRECTORY_TYPE}
    UNION SELECT d.ino, d.type FROM below JOIN dentry d ON below.type = ${DIRECTORY_TYPE} AND d.parent = below.ino
    WHERE d.ino != ?
  ) SELECT ino FROM below)`

const COPY_INODES = `
INSERT INTO inode (ino, ${INODE_COLUMNS}, sum)
SELECT ino, ${INODE_COLUMNS}, row_sum(ino, ${INODE_COLUMNS}) FROM (
  SELECT m.new AS ino, mode, nlink, uid, gid, rdev, size, alloc, flags,
    CASE i.parent WHEN 0 THEN 0 ELSE coalesce(p.new, ?) END AS parent, inline_offset, inline_length, atime, atime_nanos,
    mtime, mtime_nanos, ctime, ctime_nanos, btime, btime_nanos, coalesce(t.new, 0) AS tree,
    CASE body WHEN 0 THEN i.ino ELSE body END AS body, part_sum
  FROM copied m CROSS JOIN inode i ON i.ino = m.old
    LEFT JOIN copied p ON p.old = i.parent AND i.ino != ?
    LEFT JOIN copied_tree t ON t.old = i.tree
  ORDER BY m.old)`

const COPY_NAMES = `
INSERT INTO dentry (parent, cookie, name, ino, type, sum)
SELECT p.new, d.cookie, d.name, m.new, d.type, renamed(d.sum, d.cookie, d.type, d.parent, d.ino, p.new, m.new)
FROM copied p CROSS JOIN dentry d ON d.parent = p.old CROSS JOIN copied m ON m.old = d.ino ORDER BY p.old, d.cookie`

/** Copies of inodes get checksums of their own: what is damaged must not get one that is right. */
const DAMAGED = `
SELECT i.ino FROM copied m CROSS JOIN inode i ON i.ino = m.old WHERE i.sum IS NOT row_sum(i.ino, ${INODE_COLUMNS}) LIMIT 1`

/** Of one that was changed after it had been copied. */
const SUM_INODE = `UPDATE inode SET sum = row_sum(ino, ${INODE_COLUMNS}) WHERE ino = ?`

const COPY_XATTRS = `
INSERT INTO xattr (ino, name, value, sum)
SELECT m.new, x.name, x.value, rekeyed(x.sum, x.ino, m.new) FROM copied m CROSS JOIN xattr x ON x.ino = m.old`

const COPY_LINKS = `
INSERT INTO symlink (ino, target, sum)
SELECT m.new, s.target, rekeyed(s.sum, s.ino, m.new) FROM copied m CROSS JOIN symlink s ON s.ino = m.old`

const COUNT_BODIES = `
INSERT INTO shared (body, refs)
SELECT i.body, 1 + count(*) FROM copied m CROSS JOIN inode i ON i.ino = m.new
WHERE (i.mode & ${S_IFMT}) = ${S_IFREG} GROUP BY i.body
ON CONFLICT (body) DO UPDATE SET refs = refs + excluded.refs - 1`

/** What that adds to the sum of table `shared`, of any length. */
const SUM_BODIES = `
SELECT coalesce(sum(CAST(sharing_sum(i.body) AS INTEGER)), 0) & 0xffffffff FROM copied m CROSS JOIN inode i ON i.ino = m.new
WHERE (i.mode & ${S_IFMT}) = ${S_IFREG}`

/** Names of a file outside of the subtree are not copied. */
const COUNT_LINKS = `
SELECT m.new, count(*) FROM copied p CROSS JOIN dentry d ON d.parent = p.old CROSS JOIN copied m ON m.old = d.ino
  CROSS JOIN inode i ON i.ino = d.ino
WHERE d.type != ${DIRECTORY_TYPE} AND i.nlink > 1 GROUP BY m.new`

/** What runs over all files of a copy, for the test of what it goes through. */
export const COPY_STATEMENTS = [
  ...[DAMAGED, COPY_INODES, COPY_NAMES, COPY_XATTRS, COPY_LINKS, COUNT_BODIES, SUM_BODIES, COUNT_LINKS],
]

export class Copies {
  readonly #db: Database
  readonly #counters: Counters
  readonly #inodes: Inodes
  readonly #trees: Trees

  constructor(db: Database, counters: Counters, inodes: Inodes, trees: Trees) {
    this.#db = db
    this.#counters = counters
    this.#inodes = inodes
    this.#trees = trees
  }

  /** Copies a directory and everything below, or a file. */
  copy(source: Inode, options: CopyOptions): Copied {
    const db = this.#db
    db.execute(COPY_MAPS)
    const first = this.#counters.allocateInos(0)
    const inodes = source.isDirectory
      ? this.#number(first, source, options.except)
      : this.#numberOne(first, source)
    this.#counters.allocateInos(inodes)
    const root = this.#newOf(source.ino)
    const damaged = db.query<[], [number]>(DAMAGED).get()
    if (damaged !== undefined) throw damagedRow(`inode ${damaged[0]}`)
    this.#mapTrees(source, options, root)
    db.query<[number, number]>(COPY_INODES).run(options.parent, source.ino)
    for (const sql of [COPY_NAMES, COPY_XATTRS, COPY_LINKS, COUNT_BODIES]) db.query(sql).run()
    const [added = 0] = db.query<[], [number]>(SUM_BODIES).get() ?? []
    this.#counters.sharedSum = moved(this.#counters.sharedSum, added, 0)
    const sum = db.query<[number]>(SUM_INODE)
    for (const ino of this.#countLinks(source, options.except)) sum.run(ino)
    this.#counters.inodes += inodes
    this.#inodes.forgetSole()
    return { root, inodes, bytes: this.#charge() }
  }

  #number(first: number, source: Inode, except: Inode | undefined): number {
    return this.#db.query<[number, number, number]>(NUMBER).run(first, source.ino, except?.ino ?? 0)
  }

  #numberOne(first: number, source: Inode): number {
    return this.#db
      .query<[number, number]>("INSERT INTO copied (old, new) VALUES (?, ?)")
      .run(source.ino, first)
  }

  #newOf(ino: number): NodeId {
    const copy = this.#copyOf(ino)
    if (copy === undefined) throw new Fault("bug", `BUG: inode ${ino} was not copied`)
    return copy
  }

  #copyOf(ino: number): NodeId | undefined {
    const row = this.#db.query<[number], [number]>("SELECT new FROM copied WHERE old = ?").get(ino)
    return row === undefined ? undefined : (row[0] as NodeId)
  }

  /**
   * Which tree belongs to which copy. A copy is a tree of its own where its properties differ from those around it: a limit
   * is no such property, being somebody's decision about one directory.
   */
  #mapTrees(source: Inode, options: CopyOptions, root: NodeId): void {
    const tops = new Map(
      this.#db
        .query<[], [number, number]>("SELECT t.id, m.new FROM tree t JOIN copied m ON m.old = t.id")
        .all(),
    )
    tops.delete(source.ino)
    const copies = new Map<number, number>()
    const copyOf = (old: number): number => {
      const known = copies.get(old)
      if (known !== undefined) return known
      const row = this.#trees.get(old)
      const top = tops.get(old)
      const around = top === undefined ? options.tree : copyOf(row?.parent ?? 0)
      const copy = this.#treeFor(row, top ?? root, around, top === undefined && options.isTree, options)
      copies.set(old, copy)
      return copy
    }
    for (const old of [source.tree, ...tops.keys()]) copyOf(old)
    if (!source.isDirectory && copies.get(source.tree) === root)
      throw new Fault("invalid", "a file of an encrypted tree can be copied within that tree only", {
        isClean: true,
      })
    const put = this.#db.query<[number, number]>("INSERT INTO copied_tree (old, new) VALUES (?, ?)")
    for (const [old, copy] of copies) put.run(old, copy)
  }

  #treeFor(
    source: Readonly<Tree> | undefined,
    top: number,
    around: number,
    isForced: boolean,
    { isReadOnly }: CopyOptions,
  ): number {
    const properties = (tree: Readonly<Tree> | undefined): [key: number, flags: number] => [
      tree?.key ?? 0,
      (tree?.flags ?? 0) & ~TreeFlag.READ_ONLY,
    ]
    const [key, flags] = properties(source)
    const [aroundKey, aroundFlags] = properties(this.#trees.get(around))
    if (!isForced && key === aroundKey && flags === aroundFlags) return around
    this.#trees.save({
      ...{ id: top, parent: around, key, flags: isReadOnly ? flags | TreeFlag.READ_ONLY : flags },
      ...{ limitBytes: 0, limitInodes: 0, usedBytes: 0, usedInodes: 0 },
    })
    return top
  }

  /** Returns the copies that were changed. */
  #countLinks(source: Inode, except: Inode | undefined): Set<number> {
    const changed = new Set<number>()
    const set = this.#db.query<[number, number]>("UPDATE inode SET nlink = ? WHERE ino = ?")
    const count = (ino: number, links: number): void => {
      set.run(links, ino)
      changed.add(ino)
    }
    for (const [ino, links] of this.#db.query<[], [number, number]>(COUNT_LINKS).all()) count(ino, links)
    if (!source.isDirectory) count(this.#newOf(source.ino), 1)
    if (except === undefined) return changed
    const parent = this.#copyOf(except.parent)
    if (parent === undefined) return changed
    this.#db.query<[number]>("UPDATE inode SET nlink = nlink - 1 WHERE ino = ?").run(parent)
    changed.add(parent)
    this.#lackName(except)
    return changed
  }

  /** The copy of the directory that it is in has a name less. */
  #lackName({ ino, parent }: Inode): void {
    const found = this.#db
      .query<[number, number], [number, number, number]>(
        `SELECT d.cookie, m.new, i.part_sum FROM dentry d JOIN copied m ON m.old = d.parent JOIN inode i ON i.ino = m.new
         WHERE d.parent = ? AND d.ino = ?`,
      )
      .get(parent, ino)
    if (found === undefined) return
    const [cookie, copy, sum] = found
    this.#db
      .query<[number, number]>("UPDATE inode SET part_sum = ? WHERE ino = ?")
      .run(moved(sum, 0, sumOfPart(0, cookie)), copy)
  }

  /** Returns the sum of all `alloc`. */
  #charge(): number {
    let total = 0
    const sums = this.#db
      .query<[], [number, number, number]>(
        "SELECT i.tree, sum(i.alloc), count(*) FROM copied m CROSS JOIN inode i ON i.ino = m.new GROUP BY i.tree",
      )
      .all()
    for (const [tree, bytes, inodes] of sums) {
      this.#trees.charge(tree, bytes, inodes)
      total += bytes
    }
    return total
  }
}
