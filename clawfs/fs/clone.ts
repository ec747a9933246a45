/** Copies of files and directories that share their contents with the original until one of both is written to. */
import { present } from "../core/assert.ts"
import { Fault, mountedReadOnly } from "../core/fault.ts"
import type { Stale } from "../fuse/notify.ts"
import type { Inode } from "../store/inode.ts"
import type { Copied } from "../store/copies.ts"
import { guardAction } from "../store/trees.ts"
import { now } from "../sys/clock.ts"
import type { Environment } from "./environment.ts"
import { find, findPlace, printable } from "./path.ts"
import { withinLimits } from "./quota.ts"
import { isWithin } from "./rename.ts"
import { homeOf } from "./snapshots.ts"

export interface Cloned {
  readonly copied: Copied
  readonly stale: Stale
}

/**
 * Copies what is at `source` to `target`, which must not exist; its directory must. Throws a `Fault` with the reason:
 * "exists", "not-found", "invalid", "read-only", "denied".
 */
export function clone(env: Environment, source: Buffer, target: Buffer): Cloned {
  const { store } = env
  if (store.readOnly) throw mountedReadOnly()
  store.requireRoom()
  const from = find(env, source)
  const { directory, name } = findPlace(env, target)
  if (store.dentries.find(directory.ino, name) !== undefined)
    throw new Fault("exists", `${printable(target)} exists already`)
  if (store.trees.isReadOnly(directory.tree))
    throw new Fault("read-only", `${printable(target)} lies in a snapshot, which is read-only`)
  if (!from.isDirectory && !from.isRegular && !from.isSymlink)
    throw new Fault("invalid", "only files, links and directories can be cloned")
  if (from.tree !== directory.tree && guardAction(store.trees.around(directory.tree)) !== undefined)
    throw new Fault("denied", `${printable(target)} lies in a guarded directory: nothing is cloned into it`, {
      hint: "cp copies instead, and what it writes is looked through",
    })
  if (isWithin(env, directory, from)) throw new Fault("invalid", "a directory can't be cloned into itself")
  const copied = store.transactAlone(() => withinLimits(env, () => copyInto(env, from, directory, name)))
  return { copied, stale: { entries: [{ parent: directory.ino, name }], inodes: [directory.ino] } }
}

/** Part of a transaction of its own: see `Copies`. */
function copyInto(env: Environment, source: Inode, directory: Inode, name: Buffer): Copied {
  const { store } = env
  const copied = store.copies.copy(source, {
    ...{ parent: directory.ino, tree: directory.tree, isTree: false, isReadOnly: false },
    except: homeOf(env),
  })
  const snapshot = store.snapshots.of(source.ino)
  if (snapshot !== undefined) {
    const root = present(store.inodes.get(copied.root), "top of the copy")
    Object.assign(root, { uid: snapshot.uid, mode: snapshot.mode })
    store.inodes.save(root)
  }
  store.dentries.insert(directory.ino, name, copied.root, source.type)
  if (source.isDirectory) directory.nlink += 1
  directory.touchContents(now())
  store.inodes.save(directory)
  return copied
}
