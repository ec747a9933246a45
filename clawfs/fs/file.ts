/** Contents: read, write, fallocate, lseek, copy_file_range. */
import { E, OK, isErrno, type Errno, type Result, type Status } from "../core/errno.ts"
import type { CopyFileRangeIn, InHeader } from "../fuse/abi.ts"
import { WriteFlag } from "../fuse/abi.ts"
import type { LATER, ReadRange } from "../fuse/operations.ts"
import type { Reply } from "../fuse/reply.ts"
import { SEEK_DATA, SEEK_HOLE } from "../store/contents.ts"
import { InodeFlag, type Inode } from "../store/inode.ts"
import { guardAction, type GuardAction } from "../store/trees.ts"
import { now } from "../sys/clock.ts"
import { touchAccessLazily } from "./access-time.ts"
import { MAX_FILE_SIZE } from "./attributes.ts"
import { inodeOf, refusal, type Environment } from "./environment.ts"
import { dependsOnCaller, dropPrivileges } from "./privileges.ts"
import { refuseGrowth, refuseWrite } from "./quota.ts"

/** fallocate(2) */
const FALLOC = { KEEP_SIZE: 1, PUNCH_HOLE: 2, ZERO_RANGE: 0x10 } as const
const BLOCK = 4096

/** One copy_file_range request shares at most this much, so that no transaction grows without bound. */
const COPY_MAX = 256 * 1024 * 1024

function fileOf(env: Environment, request: InHeader): Result<Inode> {
  const inode = inodeOf(env, request.node)
  if (isErrno(inode)) return inode
  if (inode.isDirectory) return E.EISDIR
  return inode.isRegular ? inode : E.EINVAL
}

/** A file whose contents may change at `offset`: immutable ones never, append-only ones only at the end. */
function writableOf(env: Environment, request: InHeader, offset: number, end: number): Result<Inode> {
  const inode = fileOf(env, request)
  if (isErrno(inode)) return inode
  if (end > MAX_FILE_SIZE) return E.EFBIG
  const flags = offset < inode.size ? InodeFlag.IMMUTABLE | InodeFlag.APPEND : InodeFlag.IMMUTABLE
  return refusal(env, inode, flags) ?? inode
}

export function read(env: Environment, request: InHeader, range: ReadRange, reply: Reply): Status {
  const inode = fileOf(env, request)
  if (isErrno(inode)) return inode
  const length = Math.min(range.size, inode.size - range.offset)
  if (length > 0) {
    env.store.contents.read(inode, range.offset, length, reply.buffer, reply.start)
    reply.advance(length)
  }
  // With the writeback cache the kernel also reads to fill the page around a short write: no program has read then.
  if (!env.writeback && !range.keepsAtime) touchAccessLazily(env, inode)
  return OK
}

/** Who looks at what comes to an inode. What is executed again was looked at before. */
export function guardOf(env: Environment, { tree }: Inode): GuardAction | undefined {
  if (tree === 0 || env.store.isReplaying) return undefined
  return guardAction(env.store.trees.around(tree))
}

export function write(
  env: Environment,
  request: InHeader,
  offset: number,
  data: Buffer,
  flags: number,
): Status | typeof LATER {
  const inode = writableOf(env, request, offset, offset + data.length)
  if (isErrno(inode)) return inode
  if (data.length === 0) return OK
  const action = guardOf(env, inode)
  if (action !== undefined) {
    const isFromCache = (flags & WriteFlag.CACHE) !== 0
    const verdict = env.guard?.(request, { inode, action, offset, data, isFromCache }) ?? OK
    if (verdict !== OK) return verdict
  }
  const full = refuseWrite(env, inode, offset, data.length)
  if (full !== undefined) return full
  const killsPrivileges = (flags & WriteFlag.KILL_SUIDGID) !== 0
  const store = (): void => {
    env.store.contents.write(inode, offset, data)
    if (killsPrivileges) dropPrivileges(inode, request)
    // With the writeback cache the kernel keeps the times and sends them on their own.
    if ((flags & WriteFlag.CACHE) === 0 || !env.writeback) inode.touchContents(now())
    env.store.inodes.save(inode)
  }
  const count = (): number => data.length
  if (killsPrivileges && dependsOnCaller(inode, request)) env.store.transactAlone(store, request, count)
  else env.store.transact(store, request, count)
  return OK
}

