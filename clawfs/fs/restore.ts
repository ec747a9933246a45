/**
 * Brings files and directories back to what they were in a snapshot, where they are: inodes that are still there keep their
 * numbers, so that whoever has them open sees the old contents. No byte is copied. All of it is one transaction.
 */
import { present } from "../core/assert.ts"
import type { NodeId } from "../core/brand.ts"
import { Fault, mountedReadOnly } from "../core/fault.ts"
import type { Stale } from "../fuse/notify.ts"
import type { Dentry } from "../store/dentries.ts"
import { InodeFlag, Inode } from "../store/inode.ts"
import type { Snapshot } from "../store/snapshots.ts"
import { now } from "../sys/clock.ts"
import { dropName, reap } from "./directory.ts"
import type { Environment } from "./environment.ts"
import { isHidden } from "./hidden.ts"
import { find, findPlace, namesOf, printable } from "./path.ts"
import { withinLimits } from "./quota.ts"
import { findSnapshot } from "./snapshots.ts"

export interface Restored {
  /** Files that have other contents now, or are back. */
  readonly restored: number
  /** Files and directories that are gone, as the snapshot does not have them. */
  readonly removed: number
  readonly stale: Stale
}

const BATCH = 512
const ACL_FLAGS = InodeFlag.HAS_ACCESS_ACL | InodeFlag.HAS_DEFAULT_ACL

/**
 * Restores what was at `path`, which lies in what the snapshot was made of. Unless `isForced`, throws `Fault("busy")` when
 * that would undo changes that were made since; nothing has changed then.
 */
export function restore(
  env: Environment,
  { name, path, isForced }: { name: string; path: Buffer; isForced: boolean },
): Restored {
  const { store } = env
  if (store.readOnly) throw mountedReadOnly()
  store.requireRoom()
  const snapshot = findSnapshot(env, name)
  const source = sourceOf(env, snapshot, path)
  if (!isForced) {
    const { lost } = new Restorer(env, snapshot, true).run(source, path)
    if (lost > 0)
      throw new Fault(
        "busy",
        `${lost === 1 ? "1 file was" : `${lost} files were`} changed or made since the snapshot, and would be lost`,
        {
          hint: "--yes does it all the same; a snapshot of now keeps them",
        },
      )
  }
  const restorer = new Restorer(env, snapshot, false)
  store.transactAlone(() => withinLimits(env, () => restorer.run(source, path), restorer.gone))
  for (const inode of restorer.gone) reap(env, inode)
  const { restored, removed, stale } = restorer
  return { restored, removed, stale }
}

/** What the snapshot has of `path`. */
function sourceOf(env: Environment, snapshot: Snapshot, path: Buffer): Inode {
  const [base, names] = [namesOf(snapshot.path), namesOf(path)]
  const isWithin = base.every((name, index) => names[index]?.equals(name) === true)
  if (!isWithin)
    throw new Fault(
      "invalid",
      `the snapshot "${snapshot.name}" is of ${printable(snapshot.path)}, and ${printable(path)} is not in that`,
    )
  let inode = present(env.store.inodes.get(snapshot.root), "top of the snapshot")
  for (const name of names.slice(base.length)) {
    const entry = inode.isDirectory ? env.store.dentries.find(inode.ino, name) : undefined
    const next = entry === undefined ? undefined : env.store.inodes.get(entry.ino)
    if (next === undefined)
      throw new Fault("not-found", `${printable(path)} is not in the snapshot "${snapshot.name}"`)
    inode = next
  }
  return inode
}

class Restorer {
  readonly #env: Environment
  readonly #snapshot: Snapshot
  /** Only counts. */
  readonly #isDry: boolean
  /** Inodes without a name, to be reaped after the commit. */
  readonly gone: Inode[] = []
  /** Inodes of the snapshot with several names → what they have become. */
  readonly #links = new Map<number, Inode>()
  /** Inodes with several names now → what of the snapshot they have become. */
  readonly #claimed = new Map<number, number>()
  readonly #entries: { parent: NodeId; name: Buffer }[] = []
  readonly #inodes = new Set<NodeId>()
  restored = 0
  removed = 0
  /** Files with contents that were written since the snapshot, or made since, and that would be gone. */
  readonly #lost = new Set<number>()

