/** Opens a store as the first mount after a power cut would, and tells what is broken. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { pathToFileURL } from "node:url"
import type { Store } from "../../clawfs/store/store.ts"
import { TreeFlag, type Tree } from "../../clawfs/store/trees.ts"
import type { NodeId } from "../../clawfs/core/brand.ts"
import { compiledModules } from "../helpers/programs.ts"
import { brokenInvariants } from "../unit/support/invariants.ts"
import { DIRECTORY, KEY, LIMITS, digest, limited } from "./history.ts"
import type { Found } from "./promises.ts"
import { unlockAll, type KeyFiles } from "./unlocking.ts"

export interface Opened {
  readonly store: Store
  /** By the number of a key: what `KEY` of a tree with it is. */
  readonly keys: ReadonlyMap<number, string>
}

export type Opener = (directory: string) => Opened

/**
 * `Store.open` of the program under test: the module beside the command line of a variant, and the one that `dist` is made of.
 * Then all trees are unlocked.
 */
export async function openerOf(cli: string, keyFiles: KeyFiles = []): Promise<Opener> {
  const beside = join(dirname(cli), "..", "store", "store.js")
  const path = existsSync(beside) ? beside : join(compiledModules, "clawfs", "store", "store.js")
  const module = (await import(pathToFileURL(path).href)) as typeof import("../../clawfs/store/store.ts")
  return (directory) => {
    const store = module.Store.open(directory)
    return { store, keys: unlockAll(store, keyFiles) }
  }
}

const JOURNAL_HEADER = 56

/** Writes the files of a store, from another boot: with a journal that says so, or without one. */
export function putUp(directory: string, files: ReadonlyMap<string, Buffer>, hasJournal: boolean): void {
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(join(directory, "segments"), { recursive: true })
  for (const [name, bytes] of files) writeFileSync(join(directory, name), bytes)
  if (!hasJournal) return
  const header = Buffer.alloc(JOURNAL_HEADER)
  header.write("CLAWJRN100000000-0000-0000-0000-000000000000", "latin1")
  writeFileSync(join(directory, "journal"), header)
}

/** Opens the store in `directory`, checks its own rules and hands what it holds to `judge`. */
export function checkStore(
  directory: string,
  open: Opener,
  judge: (found: Found, store: Store) => string[],
): string[] {
  try {
    const opened = open(directory)
    using store = opened.store
    const { found, unreadable } = contentsOf(opened)
    return [...unreadable, ...brokenInvariants(directory), ...judge(found, store)]
  } catch (thrown) {
    return [`the store can't be opened: ${String(thrown)}`]
  }
}

/** What a picture has of the directory of a tree; nothing for snapshots, which have what their original had. */
function propertiesOf(tree: Readonly<Tree> | undefined, keys: Opened["keys"]): [string, string][] {
  if (tree === undefined || (tree.flags & TreeFlag.READ_ONLY) !== 0) return []
  const { key, limitBytes, limitInodes } = tree
  return [
    ...(key === 0 ? [] : [[KEY, keys.get(key) ?? "locked"] as [string, string]]),
    ...(limitBytes + limitInodes === 0
      ? []
      : [[LIMITS, limited(limitBytes, limitInodes)] as [string, string]]),
  ]
}

/** Everything that the store holds. */
function contentsOf({ store, keys }: Opened): { found: Found; unreadable: string[] } {
  const picture = new Map<string, string>()
  const inodes = new Map<string, NodeId>()
  const unreadable: string[] = []
  const read = (path: string): Buffer | undefined => {
    const ino = inodes.get(path)
    const inode = ino === undefined ? undefined : store.inodes.get(ino)
    if (inode === undefined) return undefined
    const bytes = Buffer.alloc(inode.size)
    store.contents.read(inode, 0, inode.size, bytes, 0)
    return bytes
  }
  const walk = (directory: NodeId, prefix: string): void => {
    for (const { name, ino } of store.dentries.list(directory, 0, 10_000)) {
      const path = prefix + name.toString()
      const inode = store.inodes.get(ino)
      if (inode?.isDirectory === true) {
        picture.set(path, DIRECTORY)
        for (const [name, what] of propertiesOf(store.trees.get(ino), keys))
          picture.set(`${path}/${name}`, what)
        walk(ino, `${path}/`)
        continue
      }
      inodes.set(path, ino)
      try {
        picture.set(path, digest(read(path) ?? Buffer.alloc(0)))
      } catch (thrown) {
        picture.set(path, "unreadable")
        unreadable.push(`${path}: ${String(thrown)}`)
      }
    }
  }
  walk(store.root().ino, "")
  const bytes = (path: string): Buffer | undefined =>
    picture.get(path) === "unreadable" ? undefined : read(path)
  return { found: { picture, bytes }, unreadable }
}
