/** rename(2) and renameat2(2): NOREPLACE, EXCHANGE, WHITEOUT. */
import { ROOT_NODE, type NodeId } from "../core/brand.ts"
import { E, OK, isErrno, type Errno, type Result, type Status } from "../core/errno.ts"
import type { InHeader } from "../fuse/abi.ts"
import { RenameFlag } from "../fuse/abi.ts"
import { damagedRow } from "../store/checksum.ts"
import type { Found } from "../store/dentries.ts"
import { S_IFCHR, type Inode } from "../store/inode.ts"
import { now } from "../sys/clock.ts"
import { NAME_MAX, born, checkRemoval, dropName, reap } from "./directory.ts"
import { directoryOf, refusal, treeAround, visibleInodeOf, type Environment } from "./environment.ts"
import { refuseInode } from "./quota.ts"

interface Side {
  readonly directory: Inode
  readonly name: Buffer
}

interface Move {
  readonly from: Side & { readonly entry: Found; readonly inode: Inode }
  readonly to: Side & { readonly entry: Found | undefined; readonly inode: Inode | undefined }
}

const KNOWN_FLAGS = RenameFlag.NOREPLACE | RenameFlag.EXCHANGE | RenameFlag.WHITEOUT

export interface RenameTarget {
  readonly newParent: NodeId
  readonly newName: Buffer
  readonly flags: number
}

export function rename(env: Environment, request: InHeader, name: Buffer, target: RenameTarget): Status {
  const move = resolve(env, request, name, target)
  if (isErrno(move)) return move
  const { flags } = target
  const bad = checkMove(env, move, flags)
  if (bad !== undefined) return bad
  const exchanges = (flags & RenameFlag.EXCHANGE) !== 0
  if (!exchanges && move.to.inode === move.from.inode) return OK
  const full = (flags & RenameFlag.WHITEOUT) === 0 ? undefined : refuseInode(env, move.from.directory.tree)
  if (full !== undefined) return full
  env.store.transact(() => {
    if (exchanges) exchange(env, move)
    else replace(env, request, move, (flags & RenameFlag.WHITEOUT) !== 0)
    const t = now()
    move.from.inode.touchChange(t)
    env.store.inodes.save(move.from.inode)
    for (const directory of new Set([move.from.directory, move.to.directory])) {
      directory.touchContents(t)
      env.store.inodes.save(directory)
    }
  }, request)
  if (!exchanges && move.to.inode !== undefined) reap(env, move.to.inode)
  return OK
}

function resolve(env: Environment, request: InHeader, name: Buffer, target: RenameTarget): Result<Move> {
  if ((target.flags & ~KNOWN_FLAGS) !== 0) return E.EINVAL
  if (name.length > NAME_MAX || target.newName.length > NAME_MAX) return E.ENAMETOOLONG
  const fromDirectory = directoryOf(env, request.node)
  if (isErrno(fromDirectory)) return fromDirectory
  const toDirectory = directoryOf(env, target.newParent)
  if (isErrno(toDirectory)) return toDirectory
  const fromEntry = env.store.dentries.find(fromDirectory.ino, name)
  if (fromEntry === undefined || toDirectory.nlink === 0) return E.ENOENT
  const fromInode = visibleInodeOf(env, fromEntry.ino)
  if (isErrno(fromInode)) return fromInode
  const toEntry = env.store.dentries.find(toDirectory.ino, target.newName)
  const toInode = toEntry === undefined ? undefined : visibleInodeOf(env, toEntry.ino)
  if (isErrno(toInode)) return toInode
  return {
    from: { directory: fromDirectory, name, entry: fromEntry, inode: fromInode },
    to: { directory: toDirectory, name: target.newName, entry: toEntry, inode: toInode },
  }
}