  constructor(env: Environment, snapshot: Snapshot, isDry: boolean) {
    this.#env = env
    this.#snapshot = snapshot
    this.#isDry = isDry
  }

  get lost(): number {
    return this.#lost.size
  }

  get stale(): Stale {
    return { entries: this.#entries, inodes: [...this.#inodes] }
  }

  run(source: Inode, path: Buffer): this {
    if (namesOf(path).length === 0) this.#directory(source, find(this.#env, path))
    else {
      const { directory, name } = findPlace(this.#env, path)
      const entry = this.#env.store.dentries.find(directory.ino, name)
      this.#entry(source, directory, name, entry === undefined ? undefined : this.#inode(entry.ino))
    }
    return this
  }

  #inode(ino: number): Inode {
    return present(this.#env.store.inodes.get(ino), "inode of a name")
  }

  #entry(source: Inode, directory: Inode, name: Buffer, live: Inode | undefined): void {
    if (live === undefined) this.#add(source, directory, name)
    else if (source.isDirectory && live.isDirectory) this.#directory(source, live)
    else if (!this.#claim(source, live)) this.#replace(source, directory, name, live)
    else if (source.isRegular && live.isRegular) this.#file(source, live)
    else if (this.#isSameOther(source, live)) this.#attributes(source, live)
    else this.#replace(source, directory, name, live)
  }

  #replace(source: Inode, directory: Inode, name: Buffer, live: Inode): void {
    const { removed } = this
    this.#remove(directory, name, live)
    this.#add(source, directory, name)
    // The name is still there.
    this.removed = live.isDirectory ? this.removed - 1 : removed
  }

  /** Names of one inode then become names of one now, and no others; false where that takes another inode. */
  #claim(source: Inode, live: Inode): boolean {
    const [known, claimant] = [this.#links.get(source.ino), this.#claimed.get(live.ino)]
    if ((known ?? live) !== live || (claimant ?? source.ino) !== source.ino) return false
    if (source.nlink > 1) this.#links.set(source.ino, live)
    if (live.nlink > 1) this.#claimed.set(live.ino, source.ino)
    return true
  }

  /** Links with one target, devices of one number, FIFOs. */
  #isSameOther(source: Inode, live: Inode): boolean {
    if (source.type !== live.type || source.rdev !== live.rdev || source.isDirectory) return false
    if (!source.isSymlink) return !source.isRegular
    const { symlinks } = this.#env.store
    return symlinks.get(source).equals(symlinks.get(live))
  }

  #list(directory: Inode): Map<string, Dentry> {
    const names = new Map<string, Dentry>()
    for (let cookie = 0; ;) {
      const entries = this.#env.store.dentries.list(directory.ino, cookie, BATCH)
      for (const entry of entries) {
        cookie = entry.cookie
        if (!isHidden(directory.ino, entry.name)) names.set(entry.name.toString("latin1"), entry)
      }
      if (entries.length < BATCH) return names
    }
  }

  #directory(source: Inode, live: Inode): void {
    const [wanted, there] = [this.#list(source), this.#list(live)]
    for (const [key, { name, ino }] of there) if (!wanted.has(key)) this.#remove(live, name, this.#inode(ino))
    for (const [key, { name, ino }] of wanted) {
      const entry = there.get(key)
      this.#entry(this.#inode(ino), live, name, entry === undefined ? undefined : this.#inode(entry.ino))
    }
    this.#attributes(source, live)
  }

  #file(source: Inode, live: Inode): void {
    if (source.body !== live.body) {
      this.#requireKey(source, live.tree)
      this.restored += 1
      this.#lost.add(live.ino)
      if (!this.#isDry) {
        // With the contents it takes over their key, which attributes are encrypted under too.
        this.#env.store.contents.adopt(source, live)
        if (this.#env.store.sealing.isEncrypted(live)) this.#xattrs(source, live)
        this.#env.store.inodes.save(live)
        this.#inodes.add(live.ino)
      }
    }
    this.#attributes(source, live)
  }

  #attributes(source: Inode, live: Inode): void {
    const { uid, mode } = source.ino === this.#snapshot.root ? this.#snapshot : source
    if (this.#isDry || !(differ(source, live) || live.uid !== uid || live.mode !== mode)) return
    live.uid = uid
    live.gid = source.gid
    live.mode = mode
    live.mtime = source.mtime
    live.mtimeNanos = source.mtimeNanos
    this.#xattrs(source, live)
    live.touchChange(now())
    this.#env.store.inodes.save(live)
    this.#inodes.add(live.ino)
  }

