/** What `clawfs guard` asks for: whether what is written below a directory is looked through for secrets of the vault. */
import type { Store } from "../store/store.ts"
import { guardAction, withGuard, type GuardAction } from "../store/trees.ts"
import { directoryAt, setBelow, unsetBelow } from "./tree-tops.ts"

export interface GuardState {
  /** In force for what is written; undefined: nobody looks. */
  readonly action: GuardAction | undefined
}

/** What is written below the directory `ino` is looked through from now on. Throws `Fault`: see `Subtrees.make`. */
export function guardBelow(store: Store, ino: number, action: GuardAction): GuardState {
  setBelow(store, ino, (flags) => withGuard(flags, action))
  return showGuard(store, ino)
}

/** What is written below the directory `ino` is not looked through any more. */
export function stopGuarding(store: Store, ino: number): GuardState {
  unsetBelow(store, ino, (trees) => guardAction(trees) !== undefined, withGuard)
  return showGuard(store, ino)
}

export function showGuard(store: Store, ino: number): GuardState {
  return { action: guardAction(store.trees.around(directoryAt(store, ino).tree)) }
}
