/** POSIX error numbers as Linux counts them. The only place that makes an `Errno`. */
import { constants } from "node:os"
import type { Brand } from "./brand.ts"

/** A positive POSIX error number, never 0. Not a Claw code and not an exit code: those use other numbers. */
export type Errno = Brand<number, "Errno">

/** What an operation with nothing to return gives back: 0 is success. */
export type Status = Errno | typeof OK

/** An expected failure is a value, not an exception: every negative lookup is one. `T` is never a number. */
export type Result<T> = T | Errno

export const OK = 0

const os = constants.errno

/** Numbers that `os.constants` lacks, from asm-generic/errno.h. */
const extra = { ENOTTY: 25, ENOKEY: 126 } as const

export const E = {
  EPERM: os.EPERM,
  ENOENT: os.ENOENT,
  EINTR: os.EINTR,
  EIO: os.EIO,
  ENXIO: os.ENXIO,
  EBADF: os.EBADF,
  EAGAIN: os.EAGAIN,
  ENOMEM: os.ENOMEM,
  EACCES: os.EACCES,
  EBUSY: os.EBUSY,
  EEXIST: os.EEXIST,
  EXDEV: os.EXDEV,
  ENODEV: os.ENODEV,
  ENOTDIR: os.ENOTDIR,
  EISDIR: os.EISDIR,
  EINVAL: os.EINVAL,
  ENOTTY: extra.ENOTTY,
  EFBIG: os.EFBIG,
  ENOSPC: os.ENOSPC,
  EROFS: os.EROFS,
  EMLINK: os.EMLINK,
  ERANGE: os.ERANGE,
  ENAMETOOLONG: os.ENAMETOOLONG,
  ENOSYS: os.ENOSYS,
  ENOTEMPTY: os.ENOTEMPTY,
  ENODATA: os.ENODATA,
  ELOOP: os.ELOOP,
  EPROTO: os.EPROTO,
  EOPNOTSUPP: os.EOPNOTSUPP,
  ENOTCONN: os.ENOTCONN,
  ETIMEDOUT: os.ETIMEDOUT,
  ESTALE: os.ESTALE,
  E2BIG: os.E2BIG,
  ENOKEY: extra.ENOKEY,
  EDQUOT: os.EDQUOT,
} as Readonly<Record<ErrnoName, Errno>>

export type ErrnoName =
  | "EPERM"
  | "ENOENT"
  | "EINTR"
  | "EIO"
  | "ENXIO"
  | "EBADF"
  | "EAGAIN"
  | "ENOMEM"
  | "EACCES"
  | "EBUSY"
  | "EEXIST"
  | "EXDEV"
  | "ENODEV"
  | "ENOTDIR"
  | "EISDIR"
  | "EINVAL"
  | "ENOTTY"
  | "EFBIG"
  | "ENOSPC"
  | "EROFS"
  | "EMLINK"
  | "ERANGE"
  | "ENAMETOOLONG"
  | "ENOSYS"
  | "ENOTEMPTY"
  | "ENODATA"
  | "ELOOP"
  | "EPROTO"
  | "EOPNOTSUPP"
  | "ENOTCONN"
  | "ETIMEDOUT"
  | "ESTALE"
  | "E2BIG"
  | "ENOKEY"
  | "EDQUOT"

const names = new Map<number, string>([
  ...Object.entries(os).map(([name, value]): [number, string] => [value, name]),
  ...Object.entries(extra).map(([name, value]): [number, string] => [value, name]),
])

/** The symbolic name, "ENOENT" for 2; an unknown number gives "errno 4711". */
export function errnoName(value: number): string {
  return names.get(value) ?? `errno ${value}`
}

export function isErrno(value: unknown): value is Errno {
  return typeof value === "number" && value !== OK
}

/** Wraps an errno that a system call reported. */
export function errnoOf(value: number): Errno {
  if (value <= 0) throw new Error(`BUG: errno must be positive, got ${value}`)
  return value as Errno
}