  #xattrs(source: Inode, live: Inode): void {
    const { xattrs } = this.#env.store
    if (live.has(InodeFlag.HAS_XATTR)) xattrs.deleteAll(live)
    live.flags = (live.flags & ~ACL_FLAGS) | (source.flags & ACL_FLAGS)
    if (!source.has(InodeFlag.HAS_XATTR)) return
    for (const name of xattrs.names(source)) {
      const value = xattrs.get(source, name)
      if (value !== undefined) xattrs.put(live, name, value)
    }
  }

  /** A tree's contents can be read with its key alone. */
  #requireKey(source: Inode, tree: number): void {
    const { trees } = this.#env.store
    if ((trees.get(source.tree)?.key ?? 0) !== (trees.get(tree)?.key ?? 0))
      throw new Fault(
        "invalid",
        "what is encrypted in another way now than it was can't be restored in place",
        {
          hint: "clawfs clone brings it back under another name",
        },
      )
  }

  #remove(directory: Inode, name: Buffer, inode: Inode): void {
    if (inode.isDirectory)
      for (const { name: below, ino } of this.#list(inode).values())
        this.#remove(inode, below, this.#inode(ino))
    this.removed += 1
    if (!inode.isDirectory) this.#lost.add(inode.ino)
    if (this.#isDry) return
    const { store } = this.#env
    const entry = present(store.dentries.find(directory.ino, name), "name of what is removed")
    store.dentries.remove(directory.ino, name, entry)
    dropName(this.#env, inode)
    if (inode.isDirectory) directory.nlink -= 1
    this.#touch(directory, name)
    this.gone.push(inode)
  }

  #add(source: Inode, directory: Inode, name: Buffer): void {
    this.#requireKey(source, directory.tree)
    if (!source.isDirectory) this.restored += 1
    if (this.#isDry) return
    const { store } = this.#env
    const known = this.#links.get(source.ino)
    const inode = known ?? this.#make(source, directory)
    if (known !== undefined) {
      known.nlink += 1
      store.inodes.save(known)
    }
    store.dentries.insert(directory.ino, name, inode.ino, inode.type)
    if (inode.isDirectory) directory.nlink += 1
    this.#touch(directory, name)
    if (inode.isDirectory) this.#directory(source, inode)
  }

  #make(source: Inode, directory: Inode): Inode {
    const { store } = this.#env
    const made = new Inode(
      store.counters.allocateIno(),
      source.mode,
      source.isDirectory ? 2 : 1,
      source.uid,
      source.gid,
      source.rdev,
    )
    made.beginEmpty()
    made.tree = directory.tree
    if (source.isDirectory) made.parent = directory.ino
    for (const field of COPIED) made[field] = source[field]
    made.flags = source.flags & ~(InodeFlag.HAS_XATTR | ACL_FLAGS)
    if (source.isRegular) {
      made.size = 0
      made.isSole = true
      made.extentsEnd = 0
      store.inodes.insert(made)
      store.contents.adopt(source, made)
    } else {
      store.inodes.insert(made)
      store.sealing.welcome(made)
    }
    const target = source.isSymlink ? store.symlinks.get(source) : undefined
    if (target !== undefined) store.symlinks.insert(made, target)
    this.#xattrs(source, made)
    made.touchChange(now())
    if (source.nlink > 1 && !source.isDirectory) this.#links.set(source.ino, made)
    return made
  }

  #touch(directory: Inode, name: Buffer): void {
    directory.touchContents(now())
    this.#env.store.inodes.save(directory)
    this.#entries.push({ parent: directory.ino, name })
    this.#inodes.add(directory.ino)
  }
}

const COPIED = ["size", "atime", "atimeNanos", "mtime", "mtimeNanos", "btime", "btimeNanos"] as const

/** Whatever is changed, attributes and ACLs included, moves ctime. */
function differ(source: Inode, live: Inode): boolean {
  const same = (field: (typeof COMPARED)[number]): boolean => source[field] === live[field]
  return !COMPARED.every(same)
}

const COMPARED = ["gid", "mtime", "mtimeNanos", "ctime", "ctimeNanos"] as const
