/** Table `tree`: each row against the directory that it is about, the trees around it, and the sum of what is in it. */
import { TreeFlag } from "../store/trees.ts"
import type { Draft } from "./finding.ts"
import { Membership } from "./membership.ts"
import type { Pass } from "./pass.ts"
import { INO_LIMIT, PAGE, SAFE_LIMIT, change, numberOf, rowsOf } from "./scan.ts"

type Row = [
  id: number,
  parent: number,
  flags: number,
  key: number,
  limitBytes: number,
  limitInodes: number,
  usedBytes: number,
  usedInodes: number,
]

interface Tree {
  readonly row: Row
  /** The tree around it, when everything is mended that can be. */
  parent: number
  /** What tells which tree is around it. */
  isPlaced: boolean
}

interface Held {
  bytes: number
  inodes: number
}

const ALL = `SELECT id, parent, flags, key, limit_bytes, limit_inodes, used_bytes, used_inodes FROM tree
  WHERE id > ? AND id < ${INO_LIMIT} ORDER BY id LIMIT ${PAGE}`
const ALLOCATED = `SELECT ino, alloc FROM inode WHERE ino > ? AND ino < ${INO_LIMIT} ORDER BY ino LIMIT ${PAGE}`
const U32 = 2 ** 32
const FLAGS = Object.values(TreeFlag).reduce((all: number, flag) => all | flag, 0)

/** To be called when sums and names of the inodes are right. */
export function checkTrees(pass: Pass): void {
  const { db, index } = pass
  const trees = new Map<number, Tree>()
  for (const row of rowsOf<Row>(db, ALL, [0])) trees.set(row[0], { row, parent: row[1], isPlaced: false })
  const rows = numberOf(db, "SELECT count(*) FROM tree") ?? 0
  // Most stores have none.
  if (rows > 0 || index.tree.some((tree) => tree !== 0)) new TreeChecker(pass, trees, rows - trees.size).run()
}

class TreeChecker {
  readonly #pass: Pass
  readonly #trees: Map<number, Tree>
  readonly #strays: number
  readonly #membership: Membership

  constructor(pass: Pass, trees: Map<number, Tree>, strays: number) {
    this.#pass = pass
    this.#trees = trees
    this.#strays = strays
    this.#membership = new Membership(pass, (tree) => (tree === 0 ? 0 : trees.get(tree)?.row[3]))
  }

