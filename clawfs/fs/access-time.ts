/**
 * atime by the `relatime` rule (mount(8)): moved when it is not newer than mtime or ctime, or older than a day. The
 * kernel's cache answers most reads, so the server sees the first read after a change or a restart, not every one.
 * The new time is in memory at once and on the disk with the inode's next change or the next quiet moment: like ext4's
 * `lazytime`, a crash may lose it.
 */
import type { Inode } from "../store/inode.ts"
import { InodeFlag } from "../store/inode.ts"
import { now } from "../sys/clock.ts"
import type { Environment } from "./environment.ts"

const DAY_SECONDS = 86_400
const FLUSH_AT = 1024

/** So many times are waiting that they should be written, however busy the mount is. */
export function hasManyAccessTimes(env: Environment): boolean {
  return env.accessed.size >= FLUSH_AT
}

export function touchAccessLazily(env: Environment, inode: Inode): void {
  if (env.store.readOnly || inode.has(InodeFlag.NOATIME) || env.store.trees.isReadOnly(inode.tree)) return
  const t = now()
  if (!isStale(inode, t.seconds)) return
  inode.touchAccess(t)
  env.accessed.add(inode)
}

function isStale(inode: Inode, seconds: number): boolean {
  const { atime, atimeNanos } = inode
  if (atime < inode.mtime || (atime === inode.mtime && atimeNanos <= inode.mtimeNanos)) return true
  if (atime < inode.ctime || (atime === inode.ctime && atimeNanos <= inode.ctimeNanos)) return true
  return seconds - atime >= DAY_SECONDS
}

/** Saves the waiting times in one transaction. */
export function flushAccessTimes(env: Environment): void {
  if (env.accessed.size === 0) return
  const inodes = [...env.accessed]
  env.accessed.clear()
  env.store.housekeep(() => {
    // One that was deleted or evicted meanwhile is not saved: its row may hold newer values than this object.
    for (const inode of inodes) if (env.store.inodes.get(inode.ino) === inode) env.store.inodes.save(inode)
  })
}
