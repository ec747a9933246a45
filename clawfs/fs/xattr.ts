/** Extended attributes (xattr(7)) and, as two of them, ACLs. */
import { E, OK, isErrno, type Errno, type Result, type Status } from "../core/errno.ts"
import type { InHeader } from "../fuse/abi.ts"
import { ACL_KILL_SGID, SetxattrFlag } from "../fuse/abi.ts"
import { InodeFlag, S_ISGID, type Inode } from "../store/inode.ts"
import { now } from "../sys/clock.ts"
import { ACCESS_ACL, DEFAULT_ACL, decodeAcl, isMinimal, modeOfAcl } from "./acl.ts"
import { inodeOf, refusal, type Environment } from "./environment.ts"

const NAME_MAX = 255
const NAMESPACES = ["user.", "trusted.", "security."].map((prefix) => Buffer.from(prefix, "latin1"))
const TRUSTED = Buffer.from("trusted.", "latin1")
const PERMISSION_BITS = 0o777

function startsWith(name: Buffer, prefix: Buffer): boolean {
  return name.length > prefix.length && name.subarray(0, prefix.length).equals(prefix)
}

function isAcl(name: Buffer): boolean {
  return name.equals(ACCESS_ACL) || name.equals(DEFAULT_ACL)
}

function checkName(name: Buffer): Errno | undefined {
  if (name.length > NAME_MAX) return E.ERANGE
  if (NAMESPACES.some((prefix) => prefix.equals(name))) return E.EINVAL
  return isAcl(name) || NAMESPACES.some((prefix) => startsWith(name, prefix)) ? undefined : E.EOPNOTSUPP
}

function modifiable(env: Environment, request: InHeader, name: Buffer): Result<Inode> {
  const bad = checkName(name)
  if (bad !== undefined) return bad
  const inode = inodeOf(env, request.node)
  if (isErrno(inode)) return inode
  return refusal(env, inode, InodeFlag.IMMUTABLE | InodeFlag.APPEND) ?? inode
}

function valueOf(env: Environment, inode: Inode, name: Buffer): Buffer | undefined {
  return inode.has(InodeFlag.HAS_XATTR) ? env.store.xattrs.get(inode, name) : undefined
}

export function setxattr(
  env: Environment,
  request: InHeader,
  name: Buffer,
  value: Buffer,
  flags: { set: number; acl: number },
): Status {
  const inode = modifiable(env, request, name)
  if (isErrno(inode)) return inode
  const exists = valueOf(env, inode, name) !== undefined
  if ((flags.set & SetxattrFlag.CREATE) !== 0 && exists) return E.EEXIST
  if ((flags.set & SetxattrFlag.REPLACE) !== 0 && !exists) return E.ENODATA
  if (name.equals(ACCESS_ACL)) return setAccessAcl(env, request, inode, value, flags.acl)
  if (name.equals(DEFAULT_ACL) && !inode.isDirectory) return E.EACCES
  env.store.transact(() => {
    env.store.xattrs.put(inode, name, value)
    if (inode.isDirectory) env.store.feed.note(inode.ino)
    inode.setFlag(InodeFlag.HAS_XATTR, true)
    if (name.equals(DEFAULT_ACL)) inode.setFlag(InodeFlag.HAS_DEFAULT_ACL, true)
    inode.touchChange(now())
    env.store.inodes.save(inode)
  }, request)
  return OK
}

/** The mode follows; an ACL that says no more than the mode is not kept. */
function setAccessAcl(
  env: Environment,
  request: InHeader,
  inode: Inode,
  value: Buffer,
  aclFlags: number,
): Status {
  const entries = decodeAcl(value)
  if (entries === undefined) return E.EINVAL
  env.store.transact(() => {
    inode.mode = (inode.mode & ~PERMISSION_BITS) | modeOfAcl(entries)
    if ((aclFlags & ACL_KILL_SGID) !== 0) inode.mode &= ~S_ISGID
    const keep = !isMinimal(entries)
    if (keep) {
      env.store.xattrs.put(inode, ACCESS_ACL, value)
      inode.setFlag(InodeFlag.HAS_XATTR, true)
    } else if (inode.has(InodeFlag.HAS_ACCESS_ACL)) env.store.xattrs.delete(inode, ACCESS_ACL)
    inode.setFlag(InodeFlag.HAS_ACCESS_ACL, keep)
    inode.touchChange(now())
    env.store.inodes.save(inode)
  }, request)
  return OK
}

export function getxattr(env: Environment, request: InHeader, name: Buffer): Result<Uint8Array> {
  const inode = inodeOf(env, request.node)
  if (isErrno(inode)) return inode
  const bad = checkName(name)
  return bad ?? valueOf(env, inode, name) ?? E.ENODATA
}

/** Names in `trusted.` are shown to root alone, as ext4 does (xattr(7)). */
export function listxattr(env: Environment, request: InHeader): Result<Uint8Array> {
  const inode = inodeOf(env, request.node)
  if (isErrno(inode)) return inode
  if (!inode.has(InodeFlag.HAS_XATTR)) return Buffer.alloc(0)
  const names = env.store.xattrs
    .names(inode)
    .filter((name) => request.uid === 0 || !startsWith(name, TRUSTED))
  return Buffer.concat(names.flatMap((name) => [name, Buffer.alloc(1)]))
}

export function removexattr(env: Environment, request: InHeader, name: Buffer): Status {
  const inode = modifiable(env, request, name)
  if (isErrno(inode)) return inode
  if (valueOf(env, inode, name) === undefined) return isAcl(name) ? OK : E.ENODATA
  env.store.transact(() => {
    env.store.xattrs.delete(inode, name)
    if (inode.isDirectory) env.store.feed.note(inode.ino)
    if (name.equals(ACCESS_ACL)) inode.setFlag(InodeFlag.HAS_ACCESS_ACL, false)
    if (name.equals(DEFAULT_ACL)) inode.setFlag(InodeFlag.HAS_DEFAULT_ACL, false)
    if (env.store.xattrs.names(inode).length === 0) inode.setFlag(InodeFlag.HAS_XATTR, false)
    inode.touchChange(now())
    env.store.inodes.save(inode)
  }, request)
  return OK
}
