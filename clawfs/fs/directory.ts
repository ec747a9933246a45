/** Names: lookup, creation, links, removal, listing. */
import type { NodeId } from "../core/brand.ts"
import { E, OK, isErrno, type Errno, type Result, type Status } from "../core/errno.ts"
import { Fault } from "../core/fault.ts"
import type { InHeader } from "../fuse/abi.ts"
import type { DirentPacker } from "../fuse/dirent.ts"
import type { Creation } from "../fuse/operations.ts"
import type { Found } from "../store/dentries.ts"
import {
  InodeFlag,
  PERMISSIONS,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_ISGID,
  type Inode,
} from "../store/inode.ts"
import { newInode } from "../store/store.ts"
import { now } from "../sys/clock.ts"
import { touchAccessLazily } from "./access-time.ts"
import { isHidden } from "./hidden.ts"
import { ACCESS_ACL, DEFAULT_ACL, decodeAcl, encodeAcl, inheritAcl, isMinimal } from "./acl.ts"
import {
  countLookup,
  directoryOf,
  inodeOf,
  markCounted,
  refusal,
  visibleInodeOf,
  wasCounted,
  type Environment,
} from "./environment.ts"
import { refuseInode } from "./quota.ts"

export const NAME_MAX = 255
/** As on ext4. */
const LINK_MAX = 65_000
const DT_DIR = S_IFDIR >>> 12
/** Cookies of `.` and `..`; those of names begin behind them. */
const DOT = 1
const DOT_DOT = 2
const BATCH_PLAIN = 512
const BATCH_PLUS = 128

const dot = Buffer.from(".")
const dotDot = Buffer.from("..")

export function lookup(env: Environment, request: InHeader, name: Buffer): Result<Inode> {
  const directory = inodeOf(env, request.node)
  if (isErrno(directory)) return directory
  // Only open_by_handle_at(2) looks these up; the node may be no directory for the first.
  if (name.equals(dot)) return countLookup(env, request, directory)
  if (!directory.isDirectory) return E.ENOTDIR
  if (name.length > NAME_MAX) return E.ENAMETOOLONG
  const ino = name.equals(dotDot)
    ? (directory.parent as NodeId)
    : env.store.dentries.find(directory.ino, name)?.ino
  if (ino === undefined) return E.ENOENT
  const inode = visibleInodeOf(env, ino)
  if (isErrno(inode))
    throw new Fault("corrupt", `a name in directory ${directory.ino} leads to inode ${ino}, which is lost`)
  return countLookup(env, request, inode)
}

/** Whether `name` may be made in `directory`. */
export function checkNewName(env: Environment, directory: Inode, name: Buffer): Errno | undefined {
  if (name.length > NAME_MAX) return E.ENAMETOOLONG
  if (directory.nlink === 0) return E.ENOENT
  return refusal(env, directory) ?? existing(env, directory, name)
}

function existing(env: Environment, directory: Inode, name: Buffer): Errno | undefined {
  return env.store.dentries.find(directory.ino, name) === undefined ? undefined : E.EEXIST
}

/** Owner, group, mode and key of what is born in `directory`: its setgid bit passes on the group (inode(7)). */
export function born(env: Environment, request: InHeader, directory: Inode, mode: number, rdev = 0): Inode {
  const setgid = (directory.mode & S_ISGID) !== 0
  const inherited = setgid && (mode & S_IFMT) === S_IFDIR ? S_ISGID : 0
  const gid = setgid ? directory.gid : request.gid
  const inode = newInode(env.store.counters.allocateIno(), mode | inherited, request.uid, gid, rdev)
  inode.tree = directory.tree
  env.store.sealing.welcome(inode)
  return inode
}

/** The default ACL of the directory decides instead of the umask, where there is one. */
function applyCreationMode(env: Environment, directory: Inode, inode: Inode, umask: number): void {
  const value = directory.has(InodeFlag.HAS_DEFAULT_ACL)
    ? env.store.xattrs.get(directory, DEFAULT_ACL)
    : undefined
  const defaults = value === undefined ? undefined : decodeAcl(value)
  if (value === undefined || defaults === undefined) {
    inode.mode &= ~(umask & 0o777)
    return
  }
  const { entries, permissions } = inheritAcl(defaults, inode.mode)
  inode.mode = (inode.mode & ~0o777) | permissions
  if (!isMinimal(entries)) {
    env.store.xattrs.put(inode, ACCESS_ACL, encodeAcl(entries))
    inode.setFlag(InodeFlag.HAS_XATTR | InodeFlag.HAS_ACCESS_ACL, true)
  }
  if (inode.isDirectory) {
    env.store.xattrs.put(inode, DEFAULT_ACL, value)
    inode.setFlag(InodeFlag.HAS_XATTR | InodeFlag.HAS_DEFAULT_ACL, true)
  }
}

