/**
 * Table `tree`: directories with properties of their own, which hold for all that is below, up to the next such directory.
 * Every inode names its innermost tree; what it takes is charged to that one and to those around it, so that their totals
 * are exact at any time. Nothing moves or is linked from one tree to another (EXDEV), as with XFS projects.
 */
import { damagedRow, sumOf, type Sum } from "./checksum.ts"
import type { Database, Query } from "./database.ts"

export const TreeFlag = {
  /** Nothing in it changes: a snapshot. */
  READ_ONLY: 1,
  /** New records are compressed; the level is in the bits of `LEVEL`. */
  COMPRESS: 2,
  /** New records are not compressed, although those of the tree around are. */
  NO_COMPRESS: 4,
  /** What is written is looked through for values of the vault's secrets: refused, or only told. */
  GUARD_BLOCK: 8,
  GUARD_ALERT: 0x10,
  /** It is not, although that of the tree around is. */
  NO_GUARD: 0x20,
  /** 1 to 9, shifted. */
  LEVEL: 0x1f00,
} as const

const LEVEL_SHIFT = 8
const COMPRESSION_FLAGS = TreeFlag.COMPRESS | TreeFlag.NO_COMPRESS | TreeFlag.LEVEL

/** The level of the innermost of these trees that says something of compression; undefined: none. */
export function compressionLevel(trees: Iterable<Readonly<Tree>>): number | undefined {
  for (const { flags } of trees) {
    if ((flags & TreeFlag.COMPRESS) !== 0) return (flags & TreeFlag.LEVEL) >>> LEVEL_SHIFT
    if ((flags & TreeFlag.NO_COMPRESS) !== 0) return undefined
  }
  return undefined
}

/** Flags with another wish for compression: a level, none although the tree around compresses, or as that tree does. */
export function withCompression(flags: number, wish: number | "none" | "as around"): number {
  const others = flags & ~COMPRESSION_FLAGS
  if (wish === "as around") return others
  return others | (wish === "none" ? TreeFlag.NO_COMPRESS : TreeFlag.COMPRESS | (wish << LEVEL_SHIFT))
}

/** What happens to a write with a value of a secret in it: it is refused · it is done, and written down. */
export type GuardAction = "block" | "alert"

const GUARD_FLAGS = TreeFlag.GUARD_BLOCK | TreeFlag.GUARD_ALERT | TreeFlag.NO_GUARD

/** What the innermost of these trees that says something of it wants; undefined: nobody looks. */
export function guardAction(trees: Iterable<Readonly<Tree>>): GuardAction | undefined {
  for (const { flags } of trees) {
    if ((flags & TreeFlag.GUARD_BLOCK) !== 0) return "block"
    if ((flags & TreeFlag.GUARD_ALERT) !== 0) return "alert"
    if ((flags & TreeFlag.NO_GUARD) !== 0) return undefined
  }
  return undefined
}

/** Flags with another wish for the guard: an action, none although the tree around has one, or as that tree does. */
export function withGuard(flags: number, wish: GuardAction | "none" | "as around"): number {
  const others = flags & ~GUARD_FLAGS
  if (wish === "as around") return others
  if (wish === "none") return others | TreeFlag.NO_GUARD
  return others | (wish === "block" ? TreeFlag.GUARD_BLOCK : TreeFlag.GUARD_ALERT)
}

/** A row, as the server works with it. */
export interface Tree {
  /** Inode number of the directory. */
  readonly id: number
  /** The tree around this one; 0: none. */
  parent: number
  flags: number
  /** Encryption key; 0: none. */
  key: number
  /** The most bytes and inodes that it may hold; 0: no limit. */
  limitBytes: number
  limitInodes: number
  /** What its inodes, and those of the trees in it, take. */
  usedBytes: number
  usedInodes: number
}

export interface Amount {
  readonly bytes: number
  readonly inodes: number
}

type Row = [number, number, number, number, number, number, number, number]

export const TREE_COLUMNS = "id, parent, flags, key, limit_bytes, limit_inodes, used_bytes, used_inodes"

