/** What `clawfs quota` asks for: limits of directories are set, shown and taken away, each a transaction of its own. */
import { Fault } from "../core/fault.ts"
import type { Inode } from "../store/inode.ts"
import type { Store } from "../store/store.ts"
import type { Tree } from "../store/trees.ts"
import { changeable, directoryAt, nameOf } from "./tree-tops.ts"

/** Of one directory; limits of 0 are none. */
export interface Quota {
  /** From the root of the filesystem: "/agents/a". */
  readonly path: string
  readonly limitBytes: number
  readonly usedBytes: number
  readonly limitInodes: number
  readonly usedInodes: number
}

/** What is not given stays as it is. */
export interface Limits {
  readonly bytes?: number | undefined
  readonly inodes?: number | undefined
}

/** Sets limits of the directory `ino`; they may be below what is used. Throws `Fault`: see `Subtrees.make`. */
export function setQuota(store: Store, ino: number, { bytes, inodes }: Limits): Quota {
  const directory = changeable(store, ino)
  const tree = store.transactAlone(() => {
    const made = store.subtrees.make(directory)
    if (bytes !== undefined) made.limitBytes = bytes
    if (inodes !== undefined) made.limitInodes = inodes
    store.trees.save(made)
    return made
  })
  return quotaOf(store, tree)
}

/**
 * Takes the limits away; a directory without other properties is an ordinary one again. `isTree`: that is not so, and
 * renames across its border still copy.
 */
export function removeQuota(store: Store, ino: number): { isTree: boolean } {
  const directory = changeable(store, ino)
  const tree = limited(store, directory)
  const dissolved = store.transactAlone(() => {
    tree.limitBytes = 0
    tree.limitInodes = 0
    store.trees.save(tree)
    return store.subtrees.dissolve(tree)
  })
  return { isTree: !dissolved }
}

export function showQuota(store: Store, ino: number): Quota {
  return quotaOf(store, limited(store, directoryAt(store, ino)))
}

/** All that have a limit, by path. */
export function listQuotas(store: Store): Quota[] {
  return [...store.trees.all()]
    .filter((tree) => isLimited(tree) && store.subtrees.pathOf(tree.id) !== undefined)
    .map((tree) => quotaOf(store, tree))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
}

function isLimited({ limitBytes, limitInodes }: Readonly<Tree>): boolean {
  return limitBytes > 0 || limitInodes > 0
}

function limited(store: Store, directory: Inode): Tree {
  const tree = store.subtrees.topOf(directory)
  if (tree !== undefined && isLimited(tree)) return tree
  throw new Fault("not-found", `${nameOf(store, directory.ino)} has no quota`, {
    hint: "clawfs quota list shows what has one",
  })
}

function quotaOf(store: Store, tree: Readonly<Tree>): Quota {
  const { limitBytes, usedBytes, limitInodes, usedInodes } = tree
  return { path: nameOf(store, tree.id), limitBytes, usedBytes, limitInodes, usedInodes }
}
