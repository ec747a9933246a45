/**
 * Makes a directory the top of a tree (`trees.ts`), or the top of a tree an ordinary directory again: every inode below it,
 * down to the next trees, gets another number in `inode.tree`, in one transaction, so that totals are exact before and
 * after. It takes a few microseconds an inode, during which nothing is served: there is a limit to how many these may be.
 */
import type { NodeId } from "../core/brand.ts"
import { Fault } from "../core/fault.ts"
import { damagedRow } from "./checksum.ts"
import type { Database, Query } from "./database.ts"
import type { Dentries } from "./dentries.ts"
import type { Inode } from "./inode.ts"
import type { Inodes } from "./inodes.ts"
import type { Tree, Trees } from "./trees.ts"

/** Measured: 7 µs each, so that programs wait 1.4 s at most. */
export const SUBTREE_MAX = 200_000

const TYPE_DIRECTORY = 4

interface Entry {
  readonly ino: number
  readonly type: number
  readonly tree: number
  readonly nlink: number
  readonly alloc: number
}

/** What lies in a tree, or would: inodes and the trees in it. */
interface Members {
  readonly inodes: number[]
  readonly trees: Tree[]
  bytes: number
}

export class Subtrees {
  readonly #inodes: Inodes
  readonly #dentries: Dentries
  readonly #trees: Trees
  readonly #entries: Query<[number], [number, number, number, number, number]>
  readonly #orphans: Query<[number], [number, number]>

  constructor(db: Database, inodes: Inodes, dentries: Dentries, trees: Trees) {
    this.#dentries = dentries
    this.#inodes = inodes
    this.#trees = trees
    this.#entries = db.query(
      `SELECT d.ino, d.type, i.tree, i.nlink, i.alloc FROM dentry d JOIN inode i ON i.ino = d.ino WHERE d.parent = ?`,
    )
    this.#orphans = db.query("SELECT ino, alloc FROM inode WHERE nlink = 0 AND tree = ?")
  }

  /** The tree whose top `directory` is. */
  topOf(directory: Inode): Tree | undefined {
    return directory.tree === directory.ino ? this.#trees.get(directory.ino) : undefined
  }

  /**
   * Makes `directory` the top of a tree without properties; the one it is the top of already stays as it is. To be called
   * where everything else is committed (`transactAlone`). Throws `Fault("invalid")` for a file with a name outside, "busy"
   * for too many inodes.
   */
  make(directory: Inode): Tree {
    const known = this.topOf(directory)
    if (known !== undefined) return known
    const around = directory.tree
    const members = this.#below(directory, around)
    const tree: Tree = {
      id: directory.ino,
      parent: around,
      flags: 0,
      key: 0,
      limitBytes: 0,
      limitInodes: 0,
      usedBytes: members.trees.reduce((sum, { usedBytes }) => sum + usedBytes, members.bytes),
      usedInodes: members.trees.reduce((sum, { usedInodes }) => sum + usedInodes, members.inodes.length),
    }
    this.#move(members, tree.id)
    this.#trees.save(tree)
    return tree
  }

  /**
   * Dissolves a tree into the one around it if it has no properties left. False when it stays, because it has some or too
   * many inodes. Where everything else is committed.
   */
  dissolve(tree: Tree): boolean {
    const top = this.#inodes.get(tree.id)
    if (top === undefined || tree.flags !== 0 || tree.key !== 0) return false
    if (tree.limitBytes > 0 || tree.limitInodes > 0) return false
    if (tree.usedInodes > SUBTREE_MAX) return false
    const members = this.#below(top, tree.id)
    for (const [ino, alloc] of this.#orphans.all(tree.id)) {
      if (ino === top.ino) continue
      members.inodes.push(ino)
      members.bytes += alloc
    }
    // Those whose directory has been unlinked and is still held are found here alone.
    const trees = [...this.#trees.all()].filter(({ parent }) => parent === tree.id)
    this.#move({ ...members, trees }, tree.parent)
    this.#trees.delete(tree)
    return true
  }

  #move({ inodes, trees }: Members, to: number): void {
    for (const ino of inodes) this.#inodes.assignTree(ino, to)
    for (const tree of trees) {
      tree.parent = to
      this.#trees.save(tree)
    }
  }

  /** The directory and all below it that is in tree `of`; other trees are not entered. */
  #below(top: Inode, of: number): Members {
    const members: Members = { inodes: [top.ino], trees: [], bytes: top.alloc }
    const directories: number[] = [top.ino]
    /** Names found and expected of files with several, and a directory that has one of them. */
    const linked = new Map<number, { found: number; nlink: number; parent: number }>()
    // It grows meanwhile.
    for (const parent of directories) {
      for (const entry of this.#entriesOf(parent)) {
        const tree = entry.tree === of ? undefined : this.#trees.get(entry.ino)
        // Read-only is only the directory of the snapshots, which is in no tree: they count for nobody's limits.
        if (tree !== undefined && !this.#trees.isReadOnly(tree.id)) members.trees.push(tree)
        if (entry.tree !== of) continue
        if (entry.type === TYPE_DIRECTORY) directories.push(entry.ino)
        else if (entry.nlink > 1 && !isFirst(linked, entry, parent)) continue
        members.inodes.push(entry.ino)
        members.bytes += entry.alloc
      }
      if (members.inodes.length > SUBTREE_MAX) {
        throw new Fault(
          "busy",
          `there are more than ${SUBTREE_MAX} files below ${this.pathOf(top.ino)}: programs would have to wait for too long`,
          { hint: "make a new directory, give it the property, and copy the files into it" },
        )
      }
    }
    for (const [ino, { found, nlink, parent }] of linked) {
      if (found === nlink) continue
      const name = `${this.pathOf(parent)}/${this.#nameOf(parent, ino)}`
      throw new Fault(
        "invalid",
        `${name} has another name outside of the directory: hard links can't lead out`,
      )
    }
    return members
  }

  #entriesOf(parent: number): Entry[] {
    return this.#entries
      .all(parent)
      .map(([ino, type, tree, nlink, alloc]) => ({ ino, type, tree, nlink, alloc }))
  }

  /** Where a directory lies, from the root of the store on: "/a/b". "" is the root, undefined one without a name. */
  pathOf(ino: number): string | undefined {
    const names: string[] = []
    const way = new Set<Inode>()
    for (let at = this.#inodes.get(ino); at !== undefined;) {
      if (at.nlink === 0) return undefined
      if (at.parent === at.ino) break
      if (way.has(at)) throw damagedRow(`directory ${ino}, which lies inside of itself,`)
      way.add(at)
      names.unshift(this.#nameOf(at.parent, at.ino))
      at = this.#inodes.get(at.parent)
    }
    return names.map((name) => `/${name}`).join("")
  }

  #nameOf(parent: number, ino: number): string {
    return this.#dentries.nameOf(parent as NodeId, ino as NodeId)?.toString() ?? "?"
  }
}

/** Counts a name of a file with several; whether it is the first that was found. */
function isFirst(
  linked: Map<number, { found: number; nlink: number; parent: number }>,
  { ino, nlink }: Entry,
  parent: number,
): boolean {
  const known = linked.get(ino)
  if (known === undefined) linked.set(ino, { found: 1, nlink, parent })
  else known.found += 1
  return known === undefined
}
