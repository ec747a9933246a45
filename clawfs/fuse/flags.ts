/**
 * INIT capabilities: what is asked for and why, what is left off and why. Measured in ../shared/reference/fuse.md §5;
 * the reasons are kept here, beside the decision.
 */

const bit = (n: number): bigint => 1n << BigInt(n)

export const Flag = {
  ASYNC_READ: bit(0),
  POSIX_LOCKS: bit(1),
  ATOMIC_O_TRUNC: bit(3),
  EXPORT_SUPPORT: bit(4),
  BIG_WRITES: bit(5),
  DONT_MASK: bit(6),
  FLOCK_LOCKS: bit(10),
  AUTO_INVAL_DATA: bit(12),
  DO_READDIRPLUS: bit(13),
  READDIRPLUS_AUTO: bit(14),
  ASYNC_DIO: bit(15),
  WRITEBACK_CACHE: bit(16),
  NO_OPEN_SUPPORT: bit(17),
  PARALLEL_DIROPS: bit(18),
  POSIX_ACL: bit(20),
  MAX_PAGES: bit(22),
  CACHE_SYMLINKS: bit(23),
  NO_OPENDIR_SUPPORT: bit(24),
  EXPLICIT_INVAL_DATA: bit(25),
  HANDLE_KILLPRIV_V2: bit(28),
  SETXATTR_EXT: bit(29),
  INIT_EXT: bit(30),
  SECURITY_CTX: bit(32),
  CREATE_SUPP_GROUP: bit(34),
  HAS_EXPIRE_ONLY: bit(35),
  DIRECT_IO_ALLOW_MMAP: bit(36),
  PASSTHROUGH: bit(37),
  HAS_RESEND: bit(39),
  ALLOW_IDMAP: bit(40),
  OVER_IO_URING: bit(41),
} as const

export type FlagName = keyof typeof Flag

/** Asked for wherever the kernel offers it. */
export const ADOPTED: Readonly<Partial<Record<FlagName, string>>> = {
  ASYNC_READ: "several reads of a file may be under way at once",
  EXPORT_SUPPORT: "open_by_handle_at works: node ids are stable",
  BIG_WRITES: "a write request may carry more than a page",
  DONT_MASK: "the umask does not apply where a directory has a default ACL, so the server applies it",
  DO_READDIRPLUS: "a listing brings the attributes along",
  READDIRPLUS_AUTO: "… but only when the program asks for them",
  ASYNC_DIO: "direct I/O is split into parallel requests",
  PARALLEL_DIROPS: "lookups in one directory do not wait for each other",
  POSIX_ACL: "the kernel checks access control lists",
  MAX_PAGES: "requests of 1 MiB instead of 128 KiB",
  CACHE_SYMLINKS: "a link is read once",
  HANDLE_KILLPRIV_V2: "saves a GETXATTR before every write; the server clears setuid and setgid",
  SETXATTR_EXT: "tells when setting an ACL must clear setgid",
  INIT_EXT: "there is a second word of flags",
  HAS_RESEND: "a new server gets the requests that a killed one owed",
}

/** Left off, with the reason. A capability in neither table is one that this version does not know. */
export const REFUSED: Readonly<Partial<Record<FlagName, string>>> = {
  POSIX_LOCKS: "the kernel keeps record locks itself: right for one machine, and they survive a restart",
  FLOCK_LOCKS: "as POSIX_LOCKS",
  ATOMIC_O_TRUNC: "corrupts files where OPEN is not answered: the truncation gets lost",
  AUTO_INVAL_DATA: "drops the page cache after each own write; nothing changes files behind the kernel",
  EXPLICIT_INVAL_DATA: "nothing changes file contents behind the kernel",
  NO_OPEN_SUPPORT: "informational: the kernel reacts to ENOSYS",
  NO_OPENDIR_SUPPORT: "informational: the kernel reacts to ENOSYS",
  SECURITY_CTX: "no security labels are made at creation",
  CREATE_SUPP_GROUP: "the kernel has already removed a setgid bit that the caller may not give",
  HAS_EXPIRE_ONLY: "informational",
  DIRECT_IO_ALLOW_MMAP: "no file is forced into direct I/O",
  PASSTHROUGH: "file contents are records in a log, not files",
  ALLOW_IDMAP: "not tested with id-mapped mounts",
  OVER_IO_URING: "off by default in kernels and not measured",
}

/** The flags to answer INIT with. Writeback hides dirty bytes from the server for seconds: only on request. */
export function negotiate(offered: bigint, options: { writeback: boolean }): bigint {
  let wanted = 0n
  for (const name of Object.keys(ADOPTED) as FlagName[]) wanted |= Flag[name]
  if (options.writeback) wanted |= Flag.WRITEBACK_CACHE
  return wanted & offered
}

/** The names of the flags in a word, for `status` and the log. */
export function flagNames(flags: bigint): FlagName[] {
  return (Object.keys(Flag) as FlagName[]).filter((name) => (flags & Flag[name]) !== 0n)
}
