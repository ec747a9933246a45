/** Which tree each inode is in: that of its directory, but for the directories that are the top of one. */
import { ROOT_NODE } from "../core/brand.ts"
import { LOST_AND_FOUND, inRoot } from "./lost-and-found.ts"
import { Home } from "./inode-index.ts"
import type { Pass } from "./pass.ts"
import { change } from "./scan.ts"

/** Where copies are kept, a tree that is in no other one. */
const SNAPSHOTS = ".snapshots"
const UNKNOWN = -1
const ON_THE_WAY = -2

export class Membership {
  readonly #pass: Pass
  readonly #keyOf: (tree: number) => number | undefined
  readonly #lostAndFound: number | undefined
  readonly #snapshots: number | undefined
  /** Of directories: the tree that is right, as far as it is known. */
  readonly #trees: Float64Array
  /** Directories that say they are the top of a tree, which has no row. */
  readonly rowless = new Set<number>()

  /** `keyOf`: the encryption key of a tree; undefined when it has no row. */
  constructor(pass: Pass, keyOf: (tree: number) => number | undefined) {
    const { index } = pass
    this.#pass = pass
    this.#keyOf = keyOf
    this.#lostAndFound = inRoot(pass, LOST_AND_FOUND)
    this.#snapshots = inRoot(pass, SNAPSHOTS)
    this.#trees = new Float64Array(index.size).fill(UNKNOWN)
    for (let at = 0; at < index.size; at += 1) {
      const ino = index.ino[at] ?? 0
      if (index.isDirectory(at) && index.tree[at] === ino && keyOf(ino) === undefined) this.rowless.add(ino)
    }
  }

  /** Compares what inodes say with where they are; the index has the right value afterwards, where there is one. */
  check(): void {
    const { index } = this.#pass
    for (let at = 0; at < index.size; at += 1) {
      const right = this.#treeOf(at)
      const isLinked = !index.isDirectory(at) && (index.names[at] ?? 0) > 1
      if (isLinked && index.home[at] === (Home.SAME | Home.OTHER)) this.#torn(at)
      else if (right !== index.tree[at]) this.#astray(at, right)
    }
  }

  /** The tree that the directory of this directory is in; undefined when nothing tells. */
  around(at: number): number | undefined {
    const { index } = this.#pass
    if (index.ino[at] === ROOT_NODE) return 0
    // Snapshots of what is in a tree are not charged to it.
    if (index.ino[at] === this.#snapshots) return undefined
    const parent = this.#directoryOf(at)
    return parent < 0 ? undefined : this.#treeOf(parent)
  }

  /** The place of the directory that says which tree this is in; -1: nothing does. */
  #directoryOf(at: number): number {
    const { index } = this.#pass
    const parent = index.nameParent[at] ?? 0
    // What hangs there came from anywhere, and may be encrypted with the key of the tree that it was in.
    if (index.names[at] === 0 || parent === this.#lostAndFound) return -1
    return index.find(parent)
  }

  #isTop(at: number): boolean {
    const { index } = this.#pass
    const ino = index.ino[at] ?? 0
    return index.isDirectory(at) && (this.#keyOf(ino) !== undefined || this.rowless.has(ino))
  }

  /** What the inode says, if there is such a tree. */
  #said(at: number): number {
    const tree = this.#pass.index.tree[at] ?? 0
    return this.#keyOf(tree) !== undefined || this.rowless.has(tree) ? tree : 0
  }

  #treeOf(start: number): number {
    const { index } = this.#pass
    const way: number[] = []
    let [at, tree] = [start, UNKNOWN]
    while (tree === UNKNOWN) {
      const known = this.#trees[at] ?? UNKNOWN
      const parent = this.#directoryOf(at)
      if (known >= 0) tree = known
      else if (this.#isTop(at)) tree = index.ino[at] ?? 0
      else if (index.ino[at] === ROOT_NODE) tree = 0
      // A directory in itself is a finding of its own.
      else if (parent < 0 || known === ON_THE_WAY) tree = this.#said(at)
      if (index.isDirectory(at)) {
        way.push(at)
        this.#trees[at] = ON_THE_WAY
      }
      at = parent
    }
    for (const each of way) this.#trees[each] = this.#isTop(each) ? (index.ino[each] ?? 0) : tree
    return tree
  }

  #torn(at: number): void {
    const ino = this.#pass.index.ino[at] ?? 0
    this.#pass.findings.add({ kind: "tree", ino, message: "its names are in directories of several trees" })
  }

  #astray(at: number, right: number): void {
    const { db, findings, index } = this.#pass
    const [ino = 0, said = 0] = [index.ino[at], index.tree[at]]
    const name = (tree: number): string => (tree === 0 ? "no tree" : `tree ${tree}`)
    const message =
      right === ino
        ? `it is the top of ${name(ino)}, and says ${name(said)}`
        : `it belongs into ${name(right)}, and says ${name(said)}`
    // With another key it could not be read. A tree without a row makes it doubtful what each of them is.
    const isSure =
      right === ino || this.#keyOf(said) === undefined || this.#keyOf(said) === this.#keyOf(right)
    const repair = (): void => change(db, "UPDATE inode SET tree = ? WHERE ino = ?", right, ino)
    if (!isSure || this.rowless.size > 0) {
      findings.add({ kind: "tree", ino, message })
      return
    }
    findings.add({ kind: "tree", ino, message, repair })
    index.tree[at] = right
  }
}
