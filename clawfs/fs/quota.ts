/**
 * Limits of trees: what an operation would add is known before it changes anything, so it either fits as a whole or is
 * refused with EDQUOT as a whole, and nothing has to be taken back. Everybody is bound, root too.
 */
import { E, type Errno } from "../core/errno.ts"
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

/** statfs(2) inside of a tree: the tightest of the limits around is what there is. Limits in blocks are rounded down. */
export function withinLimits(env: Environment, tree: number, block: number, whole: Statfs): Statfs {
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