function checkMove(env: Environment, { from, to }: Move, flags: number): Errno | undefined {
  if ((flags & RenameFlag.NOREPLACE) !== 0 && to.inode !== undefined) return E.EEXIST
  if ((flags & RenameFlag.EXCHANGE) !== 0 && to.inode === undefined) return E.ENOENT
  const guarded = checkRemoval(env, from.directory, from.inode) ?? checkTarget(env, to)
  if (guarded !== undefined) return guarded
  const exchanged = (flags & RenameFlag.EXCHANGE) !== 0 ? to.inode : undefined
  if (treeAround(env, from.inode) !== to.directory.tree) return E.EXDEV
  if (exchanged !== undefined && treeAround(env, exchanged) !== from.directory.tree) return E.EXDEV
  if (from.inode.isDirectory && isWithin(env, to.directory, from.inode)) return E.EINVAL
  if ((flags & RenameFlag.EXCHANGE) !== 0) {
    return to.inode?.isDirectory === true && isWithin(env, from.directory, to.inode) ? E.EINVAL : undefined
  }
  return checkReplacement(env, from.inode, to.inode)
}

function checkTarget(env: Environment, to: Move["to"]): Errno | undefined {
  return to.inode === undefined ? refusal(env, to.directory) : checkRemoval(env, to.directory, to.inode)
}

function checkReplacement(env: Environment, source: Inode, target: Inode | undefined): Errno | undefined {
  if (target === undefined || target === source) return undefined
  if (!target.isDirectory) return source.isDirectory ? E.ENOTDIR : undefined
  if (!source.isDirectory) return E.EISDIR
  return env.store.dentries.isEmpty(target.ino) ? undefined : E.ENOTEMPTY
}

/** Whether `directory` is `ancestor` or lies below it. */
export function isWithin(env: Environment, directory: Inode, ancestor: Inode): boolean {
  let steps = 0
  for (let at: Inode | undefined = directory; at !== undefined; at = env.store.inodes.get(at.parent)) {
    if (at === ancestor) return true
    if (at.ino === ROOT_NODE) return false
    steps += 1
    if (steps > env.store.counters.inodes)
      throw damagedRow(`directory ${directory.ino}, which lies inside of itself,`)
  }
  return false
}

/** A directory's `..` counts as a link of the directory above it. */
function moveParent(inode: Inode, from: Inode, to: Inode): void {
  if (!inode.isDirectory || from === to) return
  from.nlink -= 1
  to.nlink += 1
  inode.parent = to.ino
}

function exchange(env: Environment, { from, to }: Move): void {
  if (to.entry === undefined || to.inode === undefined) return
  env.store.dentries.retarget(from.directory.ino, from.name, from.entry, to.inode.ino, to.inode.type)
  env.store.dentries.retarget(to.directory.ino, to.name, to.entry, from.inode.ino, from.inode.type)
  moveParent(from.inode, from.directory, to.directory)
  moveParent(to.inode, to.directory, from.directory)
  to.inode.touchChange(now())
  env.store.inodes.save(to.inode)
}

function replace(env: Environment, request: InHeader, { from, to }: Move, whiteout: boolean): void {
  if (to.entry !== undefined && to.inode !== undefined) {
    env.store.dentries.retarget(to.directory.ino, to.name, to.entry, from.inode.ino, from.inode.type)
    dropName(env, to.inode)
    if (to.inode.isDirectory) to.directory.nlink -= 1
  } else env.store.dentries.insert(to.directory.ino, to.name, from.inode.ino, from.inode.type)
  moveParent(from.inode, from.directory, to.directory)
  if (!whiteout) {
    env.store.dentries.remove(from.directory.ino, from.name, from.entry)
    return
  }
  // A character device 0:0 tells overlayfs that the name is deleted (rename(2), RENAME_WHITEOUT).
  const marker = born(env, request, from.directory, S_IFCHR)
  env.store.inodes.insert(marker)
  env.store.dentries.retarget(from.directory.ino, from.name, from.entry, marker.ino, marker.type)
}