/** Gives `inode` a name and tells the directory; the caller has checked that the name is free. */
function enter(env: Environment, directory: Inode, name: Buffer, inode: Inode): void {
  env.store.dentries.insert(directory.ino, name, inode.ino, inode.type)
  directory.touchContents(now())
  env.store.inodes.save(directory)
}

export function create(env: Environment, request: InHeader, name: Buffer, creation: Creation): Result<Inode> {
  const directory = directoryOf(env, request.node)
  if (isErrno(directory)) return directory
  const bad = checkNewName(env, directory, name) ?? refuseInode(env, directory.tree)
  if (bad !== undefined) return bad
  const type = (creation.mode & S_IFMT) === 0 ? S_IFREG : creation.mode & S_IFMT
  const inode = env.store.transact(
    () => {
      const made = born(env, request, directory, type | (creation.mode & PERMISSIONS), creation.rdev)
      applyCreationMode(env, directory, made, creation.umask)
      if (made.isDirectory) {
        made.parent = directory.ino
        directory.nlink += 1
      }
      env.store.inodes.insert(made)
      enter(env, directory, name, made)
      return made
    },
    request,
    (made) => made.ino,
  )
  return countLookup(env, request, inode)
}

export function symlink(env: Environment, request: InHeader, name: Buffer, target: Buffer): Result<Inode> {
  const directory = directoryOf(env, request.node)
  if (isErrno(directory)) return directory
  const bad = checkNewName(env, directory, name) ?? refuseInode(env, directory.tree)
  if (bad !== undefined) return bad
  const inode = env.store.transact(
    () => {
      const made = born(env, request, directory, S_IFLNK | 0o777)
      made.size = target.length
      env.store.inodes.insert(made)
      env.store.symlinks.insert(made, target)
      enter(env, directory, name, made)
      return made
    },
    request,
    (made) => made.ino,
  )
  return countLookup(env, request, inode)
}

export function tmpfile(env: Environment, request: InHeader, creation: Creation): Result<Inode> {
  const directory = directoryOf(env, request.node)
  if (isErrno(directory)) return directory
  if (directory.nlink === 0) return E.ENOENT
  const bad = refusal(env, directory) ?? refuseInode(env, directory.tree)
  if (bad !== undefined) return bad
  const inode = env.store.transact(
    () => {
      const made = born(env, request, directory, S_IFREG | (creation.mode & PERMISSIONS))
      made.nlink = 0
      made.setFlag(InodeFlag.UNNAMED, true)
      applyCreationMode(env, directory, made, creation.umask)
      env.store.inodes.insert(made)
      return made
    },
    request,
    (made) => made.ino,
  )
  env.orphans.add(inode.ino)
  return countLookup(env, request, inode)
}

export function link(env: Environment, request: InHeader, existing: NodeId, name: Buffer): Result<Inode> {
  const directory = directoryOf(env, request.node)
  if (isErrno(directory)) return directory
  const inode = inodeOf(env, existing)
  if (isErrno(inode)) return inode
  if (inode.isDirectory) return E.EPERM
  if (inode.tree !== directory.tree) return E.EXDEV
  const bad = refusal(env, inode, GUARDED) ?? checkNewName(env, directory, name)
  if (bad !== undefined) return bad
  if (inode.nlink === 0 && !inode.has(InodeFlag.UNNAMED)) return E.ENOENT
  if (inode.nlink >= LINK_MAX) return E.EMLINK
  env.store.transact(
    () => {
      inode.nlink += 1
      inode.setFlag(InodeFlag.UNNAMED, false)
      inode.touchChange(now())
      env.store.inodes.save(inode)
      enter(env, directory, name, inode)
    },
    request,
    () => inode.ino,
  )
  env.orphans.delete(inode.ino)
  return countLookup(env, request, inode)
}

