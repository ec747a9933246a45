/**
 * Snapshots: copies of directories below `/.snapshots`, a directory that listings of the root leave out and that is a
 * read-only tree itself. They are made at one instant, between two requests, and are ordinary directories from then on.
 */
import { ROOT_NODE, type NodeId } from "../core/brand.ts"
import { present } from "../core/assert.ts"
import { Fault, mountedReadOnly } from "../core/fault.ts"
import type { Stale } from "../fuse/notify.ts"
import { S_IFDIR, type Inode } from "../store/inode.ts"
import type { Snapshot } from "../store/snapshots.ts"
import { newInode } from "../store/store.ts"
import { TreeFlag } from "../store/trees.ts"
import { now } from "../sys/clock.ts"
import type { Environment } from "./environment.ts"
import { SNAPSHOTS } from "./hidden.ts"
import { ancestorsOf, find } from "./path.ts"

/** What is being deleted, in `/.snapshots`; no snapshot's name begins with a dot. */
const TRASH = ".trash-"
const NAME = /^[A-Za-z0-9][A-Za-z0-9._:+@-]{0,127}$/
const HOME_MODE = S_IFDIR | 0o755
const S_IRWXU = 0o700
const S_IRWXG = 0o070
const S_IRWXO = 0o007

export interface Made {
  readonly snapshot: Snapshot
  readonly stale: Stale
}

/**
 * Copies the directory at `path`. Throws `Fault("exists")` for a name that is taken, "invalid" for one that can't be or a
 * path to no directory.
 */
export function createSnapshot(
  env: Environment,
  { name, path, isWritable }: { name: string; path: Buffer; isWritable: boolean },
): Made {
  const { store } = env
  if (store.readOnly) throw mountedReadOnly()
  store.requireRoom()
  if (!NAME.test(name))
    throw new Fault(
      "invalid",
      "a snapshot's name has up to 128 letters, digits and any of . _ : + @ -, and begins with a letter or digit",
    )
  if (store.snapshots.find(name) !== undefined)
    throw new Fault("exists", `there is a snapshot "${name}" already`, {
      hint: "choose another name, or delete that one: clawfs snapshot delete NAME",
    })
  const source = find(env, path)
  if (!source.isDirectory) throw new Fault("invalid", "only directories can be snapshotted")
  requireKnownPath(env, source)
  if (source === homeOf(env))
    throw new Fault("invalid", "the directory of the snapshots can't be snapshotted")
  // On its own: a copy of the root is to leave it out, and knows only what has been written.
  if (homeOf(env) === undefined) store.transactAlone(() => makeHome(env))
  const snapshot = store.transactAlone(() => {
    const home = present(homeOf(env), "directory of the snapshots")
    const copied = store.copies.copy(source, {
      ...{ parent: home.ino, tree: home.ino, isTree: true, isReadOnly: !isWritable },
      except: source.ino === ROOT_NODE ? home : undefined,
    })
    const root = present(store.inodes.get(copied.root), "top of the copy")
    const { uid, mode } = source
    Object.assign(root, narrowed(source, ancestorsOf(env, source)))
    store.inodes.save(root)
    enter(env, home, Buffer.from(name), root)
    const { inodes, bytes } = copied
    const made = {
      root: root.ino,
      name,
      source: source.ino,
      path,
      created: now().seconds,
      uid,
      mode,
      inodes,
      bytes,
    }
    store.snapshots.insert(made)
    return made
  })
  const home = present(homeOf(env), "directory of the snapshots")
  return { snapshot, stale: staleIn(home, name) }
}

/** The path of what is copied is kept in the clear: no name in it may be one of an encrypted tree. */
export function requireKnownPath({ store }: Environment, source: Inode): void {
  const above = store.inodes.get(source.parent)
  if (above !== undefined && above !== source && store.sealing.isEncrypted(above))
    throw new Fault(
      "invalid",
      "of an encrypted tree only the whole can be snapshotted: a path in it is secret",
    )
}

