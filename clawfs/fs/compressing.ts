/** What `clawfs compress` asks for: whether, and how hard, what is written below a directory is compressed from now on. */
import { Fault } from "../core/fault.ts"
import type { Store } from "../store/store.ts"
import { compressionLevel, withCompression } from "../store/trees.ts"
import { hasZstd } from "../sys/libzstd.ts"
import { directoryAt, setBelow, unsetBelow } from "./tree-tops.ts"

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
  setBelow(store, ino, (flags) => withCompression(flags, level))
  return showCompression(store, ino)
}

/** New records below the directory `ino` are stored as they are; those that there are stay compressed. */
export function stopCompressing(store: Store, ino: number): CompressionState {
  unsetBelow(store, ino, (trees) => compressionLevel(trees) !== undefined, withCompression)
  return showCompression(store, ino)
}

export function showCompression(store: Store, ino: number): CompressionState {
  const { tree } = directoryAt(store, ino)
  return { level: compressionLevel(store.trees.around(tree)), tree }
}
