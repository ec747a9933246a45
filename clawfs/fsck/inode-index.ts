/**
 * What the checks must know of all inodes at once, in typed arrays: some 55 bytes each. An inode is named by its place in
 * them, which is in the order of inode numbers.
 */
import { ROOT_NODE } from "../core/brand.ts"
import type { Database } from "../store/database.ts"
import { INO_LIMIT, PAGE, numberOf, rowsOf } from "./scan.ts"

export const DT_DIR = 4

/** For a mode that stands for no type. */
export const NO_TYPE = 255

const MODE_MAX = 0o177777
/** FIFO, character device, directory, block device, file, link, socket. */
const TYPES: readonly number[] = [1, 2, DT_DIR, 6, 8, 10, 12]

/** The file type as in readdir(3) that a mode says. */
export function typeOf(mode: number): number {
  const type = mode >= 0 && mode <= MODE_MAX ? mode >>> 12 : NO_TYPE
  return TYPES.includes(type) ? type : NO_TYPE
}

/** See `InodeIndex.home`. */
export const Home = { SAME: 1, OTHER: 2 } as const

export class InodeIndex {
  readonly size: number
  readonly ino: Float64Array
  /** See `typeOf`. */
  readonly type: Uint8Array
  /** The count in the row is 0. */
  readonly isUnlinked: Uint8Array
  /** Directories: what their row says. */
  readonly parent: Float64Array
  /** Names that were found. */
  readonly names: Uint32Array
  /** Directories: subdirectories that were found in it. */
  readonly subdirectories: Uint32Array
  /** Directories: there are entries in it. */
  readonly isFilled: Uint8Array
  /** Its contents are those of another number than its own. */
  readonly isElsewhere: Uint8Array
  /** The tree that it says it is in. */
  readonly tree: Float64Array
  /** Whether names lie in directories of that tree, and of others: bits of `Home`. */
  readonly home: Uint8Array
  /** The key of the first name that was found: its directory (0: none), and its cookie. */
  readonly nameParent: Float64Array
  readonly nameCookie: Float64Array

  constructor(db: Database, onRow: () => void) {
    const most = numberOf(db, `SELECT count(*) FROM inode WHERE ino > 0 AND ino < ${INO_LIMIT}`) ?? 0
    this.ino = new Float64Array(most)
    this.type = new Uint8Array(most)
    this.isUnlinked = new Uint8Array(most)
    this.parent = new Float64Array(most)
    this.names = new Uint32Array(most)
    this.subdirectories = new Uint32Array(most)
    this.isFilled = new Uint8Array(most)
    this.isElsewhere = new Uint8Array(most)
    this.tree = new Float64Array(most)
    this.home = new Uint8Array(most)
    this.nameParent = new Float64Array(most)
    this.nameCookie = new Float64Array(most)
    let at = 0
    for (const row of rowsOf<[number, number, number, number, number, number]>(db, ALL, [0])) {
      if (at === most) break
      const [ino, mode, nlink, parent, tree, body] = row
      this.ino[at] = ino
      this.type[at] = typeOf(mode)
      this.isUnlinked[at] = nlink === 0 ? 1 : 0
      this.parent[at] = parent
      this.tree[at] = tree
      this.isElsewhere[at] = body === 0 || body === ino ? 0 : 1
      at += 1
      onRow()
    }
    this.size = at
  }

  /** The place of an inode; -1 when there is none of that number. */
  find(ino: number): number {
    // Most stores were filled once: few numbers are missing.
    if (this.ino[ino - 1] === ino) return ino - 1
    let [low, high] = [0, this.size - 1]
    while (low <= high) {
      const middle = (low + high) >>> 1
      const found = this.ino[middle] ?? 0
      if (found === ino) return middle
      if (found < ino) low = middle + 1
      else high = middle - 1
    }
    return -1
  }

  isDirectory(at: number): boolean {
    return this.type[at] === DT_DIR
  }

  /** No name leads to it, and that is no leftover of a file which was unlinked while it was open. */
  isLost(at: number): boolean {
    if (this.ino[at] === ROOT_NODE || this.names[at] !== 0) return false
    return this.isUnlinked[at] === 0 || this.isFilled[at] !== 0
  }
}

const ALL = `SELECT ino, mode, nlink, parent, tree, body FROM inode WHERE ino > ? AND ino < ${INO_LIMIT}
  ORDER BY ino LIMIT ${PAGE}`
