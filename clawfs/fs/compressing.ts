/** What `clawfs compress` asks for: whether, and how hard, what is written below a directory is compressed from now on. */
import { Fault } from "../core/fault.ts"
import type { Store } from "../store/store.ts"
import { compressionLevel, withCompression } from "../store/trees.ts"
import { hasZstd } from "../sys/libzstd.ts"
import { changeable, directoryAt } from "./tree-tops.ts"

export interface CompressionState {
  /** In force for new records; undefined: they are stored as they are. */
  readonly level: number | undefined
  /** The innermost tree that the directory is in; 0: none. */
  readonly tree: number
}

/** New records below the directory `ino` are compressed with `level`, 1 to 9. Throws `Fault`: see `Subtrees.make`. */
export function compressBelow(store: Store, ino: number, level: number): CompressionState {
  if (!hasZstd())
    throw new Fault("unsupported", "this machine lacks libzstd", { hint: "apt-get install libzstd1" })
  const directory = changeable(store, ino)
  store.transactAlone(() => {
    const tree = store.subtrees.make(directory)
    tree.flags = withCompression(tree.flags, level)
    store.trees.save(tree)
  })
  return showCompression(store, ino)
}

/** New records below the directory `ino` are stored as they are; those that there are stay compressed. */
export function stopCompressing(store: Store, ino: number): CompressionState {
  const directory = changeable(store, ino)
  const known = store.subtrees.topOf(directory)
  const around = compressionLevel(store.trees.around(known === undefined ? directory.tree : known.parent))
  if (known === undefined && around === undefined) return showCompression(store, ino)
  store.transactAlone(() => {
    const tree = store.subtrees.make(directory)
    tree.flags = withCompression(tree.flags, around === undefined ? "as around" : "none")
    store.trees.save(tree)
    store.subtrees.dissolve(tree)
  })
  return showCompression(store, ino)
}

export function showCompression(store: Store, ino: number): CompressionState {
  const { tree } = directoryAt(store, ino)
  return { level: compressionLevel(store.trees.around(tree)), tree }
}