export class Trees {
  /** All rows: there are as many as somebody has made by hand, and some by snapshot. */
  readonly #rows = new Map<number, Tree>()
  readonly #changed = new Set<Tree>()
  readonly #all: Query<[], [...Row, sum: Sum]>
  readonly #put: Query<[...Row, sum: number]>
  readonly #delete: Query<[number]>

  constructor(db: Database) {
    this.#all = db.query(`SELECT ${TREE_COLUMNS}, sum FROM tree`)
    this.#put = db.query(
      `INSERT OR REPLACE INTO tree (${TREE_COLUMNS}, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    )
    this.#delete = db.query("DELETE FROM tree WHERE id = ?")
    this.reload()
  }

  /** After a rollback. */
  reload(): void {
    this.#rows.clear()
    this.#changed.clear()
    for (const row of this.#all.all()) this.#rows.set(row[0], fromRow(row))
  }

  get(id: number): Tree | undefined {
    return id === 0 ? undefined : this.#rows.get(id)
  }

  all(): Iterable<Readonly<Tree>> {
    return this.#rows.values()
  }

  /** A new tree, or one that was changed; its row is written by `flush`. */
  save(tree: Tree): void {
    this.#rows.set(tree.id, tree)
    this.#changed.add(tree)
  }

  /** One that nothing belongs to any more. */
  delete(tree: Tree): void {
    this.#rows.delete(tree.id)
    this.#changed.delete(tree)
    this.#delete.run(tree.id)
  }

  isReadOnly(id: number): boolean {
    return ((this.get(id)?.flags ?? 0) & TreeFlag.READ_ONLY) !== 0
  }

  /** The tree `id` and those around it, from the inside out. Throws `Fault("corrupt")` where that never comes to an end. */
  *around(id: number): Generator<Tree> {
    let steps = 0
    for (let at = id; at !== 0;) {
      const tree = this.#rows.get(at)
      steps += 1
      if (steps > this.#rows.size + 1) throw damagedRow(`the row of tree ${id}, which lies inside of itself,`)
      // What is missing here may have been what encrypted, or limited, all below it.
      if (tree === undefined) throw damagedRow(`the row of tree ${at}`)
      yield tree
      at = tree.parent
    }
  }

  /** What the tree `id` may still take, as the tightest of the trees around says: below 0 where a limit was lowered. */
  room(id: number): Amount {
    const room = { bytes: Infinity, inodes: Infinity }
    if (id === 0) return room
    for (const { limitBytes, usedBytes, limitInodes, usedInodes } of this.around(id)) {
      if (limitBytes > 0) room.bytes = Math.min(room.bytes, limitBytes - usedBytes)
      if (limitInodes > 0) room.inodes = Math.min(room.inodes, limitInodes - usedInodes)
    }
    return room
  }

  /** Adds to (or takes from) what a tree and those around it hold. */
  charge(id: number, bytes: number, inodes: number): void {
    if (id === 0) return
    for (const tree of this.around(id)) {
      tree.usedBytes += bytes
      tree.usedInodes += inodes
      this.#changed.add(tree)
    }
  }

  /** Writes changed rows; part of every commit. A tree without inodes is gone; true if one of them had a key. */
  flush(): boolean {
    let hadKey = false
    for (const tree of this.#changed) {
      if (tree.usedInodes > 0) this.#put.run(...toRow(tree), sumOf(tree.id, toRow(tree)))
      else {
        this.#delete.run(tree.id)
        this.#rows.delete(tree.id)
        if (tree.key !== 0) hadKey = true
      }
    }
    this.#changed.clear()
    return hadKey
  }
}

/** Throws `Fault("corrupt")` for a row that is not as it was written: a wrong key would show what is encrypted as it is stored. */
function fromRow([...row]: [...Row, sum: Sum]): Tree {
  const sum = row.pop() as Sum
  const [id, parent, flags, key, limitBytes, limitInodes, usedBytes, usedInodes] = row as unknown as Row
  if (sum !== sumOf(id, row)) throw damagedRow(`the row of tree ${id}`)
  return { id, parent, flags, key, limitBytes, limitInodes, usedBytes, usedInodes }
}

function toRow(tree: Tree): Row {
  const { id, parent, flags, key, limitBytes, limitInodes, usedBytes, usedInodes } = tree
  return [id, parent, flags, key, limitBytes, limitInodes, usedBytes, usedInodes]
}
