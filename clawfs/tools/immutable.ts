/** The attribute that chattr(1) calls `i`: nobody changes, removes or links the file while it has it. */
import { closeSync, openSync } from "node:fs"
import { Fault } from "../core/fault.ts"
import { lastErrno } from "../sys/ffi.ts"
import { ioctl } from "../sys/libc.ts"

/** ioctl_iflags(2), on 64 bits */
const FS_IOC_SETFLAGS = 0x4008_6602
const FS_IMMUTABLE_FL = 0x10
const EPERM = 1
/** Of filesystems that have no such attribute. */
const ENOTTY = 25
const EOPNOTSUPP = 95

/** False where this user may not (it takes CAP_LINUX_IMMUTABLE), or there is no such attribute. */
export function setImmutable(path: string, isImmutable: boolean): boolean {
  const fd = openSync(path, "r")
  try {
    const flags = Buffer.alloc(8)
    flags.writeUInt32LE(isImmutable ? FS_IMMUTABLE_FL : 0)
    if (ioctl(fd, FS_IOC_SETFLAGS, flags) === 0) return true
    const errno = lastErrno()
    if (errno === EPERM || errno === ENOTTY || errno === EOPNOTSUPP) return false
    throw new Fault("io", `the immutable flag of ${path} can't be changed (errno ${errno})`)
  } finally {
    closeSync(fd)
  }
}
