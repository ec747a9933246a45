/** Directories that somebody wants to give a property to. */
import { Fault, mountedReadOnly } from "../core/fault.ts"
import type { Inode } from "../store/inode.ts"
import type { Store } from "../store/store.ts"
import type { Tree } from "../store/trees.ts"

/** The directory `ino`. Throws a `Fault` for what is gone or no directory. */
export function directoryAt(store: Store, ino: number): Inode {
  const inode = store.inodes.get(ino)
  if (inode === undefined || inode.nlink === 0) throw new Fault("not-found", "the directory is gone")
  if (!inode.isDirectory) throw new Fault("invalid", `${nameOf(store, ino)} is not a directory`)
  return inode
}

/** The same, for a change: not on a read-only mount, and not in a snapshot. */
export function changeable(store: Store, ino: number): Inode {
  if (store.readOnly) throw mountedReadOnly()
  const directory = directoryAt(store, ino)
  if (store.trees.isReadOnly(directory.tree))
    throw new Fault("read-only", `${nameOf(store, ino)} is in a snapshot, and nothing in that changes`, {
      hint: "clawfs clone makes a copy that can be changed",
    })
  return directory
}

/** What is written below the directory `ino` has other flags from now on. Throws `Fault`: see `Subtrees.make`. */
export function setBelow(store: Store, ino: number, change: (flags: number) => number): void {
  const directory = changeable(store, ino)
  store.transactAlone(() => {
    const tree = store.subtrees.make(directory)
    tree.flags = change(tree.flags)
    store.trees.save(tree)
  })
}

/**
 * The end of what `setBelow` began: as it is around the directory, or, where that has the property too, expressly without it. `has` tells
 * whether one of the trees, from the inside, gives the property.
 */
export function unsetBelow(
  store: Store,
  ino: number,
  has: (trees: Iterable<Tree>) => boolean,
  change: (flags: number, to: "as around" | "none") => number,
): void {
  const directory = changeable(store, ino)
  const known = store.subtrees.topOf(directory)
  const isAround = has(store.trees.around(known === undefined ? directory.tree : known.parent))
  if (known === undefined && !isAround) return
  store.transactAlone(() => {
    const tree = store.subtrees.make(directory)
    tree.flags = change(tree.flags, isAround ? "none" : "as around")
    store.trees.save(tree)
    store.subtrees.dissolve(tree)
  })
}

/** Where it lies, for people. */
export function nameOf(store: Store, ino: number): string {
  const inode = store.inodes.get(ino)
  if (inode?.isDirectory !== true) return "this"
  const path = store.subtrees.pathOf(ino)
  return path === undefined || path === "" ? "/" : path
}