/** Whether a name may be taken out of `directory`; the kernel has checked permissions and the sticky bit. */
export function checkRemoval(env: Environment, directory: Inode, inode: Inode): Errno | undefined {
  return refusal(env, directory, GUARDED) ?? refusal(env, inode, GUARDED)
}

const GUARDED = InodeFlag.IMMUTABLE | InodeFlag.APPEND

/** One name less. At 0 the inode stays while the kernel holds it. Part of a transaction; then call `reap`. */
export function dropName(env: Environment, inode: Inode): void {
  inode.nlink = inode.isDirectory ? 0 : inode.nlink - 1
  inode.touchChange(now())
  env.store.inodes.save(inode)
}

/** After the commit: an inode that neither a name nor the kernel holds goes. */
export function reap(env: Environment, inode: Inode): void {
  if (inode.nlink > 0) return
  if (env.lookups.get(inode.ino) === 0) env.store.release(inode.ino)
  else env.orphans.add(inode.ino)
}

export function remove(env: Environment, request: InHeader, name: Buffer, wantsDirectory: boolean): Status {
  const directory = directoryOf(env, request.node)
  if (isErrno(directory)) return directory
  if (name.length > NAME_MAX) return E.ENAMETOOLONG
  const entry = env.store.dentries.find(directory.ino, name)
  if (entry === undefined) return E.ENOENT
  const inode = visibleInodeOf(env, entry.ino)
  if (isErrno(inode)) return inode
  const bad = checkRemoval(env, directory, inode) ?? checkType(env, inode, wantsDirectory)
  if (bad !== undefined) return bad
  env.store.transact(() => unlinkEntry(env, { directory, name, entry }, inode), request)
  reap(env, inode)
  return OK
}

function checkType(env: Environment, inode: Inode, wantsDirectory: boolean): Errno | undefined {
  if (!wantsDirectory) return inode.isDirectory ? E.EISDIR : undefined
  if (!inode.isDirectory) return E.ENOTDIR
  return env.store.dentries.isEmpty(inode.ino) ? undefined : E.ENOTEMPTY
}

interface Name {
  readonly directory: Inode
  readonly name: Buffer
  readonly entry: Found
}

function unlinkEntry(env: Environment, { directory, name, entry }: Name, inode: Inode): void {
  env.store.dentries.remove(directory.ino, name, entry)
  dropName(env, inode)
  if (inode.isDirectory) directory.nlink -= 1
  directory.touchContents(now())
  env.store.inodes.save(directory)
}

export function readlink(env: Environment, request: InHeader): Result<Uint8Array> {
  const inode = inodeOf(env, request.node)
  if (isErrno(inode)) return inode
  touchAccessLazily(env, inode)
  return inode.isSymlink ? env.store.symlinks.get(inode) : E.EINVAL
}

/** Undefined for one that is damaged: it is listed without attributes, and whoever asks for those is told. */
function readable(env: Environment, ino: NodeId): Inode | undefined {
  try {
    return env.store.inodes.get(ino)
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.kind === "corrupt") return undefined
    throw thrown
  }
}

export function readdir(
  env: Environment,
  request: InHeader,
  position: { cookie: number; keepsAtime: boolean },
  packer: DirentPacker,
): Status {
  const { cookie } = position
  const directory = directoryOf(env, request.node)
  if (isErrno(directory)) return directory
  if (!position.keepsAtime) touchAccessLazily(env, directory)
  if (cookie < DOT && !packer.add(dot, directory.ino, DT_DIR, DOT)) return OK
  if (cookie < DOT_DOT && !packer.add(dotDot, directory.parent, DT_DIR, DOT_DOT)) return OK
  const counts = packer.plus && !wasCounted(env, request)
  const most = packer.plus ? BATCH_PLUS : BATCH_PLAIN
  for (let after = Math.max(cookie, DOT_DOT); ;) {
    const batch = Math.min(most, packer.room)
    const entries = env.store.dentries.list(directory.ino, after, batch)
    for (const { name, ino, type, cookie: next } of entries) {
      after = next
      if (isHidden(directory.ino, name)) continue
      const inode = packer.plus ? readable(env, ino) : undefined
      if (!packer.add(name, ino, type, next, inode)) return finish()
      if (counts && inode !== undefined) env.lookups.add(ino)
    }
    if (entries.length < batch) return finish()
  }

  function finish(): Status {
    if (counts) markCounted(env, request)
    return OK
  }
}
