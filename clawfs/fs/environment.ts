/** What every part of the filesystem works with. */
import type { NodeId } from "../core/brand.ts"
import { E, isErrno, type Errno, type Result, type Status } from "../core/errno.ts"
import type { InHeader } from "../fuse/abi.ts"
import { UNIQUE_RESEND_HIGH } from "../fuse/abi.ts"
import type { LATER } from "../fuse/operations.ts"
import { InodeFlag, type Inode } from "../store/inode.ts"
import type { Store } from "../store/store.ts"
import type { GuardAction } from "../store/trees.ts"
import type { Listings } from "./listings.ts"
import type { Lookups } from "./lookups.ts"

/** Remembers which request's lookups were counted last, across a restart. */
export interface CountedMark {
  uniqueLow: number
  uniqueHigh: number
}

/** A write to a file in a guarded tree (`guarding.ts`). */
export interface GuardedWrite {
  readonly inode: Inode
  readonly action: GuardAction
  readonly offset: number
  readonly data: Buffer
  /** The kernel writes what a program has left in its cache: the request does not name the program. */
  readonly isFromCache: boolean
  /** A name, an attribute or a link's target of `inode`: not a part of its contents, where it would be at `offset`. */
  readonly isText?: boolean
}

export interface Environment {
  readonly store: Store
  readonly lookups: Lookups
  readonly counted: CountedMark
  readonly listings: Listings
  /** Inodes without a name that the kernel holds; they go when it forgets them. */
  readonly orphans: Set<NodeId>
  /** How often a limit refused what would perhaps fit if the kernel forgot some of `orphans`. */
  readonly refusals: { early: number }
  /** Inodes whose atime moved in memory and waits to be saved. */
  readonly accessed: Set<Inode>
  /** The kernel keeps dirty pages and their times (WRITEBACK_CACHE). */
  readonly writeback: boolean
  /** Tells the kernel that attributes changed in a way it does not know of. For an inode that the request holds open. */
  readonly invalidateAttributes: (node: NodeId) => void
  /** Whether a write may be done: OK, why not, or LATER, when the request will come again. */
  readonly guard?: (request: InHeader, write: GuardedWrite) => typeof LATER | Status
  /** Hands an fsync to the sync worker, which replies. */
  readonly syncLater: (request: InHeader) => typeof LATER | Status
}

/**
 * The inode that a request is about; ESTALE for one that is gone (a handle from open_by_handle_at, or damage), ENOKEY in a
 * locked tree.
 */
export function inodeOf(env: Environment, node: NodeId): Result<Inode> {
  const inode = env.store.inodes.get(node)
  if (inode === undefined) return E.ESTALE
  return env.store.sealing.enter(inode) ? inode : E.ENOKEY
}

/** As `inodeOf` for one of which only attributes are wanted: those of a locked tree too. */
export function visibleInodeOf(env: Environment, node: NodeId): Result<Inode> {
  return env.store.inodes.get(node) ?? E.ESTALE
}

/** The directory that a request is about. */
export function directoryOf(env: Environment, node: NodeId): Result<Inode> {
  const inode = inodeOf(env, node)
  if (isErrno(inode)) return inode
  return inode.isDirectory ? inode : E.ENOTDIR
}

/** Why an inode must stay as it is: EROFS in a read-only tree, EPERM when it has one of `flags`. */
export function refusal(
  env: Environment,
  inode: Inode,
  flags: number = InodeFlag.IMMUTABLE,
): Errno | undefined {
  if (env.store.trees.isReadOnly(inode.tree)) return E.EROFS
  return inode.has(flags) ? E.EPERM : undefined
}

/** The tree that an inode lies in: that of a tree's own top directory is the one around it. */
export function treeAround(env: Environment, inode: Inode): number {
  return inode.tree === inode.ino ? (env.store.trees.get(inode.tree)?.parent ?? 0) : inode.tree
}

/** Counts the lookup that the entry reply hands out; once, even when the request comes again after a kill. */
export function countLookup(env: Environment, request: InHeader, inode: Inode): Inode {
  if (wasCounted(env, request)) return inode
  env.lookups.add(inode.ino)
  markCounted(env, request)
  return inode
}

const UNIQUE_HIGH_MASK = 0x7fff_ffff

/** Whether an earlier server has counted the lookups of this request before it died. */
export function wasCounted(env: Environment, request: InHeader): boolean {
  if (env.store.isReplaying) return true
  const resent = (request.uniqueHigh & UNIQUE_RESEND_HIGH) !== 0
  const { uniqueLow, uniqueHigh } = env.counted
  return resent && uniqueLow === request.uniqueLow && uniqueHigh === (request.uniqueHigh & UNIQUE_HIGH_MASK)
}

export function markCounted(env: Environment, request: InHeader): void {
  env.counted.uniqueLow = request.uniqueLow
  env.counted.uniqueHigh = request.uniqueHigh & UNIQUE_HIGH_MASK
}
