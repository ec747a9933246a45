/** Which inodes are encrypted. What they have is checked without a key, as far as that goes. */
import { BLOB_OVERHEAD, IV_BYTES } from "../../keyring/primitives.ts"
import { NAME_BLOCK } from "../../keyring/file-key.ts"
import type { Database, Query } from "../store/database.ts"
import { Trees } from "../store/trees.ts"

export { BLOB_OVERHEAD }

const NAME_MAX = 255

/** SQL: the bytes of a file in a row of `inline`. An encrypted piece has a nonce and a tag around them. */
export const PIECE_LENGTH = `max(0, length(data) - ${BLOB_OVERHEAD} * (body IN (SELECT body FROM file_key)))`

export class Sealed {
  /** Trees that have a key, or lie in one that has. */
  readonly #trees = new Map<number, number>()
  readonly #treeOf: Query<[number], [number]>
  #last = 0
  #lastKey = 0

  constructor(db: Database) {
    const trees = new Trees(db)
    // A number in a damaged row makes no tree encrypted: that takes a key, too.
    const keys = new Set(
      db
        .query<[], [number]>("SELECT id FROM key UNION SELECT key FROM file_key")
        .all()
        .map(([id]) => id),
    )
    for (const { id } of trees.all()) {
      const seen = new Set<number>()
      for (const tree of trees.around(id)) {
        // Rows that are damaged may go round in circles.
        if (seen.has(tree.id)) break
        seen.add(tree.id)
        if (tree.key === 0) continue
        if (keys.has(tree.key)) this.#trees.set(id, tree.key)
        break
      }
    }
    this.#treeOf = db.query("SELECT tree FROM inode WHERE ino = ?")
  }

  get trees(): ReadonlyMap<number, number> {
    return this.#trees
  }

  /** The key that an inode is encrypted under; 0: none. */
  keyOf(ino: number): number {
    if (this.#trees.size === 0) return 0
    if (ino !== this.#last) {
      this.#last = ino
      this.#lastKey = this.#trees.get(this.#treeOf.get(ino)?.[0] ?? 0) ?? 0
    }
    return this.#lastKey
  }

  has(ino: number): boolean {
    return this.keyOf(ino) !== 0
  }
}

/** Whether a name's cell has a length that one can have. */
export function isCell(cell: Buffer): boolean {
  const blocks = (cell.length - IV_BYTES) / NAME_BLOCK
  return Number.isInteger(blocks) && blocks >= 1 && blocks <= Math.ceil(NAME_MAX / NAME_BLOCK)
}

/** What stands for a name that can't be read. */
export function standIn(cell: Buffer): Buffer {
  return Buffer.from(`<encrypted ${cell.toString("hex", 0, 4)}>`)
}