  run(): void {
    this.#membership.check()
    for (const tree of this.#trees.values()) {
      this.#columns(tree.row)
      this.#parent(tree)
    }
    this.#loops()
    const direct = this.#direct()
    const held = this.#held(direct)
    for (const tree of this.#trees.values()) this.#totals(tree, held.get(tree.row[0]))
    for (const id of this.#membership.rowless) this.#rowless(id, this.#within(id, direct), held)
    this.#strayRows()
  }

  #add(id: number, message: string, repair?: () => void): boolean {
    const draft: Draft = { kind: "tree", ino: id, message }
    return this.#pass.findings.add(repair === undefined ? draft : { ...draft, repair })
  }

  #set(id: number, column: string, value: number): () => void {
    return () => change(this.#pass.db, `UPDATE tree SET ${column} = ? WHERE id = ?`, value, id)
  }

  #columns([id, , flags, key, limitBytes, limitInodes]: Row): void {
    const known = flags >= 0 && flags < U32 ? (flags & FLAGS) >>> 0 : flags
    if (known !== flags)
      this.#add(
        id,
        `flags 0x${flags.toString(16)} have bits that mean nothing`,
        this.#set(id, "flags", known),
      )
    else if (flags < 0 || flags >= U32) this.#add(id, `flags ${flags} are no 32-bit number`)
    if (key < 0 || key >= U32) this.#add(id, `key ${key} is no 32-bit number`)
    for (const limit of [limitBytes, limitInodes])
      if (limit < 0 || limit >= SAFE_LIMIT) this.#add(id, `limit ${limit} is out of range`)
  }

  #isThere(id: number): boolean {
    return id === 0 || this.#trees.has(id) || this.#membership.rowless.has(id)
  }

  #parent(tree: Tree): void {
    const { index } = this.#pass
    const [id, said] = tree.row
    const at = index.find(id)
    const around = at >= 0 && index.isDirectory(at) ? this.#membership.around(at) : undefined
    tree.isPlaced = around !== undefined
    const right = around ?? (this.#isThere(said) && said !== id ? said : 0)
    if (right === said) return
    const message = `the tree is in tree ${right}, and says tree ${said}`
    const isSure = this.#membership.rowless.size === 0
    this.#add(id, message, isSure ? this.#set(id, "parent", right) : undefined)
    if (isSure) tree.parent = right
  }

  /** Trees whose directories tell where they are can't lie in each other; of others one is taken out. */
  #loops(): void {
    const done = new Set<number>()
    for (const start of this.#trees.keys()) {
      const way = new Set<number>()
      let id = start
      while (this.#trees.has(id) && !done.has(id) && !way.has(id)) {
        way.add(id)
        id = this.#trees.get(id)?.parent ?? 0
      }
      if (way.has(id)) this.#cut(id)
      for (const each of way) done.add(each)
    }
  }

  #cut(start: number): void {
    const loop: Tree[] = []
    for (let tree = this.#trees.get(start); tree !== undefined; tree = this.#trees.get(tree.parent)) {
      if (loop.includes(tree)) break
      loop.push(tree)
    }
    const tree = loop.find(({ isPlaced }) => !isPlaced) ?? loop[0]
    if (tree === undefined) return
    const [id] = tree.row
    this.#add(id, "the tree lies inside of itself", this.#set(id, "parent", 0))
    tree.parent = 0
  }

  /** What the inodes take that say they are in a tree. */
  #direct(): Map<number, Held> {
    const { db, index } = this.#pass
    const sums = new Map<number, Held>()
    for (const [ino, alloc] of rowsOf<[number, number]>(db, ALLOCATED, [0])) {
      const tree = index.tree[index.find(ino)] ?? 0
      if (tree !== 0) add(sums, tree, { bytes: alloc, inodes: 1 })
    }
    return sums
  }

  /** That, and what is in the trees in it. */
  #held(direct: ReadonlyMap<number, Held>): Map<number, Held> {
    const sums = new Map<number, Held>()
    for (const [tree, held] of direct)
      for (let id = tree; id !== 0; id = this.#trees.get(id)?.parent ?? 0)
        if (this.#trees.has(id)) add(sums, id, held)
    return sums
  }

  /** The same of a tree without a row. */
  #within(id: number, direct: ReadonlyMap<number, Held>): Held {
    const sums = new Map([[id, { bytes: 0, inodes: 0 }]])
    for (const [tree, held] of direct) {
      let at = tree
      while (at !== id && this.#trees.has(at)) at = this.#trees.get(at)?.parent ?? 0
      if (at === id) add(sums, id, held)
    }
    return sums.get(id) ?? { bytes: 0, inodes: 0 }
  }

  #totals({ row }: Tree, held: Held | undefined): void {
    const [id, , , , , , usedBytes, usedInodes] = row
    if (held === undefined) {
      this.#empty(id)
      return
    }
    const { bytes, inodes } = held
    // The sum of numbers that can't be: those are findings of their own.
    if ((bytes === usedBytes && inodes === usedInodes) || !Number.isSafeInteger(bytes)) return
    const message = `the tree counts ${usedBytes} bytes and ${usedInodes} inodes, there are ${bytes} and ${inodes}`
    this.#add(id, message, () =>
      change(
        this.#pass.db,
        "UPDATE tree SET used_bytes = ?, used_inodes = ? WHERE id = ?",
        Math.max(0, bytes),
        inodes,
        id,
      ),
    )
  }

  /** A row for nothing. As long as another one is missing, it may be that one under a wrong number. */
  #empty(id: number): void {
    const repair = (): void => change(this.#pass.db, "DELETE FROM tree WHERE id = ?", id)
    const isSure = this.#membership.rowless.size === 0
    this.#add(id, `there is nothing in tree ${id}`, isSure ? repair : undefined)
  }

  /** What the row said can't be made up: a key above all. But it may be there, under a number that has nothing. */
  #rowless(id: number, { bytes, inodes }: Held, held: ReadonlyMap<number, Held>): void {
    const isOnly = this.#membership.rowless.size === 1
    const fitting = [...this.#trees.values()].filter(
      ({ row }) => !held.has(row[0]) && row[6] === bytes && row[7] === inodes,
    )
    const [found] = fitting
    if (!isOnly || found === undefined || fitting.length > 1) {
      this.#add(id, `tree ${id} has no row: what its limits, its key and its flags were is lost`)
      return
    }
    const message = `tree ${id} has no row, but tree ${found.row[0]}, in which nothing is, has one that fits`
    this.#add(id, message, () =>
      change(this.#pass.db, "UPDATE tree SET id = ? WHERE id = ?", id, found.row[0]),
    )
  }

  #strayRows(): void {
    const { db, findings } = this.#pass
    if (this.#strays === 0) return
    const where = `id < 1 OR id >= ${INO_LIMIT}`
    const isSure = this.#membership.rowless.size === 0
    findings.add({
      kind: "tree",
      message: `${this.#strays} trees have a number that none can have`,
      ...(isSure ? { repair: () => change(db, `DELETE FROM tree WHERE ${where}`) } : {}),
    })
  }
}

function add(sums: Map<number, Held>, tree: number, { bytes, inodes }: Held): void {
  const sum = sums.get(tree)
  if (sum === undefined) sums.set(tree, { bytes, inodes })
  else {
    sum.bytes += bytes
    sum.inodes += inodes
  }
}
