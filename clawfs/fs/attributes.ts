/** GETATTR and SETATTR: chmod, chown, truncate, utimensat, and the kernel's requests to clear setuid and setgid. */
import { E, isErrno, type Result } from "../core/errno.ts"
import type { InHeader, SetattrIn } from "../fuse/abi.ts"
import { SetattrValid as V } from "../fuse/abi.ts"
import { InodeFlag, PERMISSIONS, type Inode } from "../store/inode.ts"
import { now, type Timestamp } from "../sys/clock.ts"
import { ACCESS_ACL, aclWithMode, decodeAcl, encodeAcl } from "./acl.ts"
import { inodeOf, refusal, type Environment } from "./environment.ts"
import { dependsOnCaller, dropPrivileges } from "./privileges.ts"

/** The largest size: what a double counts exactly. Beyond it: EFBIG. */
export const MAX_FILE_SIZE = Number.MAX_SAFE_INTEGER - 1

/** Everything that stands for an explicit wish; without any of it, SETATTR asks for the bits to be cleared. */
const EXPLICIT = V.MODE | V.UID | V.GID | V.SIZE | V.ATIME | V.MTIME | V.ATIME_NOW | V.MTIME_NOW

export function setattr(env: Environment, request: InHeader, change: SetattrIn): Result<Inode> {
  const inode = inodeOf(env, request.node)
  if (isErrno(inode)) return inode
  const bad = refusal(env, inode)
  if (bad !== undefined) return bad
  if (inode.has(InodeFlag.APPEND) && (change.valid & ~(V.FH | V.LOCKOWNER | V.KILL_SUIDGID)) !== 0) {
    if (!isTouchNow(change)) return E.EPERM
  }
  if ((change.valid & V.SIZE) !== 0) {
    if (inode.isDirectory) return E.EISDIR
    if (!inode.isRegular) return E.EINVAL
    if (change.size > MAX_FILE_SIZE) return E.EFBIG
  }
  const apply = (): void => {
    applyChange(env, request, inode, change)
    env.store.inodes.save(inode)
  }
  if (dependsOnCaller(inode, request)) env.store.transactAlone(apply)
  else env.store.transact(apply)
  return inode
}

/** An append-only file may be touched with the present time, and nothing else (ioctl_iflags(2)). */
function isTouchNow(change: SetattrIn): boolean {
  if ((change.valid & (V.MODE | V.UID | V.GID | V.SIZE)) !== 0) return false
  const explicitAtime = (change.valid & V.ATIME) !== 0 && (change.valid & V.ATIME_NOW) === 0
  const explicitMtime = (change.valid & V.MTIME) !== 0 && (change.valid & V.MTIME_NOW) === 0
  return !explicitAtime && !explicitMtime
}

function applyChange(env: Environment, request: InHeader, inode: Inode, change: SetattrIn): void {
  const { valid } = change
  const t = now()
  const sameSize = (valid & V.SIZE) !== 0 && change.size === inode.size
  if ((valid & V.MODE) !== 0) setMode(env, inode, change.mode)
  if ((valid & (V.UID | V.GID)) !== 0) {
    // Judged by the group that the file has had so far.
    if ((valid & V.MODE) === 0) dropPrivileges(inode, request)
    if ((valid & V.UID) !== 0) inode.uid = change.uid
    if ((valid & V.GID) !== 0) inode.gid = change.gid
  }
  if ((valid & V.KILL_SUIDGID) !== 0 || (valid & EXPLICIT) === 0) dropPrivileges(inode, request)
  if ((valid & V.SIZE) !== 0) {
    env.store.contents.resize(inode, change.size)
    if (!sameSize) inode.touchContents(t)
  }
  setTimes(inode, change, t)
  // truncate(2) to the present size changes no time; everything else moves ctime.
  const onlySameSize = sameSize && (valid & EXPLICIT & ~V.SIZE) === 0
  if ((valid & V.CTIME) !== 0) inode.touchChange({ seconds: change.ctime, nanos: change.ctimeNanos })
  else if (!onlySameSize) inode.touchChange(t)
}

/** chmod; an access ACL follows the new permissions. */
function setMode(env: Environment, inode: Inode, mode: number): void {
  inode.mode = (inode.mode & ~PERMISSIONS) | (mode & PERMISSIONS)
  if (!inode.has(InodeFlag.HAS_ACCESS_ACL)) return
  const entries = decodeAcl(env.store.xattrs.get(inode, ACCESS_ACL) ?? Buffer.alloc(0))
  if (entries !== undefined) env.store.xattrs.put(inode, ACCESS_ACL, encodeAcl(aclWithMode(entries, mode)))
}

function setTimes(inode: Inode, change: SetattrIn, t: Timestamp): void {
  const { valid } = change
  if ((valid & V.ATIME_NOW) !== 0) inode.touchAccess(t)
  else if ((valid & V.ATIME) !== 0) inode.touchAccess({ seconds: change.atime, nanos: change.atimeNanos })
  if ((valid & V.MTIME_NOW) !== 0) {
    inode.mtime = t.seconds
    inode.mtimeNanos = t.nanos
  } else if ((valid & V.MTIME) !== 0) {
    inode.mtime = change.mtime
    inode.mtimeNanos = change.mtimeNanos
  }
}