/** Takes a snapshot's name away; what it held is removed in slices (`Removal`). */
export function deleteSnapshot(env: Environment, name: string): Stale {
  const { store } = env
  if (store.readOnly) throw mountedReadOnly()
  const snapshot = findSnapshot(env, name)
  const home = present(homeOf(env), "directory of the snapshots")
  store.transactAlone(() => {
    const entry = present(store.dentries.find(home.ino, Buffer.from(name)), "name of the snapshot")
    const root = present(store.inodes.get(entry.ino), "top of the snapshot")
    store.dentries.remove(home.ino, Buffer.from(name), entry)
    store.dentries.insert(home.ino, Buffer.from(`${TRASH}${root.ino}`), root.ino, root.type)
    home.touchContents(now())
    store.inodes.save(home)
    store.snapshots.delete(snapshot.root)
  })
  return staleIn(home, name)
}

export function findSnapshot(env: Environment, name: string): Snapshot {
  const snapshot = env.store.snapshots.find(name)
  if (snapshot === undefined)
    throw new Fault("not-found", `there is no snapshot "${name}"`, {
      hint: "clawfs snapshot list shows them",
    })
  return snapshot
}

/** The directory of the snapshots; undefined before the first one. */
export function homeOf(env: Environment): Inode | undefined {
  const entry = env.store.dentries.find(ROOT_NODE, SNAPSHOTS)
  const home = entry === undefined ? undefined : env.store.inodes.get(entry.ino)
  // A directory of that name that somebody made before is not one of ours.
  return home !== undefined && home.tree === home.ino ? home : undefined
}

function makeHome(env: Environment): void {
  const { store } = env
  const root = store.root()
  if (store.dentries.find(ROOT_NODE, SNAPSHOTS) !== undefined)
    throw new Fault("exists", "there is something else at /.snapshots: rename it", { isClean: true })
  const home = newInode(store.counters.allocateIno(), HOME_MODE, root.uid, root.gid, 0)
  home.tree = home.ino
  const none = { key: 0, limitBytes: 0, limitInodes: 0, usedBytes: 0, usedInodes: 0 }
  store.trees.save({ id: home.ino, parent: 0, flags: TreeFlag.READ_ONLY, ...none })
  store.inodes.insert(home)
  enter(env, root, SNAPSHOTS, home)
}

/** Names a directory; `directory` may be a read-only tree. */
function enter(env: Environment, directory: Inode, name: Buffer, inode: Inode): void {
  env.store.dentries.insert(directory.ino, name, inode.ino, inode.type)
  inode.parent = directory.ino
  directory.nlink += 1
  directory.touchContents(now())
  env.store.inodes.save(directory)
}

function staleIn(home: Inode, name: string): Stale {
  const entries = [
    { parent: ROOT_NODE, name: SNAPSHOTS },
    { parent: home.ino, name: Buffer.from(name) },
  ]
  return { entries, inodes: [home.ino] }
}

/**
 * Owner and mode of a copy that does not lie below its source's directories any more: whoever those kept out stays out.
 * The group gets in where each of them lets that group, or everybody, pass; the owner also where his group may.
 */
export function narrowed(source: Inode, above: readonly Inode[]): { uid: number; mode: number } {
  const passes = (directory: Inode, bits: number): boolean => (directory.mode & bits & 0o111) !== 0
  const others = above.every((each) => passes(each, S_IRWXO))
  const group = above.every(
    (each) => passes(each, S_IRWXO) || (each.gid === source.gid && passes(each, S_IRWXG)),
  )
  const owner = above.every(
    (each) =>
      passes(each, S_IRWXO) || passes(each, S_IRWXG) || (each.uid === source.uid && passes(each, S_IRWXU)),
  )
  let { mode } = source
  if (!others) mode &= ~S_IRWXO
  if (!group) mode &= ~S_IRWXG
  return { uid: owner ? source.uid : 0, mode }
}

/** Tops of snapshots whose names were taken away, and where they are. */
export function trashOf(env: Environment): { home: Inode; cookie: number; ino: NodeId }[] {
  const home = homeOf(env)
  if (home === undefined) return []
  return env.store.dentries
    .list(home.ino, 0, MOST_SNAPSHOTS)
    .filter(({ name }) => name.toString("latin1").startsWith(TRASH))
    .map(({ cookie, ino }) => ({ home, cookie, ino }))
}

const MOST_SNAPSHOTS = 1 << 20
