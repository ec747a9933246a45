/**
 * The directories that every ClawFS has (specs P1.4 §1; shared/design.md §5), with the owners and modes of the
 * specification, or all of them one user's.
 */
import { Fault } from "../core/fault.ts"
import { S_IFDIR, type Inode } from "../store/inode.ts"
import { Store, newInode } from "../store/store.ts"
import { now } from "../sys/clock.ts"

export type Owners =
  | {
      readonly kind: "system"
      readonly agentsGid: number
      readonly usersGid: number
      readonly toolsUid: number
    }
  | { readonly kind: "user"; readonly uid: number; readonly gid: number }

interface Place {
  readonly name: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

function places(owners: Owners): Place[] {
  const root = { uid: 0, gid: 0 }
  if (owners.kind === "user") {
    const own = { uid: owners.uid, gid: owners.gid }
    return [
      { name: "system", mode: 0o555, ...own },
      { name: "agents", mode: 0o750, ...own },
      { name: "tools", mode: 0o755, ...own },
      { name: "workspaces", mode: 0o750, ...own },
      { name: "vault", mode: 0o700, ...own },
      { name: "specs", mode: 0o555, ...own },
    ]
  }
  return [
    { name: "system", mode: 0o555, ...root },
    { name: "agents", mode: 0o750, uid: 0, gid: owners.agentsGid },
    { name: "tools", mode: 0o755, uid: owners.toolsUid, gid: owners.agentsGid },
    { name: "workspaces", mode: 0o750, uid: 0, gid: owners.usersGid },
    { name: "vault", mode: 0o700, ...root },
    { name: "specs", mode: 0o555, ...root },
  ]
}

const ROOT_MODE = 0o755

/** Makes the store and its first directories. On failure nothing is left behind. */
export function createTree(directory: string, owners: Owners): void {
  const root = owners.kind === "user" ? { uid: owners.uid, gid: owners.gid } : { uid: 0, gid: 0 }
  using store = create(directory, { mode: ROOT_MODE, ...root })
  store.transact(() => {
    const top = store.root()
    for (const place of places(owners)) {
      const inode: Inode = newInode(
        store.counters.allocateIno(),
        S_IFDIR | place.mode,
        place.uid,
        place.gid,
        0,
      )
      inode.parent = top.ino
      store.inodes.insert(inode)
      store.dentries.insert(top.ino, Buffer.from(place.name), inode.ino, inode.type)
      top.nlink += 1
    }
    top.touchContents(now())
    store.inodes.save(top)
  })
}

function create(directory: string, root: { mode: number; uid: number; gid: number }): Store {
  try {
    return Store.create(directory, root)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
      throw new Fault("denied", `no permission to make ${directory}`, { cause })
    }
    if (code === "ENOSPC") throw new Fault("no-space", `no space left to make ${directory}`, { cause })
    if (code === "ENOTDIR" || code === "ENOENT")
      throw new Fault("not-found", `the directory above ${directory} does not exist`, { cause })
    throw cause
  }
}
