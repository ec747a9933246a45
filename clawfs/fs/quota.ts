/**
 * Limits of trees: what an operation would add is known before it changes anything, so it either fits as a whole or is
 * refused with EDQUOT as a whole, and nothing has to be taken back. Everybody is bound, root too.
 */
import { E, type Errno } from "../core/errno.ts"
import { Fault } from "../core/fault.ts"
import type { Statfs } from "../fuse/abi.ts"
import { INLINE_MAX } from "../store/inline.ts"
import type { Inode } from "../store/inode.ts"
import type { Environment } from "./environment.ts"

/** EDQUOT where one inode more is too many for the tree or one around it. */
export function refuseInode(env: Environment, tree: number): Errno | undefined {
  return unlessFits(env, () => env.store.trees.room(tree).inodes >= 1)
}

/** EDQUOT where `growth` bytes more are too many for the inode's tree or one around it. */
export function refuseGrowth(env: Environment, inode: Inode, growth: () => number): Errno | undefined {
  if (inode.tree === 0) return undefined
  return unlessFits(env, () => {
    const { bytes } = env.store.trees.room(inode.tree)
    return bytes === Infinity || growth() <= Math.max(0, bytes)
  })
}

/** The same for a write: what it adds is only looked up when the limit is near. */
export function refuseWrite(
  env: Environment,
  inode: Inode,
  offset: number,
  length: number,
): Errno | undefined {
  if (length + INLINE_MAX <= env.store.trees.room(inode.tree).bytes) return undefined
  return refuseGrowth(env, inode, () => env.store.contents.growthOfWrite(inode, offset, length))
}

/** What has been deleted, but is still charged, is given back before anything is refused for want of it. */
function unlessFits(env: Environment, fits: () => boolean): Errno | undefined {
  if (fits() || (env.store.reclaim() && fits())) return undefined
  if (env.orphans.size > 0) env.refusals.early += 1
  return E.EDQUOT
}

/**
 * Runs a change that is a transaction of its own (`transactAlone`) and whose growth is not known before. Throws, so that
 * nothing is kept of it, where a tree has grown beyond a limit. `gone`: inodes that it leaves without a name, which do not
 * count any more.
 */
export function withinLimits<T>(env: Environment, change: () => T, gone: readonly Inode[] = []): T {
  const { trees } = env.store
  const before = new Map([...trees.all()].map(({ id, ...used }) => [id, used]))
  const result = change()
  const freed = new Map<number, { bytes: number; inodes: number }>()
  for (const inode of gone.filter(({ nlink }) => nlink === 0)) {
    for (const { id } of trees.around(inode.tree)) {
      const sum = freed.get(id) ?? { bytes: 0, inodes: 0 }
      freed.set(id, { bytes: sum.bytes + inode.alloc, inodes: sum.inodes + 1 })
    }
  }
  for (const { id, limitBytes, usedBytes, limitInodes, usedInodes } of trees.all()) {
    const was = before.get(id)
    const { bytes = 0, inodes = 0 } = freed.get(id) ?? {}
    const isOver = (limit: number, used: number, usedBefore = 0): boolean =>
      limit > 0 && used > Math.max(limit, usedBefore)
    if (
      isOver(limitBytes, usedBytes - bytes, was?.usedBytes) ||
      isOver(limitInodes, usedInodes - inodes, was?.usedInodes)
    )
      throw new Fault("no-space", "that would exceed the quota of a directory", {
        hint: "clawfs quota list shows them",
      })
  }
  return result
}

/** statfs(2) inside of a tree: the tightest of the limits around is what there is. Limits in blocks are rounded down. */
export function shownWithinLimits(env: Environment, tree: number, block: number, whole: Statfs): Statfs {
  const shown = { ...whole }
  for (const { limitBytes, usedBytes, limitInodes, usedInodes } of env.store.trees.around(tree)) {
    const blocks = Math.floor(limitBytes / block)
    const blocksFree = Math.max(0, blocks - Math.ceil(usedBytes / block))
    if (limitBytes > 0 && blocksFree < shown.blocksFree) {
      Object.assign(shown, { blocks, blocksFree })
      shown.blocksAvailable = Math.min(blocksFree, whole.blocksAvailable)
    }
    const filesFree = Math.max(0, limitInodes - usedInodes)
    if (limitInodes > 0 && filesFree < shown.filesFree) {
      Object.assign(shown, { files: limitInodes, filesFree })
    }
  }
  return shown
}
