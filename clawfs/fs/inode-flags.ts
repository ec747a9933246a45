/** FS_IOC_GETFLAGS, SETFLAGS, FSGETXATTR, FSSETXATTR (ioctl_iflags(2), ioctl_fsxattr): what chattr and lsattr use. */
import { E, isErrno, type Result } from "../core/errno.ts"
import type { InHeader, IoctlIn } from "../fuse/abi.ts"
import { InodeFlag, USER_FLAGS, type Inode } from "../store/inode.ts"
import { now } from "../sys/clock.ts"
import { inodeOf, type Environment } from "./environment.ts"

/** The direction and size bits differ between the callers' `long` and the kernel's `int`: only type and number count. */
const Command = { GETFLAGS: 0x6601, SETFLAGS: 0x6602, FSGETXATTR: 0x581f, FSSETXATTR: 0x5820 } as const
const TYPE_AND_NUMBER = 0xffff

const FSXATTR_SIZE = 28

/** FS_XFLAG_* for the flags that exist in both forms. */
const XFLAGS: readonly (readonly [flag: number, xflag: number])[] = [
  [InodeFlag.IMMUTABLE, 0x8],
  [InodeFlag.APPEND, 0x10],
  [InodeFlag.SYNC, 0x20],
  [InodeFlag.NOATIME, 0x40],
  [InodeFlag.NODUMP, 0x80],
]

export function ioctl(env: Environment, request: InHeader, head: IoctlIn, input: Buffer): Result<Uint8Array> {
  const inode = inodeOf(env, request.node)
  if (isErrno(inode)) return inode
  switch (head.command & TYPE_AND_NUMBER) {
    case Command.GETFLAGS:
      return u32(inode.flags & USER_FLAGS, Math.min(head.outSize, 8))
    case Command.FSGETXATTR:
      return u32(toXflags(inode.flags), FSXATTR_SIZE)
    case Command.SETFLAGS:
      return input.length < 4 ? E.EINVAL : setFlags(env, inode, input.readUInt32LE(0))
    case Command.FSSETXATTR: {
      if (input.length < FSXATTR_SIZE) return E.EINVAL
      const xflags = input.readUInt32LE(0)
      const known = XFLAGS.reduce((all, [, xflag]) => all | xflag, 0)
      const kept = inode.flags & USER_FLAGS & InodeFlag.DIRSYNC
      return (xflags & ~known) !== 0 ? E.EOPNOTSUPP : setFlags(env, inode, kept | fromXflags(xflags))
    }
    default:
      return E.ENOTTY
  }
}

function u32(value: number, size: number): Buffer {
  const out = Buffer.alloc(Math.max(size, 4))
  out.writeUInt32LE(value, 0)
  return out
}

function toXflags(flags: number): number {
  return XFLAGS.reduce((all, [flag, xflag]) => ((flags & flag) !== 0 ? all | xflag : all), 0)
}

function fromXflags(xflags: number): number {
  return XFLAGS.reduce((all, [flag, xflag]) => ((xflags & xflag) !== 0 ? all | flag : all), 0)
}

/** The kernel has checked owner and CAP_LINUX_IMMUTABLE. */
function setFlags(env: Environment, inode: Inode, flags: number): Result<Uint8Array> {
  if ((flags & ~USER_FLAGS) !== 0) return E.EOPNOTSUPP
  if (env.store.trees.isReadOnly(inode.tree)) return E.EROFS
  env.store.transact(() => {
    inode.flags = (inode.flags & ~USER_FLAGS) | flags
    inode.touchChange(now())
    env.store.inodes.save(inode)
  })
  env.invalidateAttributes(inode.ino)
  return Buffer.alloc(0)
}