export function fallocate(
  env: Environment,
  request: InHeader,
  mode: number,
  offset: number,
  length: number,
): Status {
  const end = offset + length
  const inode = writableOf(env, request, offset, end)
  if (isErrno(inode)) return inode
  if ((mode & ~(FALLOC.KEEP_SIZE | FALLOC.PUNCH_HOLE | FALLOC.ZERO_RANGE)) !== 0) return E.EOPNOTSUPP
  if (length === 0) return E.EINVAL
  const punches = (mode & FALLOC.PUNCH_HOLE) !== 0
  const full = punches ? undefined : checkSpace(env, inode, offset, end)
  if (full !== undefined) return full
  // Whether it fits depends on the disk as it is now.
  env.store.transactAlone(() => {
    const { contents } = env.store
    if (punches) contents.punch(inode, offset, end)
    else if ((mode & FALLOC.ZERO_RANGE) !== 0) contents.zero(inode, offset, end)
    else contents.allocate(inode, offset, end)
    const grows = (mode & FALLOC.KEEP_SIZE) === 0 && end > inode.size
    if (grows) inode.size = end
    inode.touchContents(now())
    env.store.inodes.save(inode)
  })
  return OK
}

/** A reservation that the disk, or a tree's limit, could not hold is refused at once. */
function checkSpace(env: Environment, inode: Inode, offset: number, end: number): Errno | undefined {
  const missing = env.store.contents.missing(inode, offset, end)
  if (missing > env.store.space().availableBytes) return E.ENOSPC
  return refuseGrowth(env, inode, () => missing)
}

export function lseek(
  env: Environment,
  request: InHeader,
  offset: number,
  whence: number,
): Result<{ offset: number }> {
  const inode = fileOf(env, request)
  if (isErrno(inode)) return inode
  // Dirty pages in the kernel are data that the server does not know of: ENOSYS makes the kernel treat all as data.
  if (env.writeback) return E.ENOSYS
  if (whence !== SEEK_DATA && whence !== SEEK_HOLE) return E.EINVAL
  return env.store.contents.seek(inode, offset, whence)
}

/** Shares blocks instead of copying bytes. A source that ends early gives a short count, as the man page says. */
export function copyFileRange(
  env: Environment,
  request: InHeader,
  range: CopyFileRangeIn,
): Result<{ copied: number }> {
  const source = fileOf(env, request)
  if (isErrno(source)) return source
  const length = Math.min(range.length, COPY_MAX, source.size - range.offset)
  if (length <= 0) return { copied: 0 }
  const end = range.targetOffset + length
  const target = writableOf(env, { ...request, node: range.target }, range.targetOffset, end)
  if (isErrno(target)) return target
  // Each encrypted file has a key of its own, and what comes to a guarded one is looked at. The kernel copies the bytes instead.
  if (env.store.sealing.isEncrypted(source) || env.store.sealing.isEncrypted(target)) return E.EXDEV
  if (guardOf(env, target) !== undefined) return E.EXDEV
  const { contents } = env.store
  const full = refuseGrowth(env, target, () =>
    contents.growthOfShare(source, range.offset, target, range.targetOffset, length),
  )
  if (full !== undefined) return full
  env.store.transact(
    () => {
      contents.share(source, range.offset, target, range.targetOffset, length)
      target.touchContents(now())
      env.store.inodes.save(target)
    },
    request,
    () => length,
  )
  touchAccessLazily(env, source)
  return { copied: length }
}

/** statfs(2) counts in blocks of this many bytes. */
export const STATFS_BLOCK = BLOCK
