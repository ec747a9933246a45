/** Which inodes are encrypted, read from the tables alone: without keys, and in a store that may be damaged. */
import type { Database, Query } from "./database.ts"

export class EncryptedTrees {
  /** Trees that have a key, or lie in one that has: which. */
  readonly trees: ReadonlyMap<number, number>
  readonly #treeOf: Query<[number], [number]>
  #last = 0
  #lastKey = 0

  constructor(db: Database) {
    this.trees = keysOfTrees(db)
    this.#treeOf = db.query("SELECT tree FROM inode WHERE ino = ?")
  }

  /** The key that an inode is encrypted under; 0: none. */
  keyOf(ino: number): number {
    if (this.trees.size === 0) return 0
    if (ino !== this.#last) {
      this.#last = ino
      this.#lastKey = this.trees.get(this.#treeOf.get(ino)?.[0] ?? 0) ?? 0
    }
    return this.#lastKey
  }

  /** The directories that are encrypted under a key: a tree and its snapshots. */
  topsOf(key: number): { ino?: number }[] {
    const tops = [...this.trees].flatMap(([ino, each]) => (each === key ? [{ ino }] : []))
    return tops.length > 0 ? tops : [{}]
  }

  has(ino: number): boolean {
    return this.keyOf(ino) !== 0
  }
}

function keysOfTrees(db: Database): ReadonlyMap<number, number> {
  // A number in a damaged row makes no tree encrypted: that takes a key, too.
  const ids = db.query<[], [number]>("SELECT id FROM key UNION SELECT key FROM file_key").all()
  const keys = new Set(ids.map(([id]) => id))
  const rows = db
    .query<[], [id: number, parent: number, key: number]>("SELECT id, parent, key FROM tree")
    .all()
  const trees = new Map(rows.map(([id, parent, key]) => [id, { parent, key }]))
  const found = new Map<number, number>()
  for (const id of trees.keys()) {
    const seen = new Set<number>()
    // Rows that are damaged may go round in circles.
    for (let at = id; !seen.has(at);) {
      seen.add(at)
      const tree = trees.get(at)
      if (tree === undefined) break
      if (keys.has(tree.key)) found.set(id, tree.key)
      if (tree.key !== 0) break
      at = tree.parent
    }
  }
  return found
}
