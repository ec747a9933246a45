/**
 * System calls for test programs that run in child processes: synchronous, with the kernel's own errno.
 * Paths are byte strings: each character of a string is one byte (latin1), so that names need not be UTF-8.
 * Every function returns a value >= 0, or the negated errno. Layouts are those of Linux on 64-bit machines.
 */
import koffi from "koffi"
import fs from "node:fs"
import os from "node:os"

const libc = koffi.load("libc.so.6")

type Call = (...args: (number | bigint | Buffer | null)[]) => number

function bind(prototype: string): Call {
  const call = libc.func(prototype) as unknown as Call
  return (...args) => {
    const result = call(...args)
    return result < 0 ? -koffi.errno() : result
  }
}

const c = {
  open: bind("int open(const void *path, int flags, int mode)"),
  openat: bind("int openat(int dir, const void *path, int flags, int mode)"),
  close: bind("int close(int fd)"),
  pread: bind("int64_t pread(int fd, void *buffer, size_t length, int64_t offset)"),
  pwrite: bind("int64_t pwrite(int fd, const void *buffer, size_t length, int64_t offset)"),
  write: bind("int64_t write(int fd, const void *buffer, size_t length)"),
  lseek: bind("int64_t lseek(int fd, int64_t offset, int whence)"),
  ftruncate: bind("int ftruncate(int fd, int64_t length)"),
  truncate: bind("int truncate(const void *path, int64_t length)"),
  fallocate: bind("int fallocate(int fd, int mode, int64_t offset, int64_t length)"),
  copyFileRange: bind(
    "int64_t copy_file_range(int in, void *inOffset, int out, void *outOffset, size_t length, unsigned int flags)",
  ),
  fsync: bind("int fsync(int fd)"),
  fdatasync: bind("int fdatasync(int fd)"),
  mkdirat: bind("int mkdirat(int dir, const void *path, int mode)"),
  mknod: bind("int mknod(const void *path, int mode, uint64_t device)"),
  symlink: bind("int symlink(const void *target, const void *path)"),
  link: bind("int link(const void *from, const void *to)"),
  unlinkat: bind("int unlinkat(int dir, const void *path, int flags)"),
  renameat2: bind(
    "int renameat2(int fromDir, const void *from, int toDir, const void *to, unsigned int flags)",
  ),
  readlink: bind("int64_t readlink(const void *path, void *buffer, size_t length)"),
  statx: bind("int statx(int dir, const void *path, int flags, unsigned int mask, void *buffer)"),
  chmod: bind("int chmod(const void *path, int mode)"),
  fchmod: bind("int fchmod(int fd, int mode)"),
  fchownat: bind("int fchownat(int dir, const void *path, int uid, int gid, int flags)"),
  utimensat: bind("int utimensat(int dir, const void *path, const void *times, int flags)"),
  setxattr: bind(
    "int setxattr(const void *path, const void *name, const void *value, size_t size, int flags)",
  ),
  lsetxattr: bind(
    "int lsetxattr(const void *path, const void *name, const void *value, size_t size, int flags)",
  ),
  lgetxattr: bind("int64_t lgetxattr(const void *path, const void *name, void *value, size_t size)"),
  llistxattr: bind("int64_t llistxattr(const void *path, void *list, size_t size)"),
  lremovexattr: bind("int lremovexattr(const void *path, const void *name)"),
  flock: bind("int flock(int fd, int operation)"),
  fcntl: bind("int fcntl(int fd, int command, void *argument)"),
  getdents64: bind("int64_t getdents64(int fd, void *buffer, size_t length)"),
  mmap: bind(
    "int64_t mmap(int64_t address, size_t length, int protection, int flags, int fd, int64_t offset)",
  ),
  munmap: bind("int munmap(int64_t address, size_t length)"),
  msync: bind("int msync(int64_t address, size_t length, int flags)"),
  fadvise: bind("int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)"),
  umask: bind("int umask(int mask)"),
}

const fspick = libc.func("syscall", "int64_t", ["int64_t", "int64_t", "const void *", "int64_t"])
const fsconfig = libc.func("syscall", "int64_t", [
  "int64_t",
  "int64_t",
  "int64_t",
  "void *",
  "void *",
  "int64_t",
])

const copyFromMemory = libc.func("memcpy", "int64_t", ["void *", "int64_t", "size_t"])
const copyToMemory = libc.func("memcpy", "int64_t", ["int64_t", "const void *", "size_t"])

const AT_FDCWD = -100
const AT_SYMLINK_NOFOLLOW = 0x100
const AT_REMOVEDIR = 0x200
const AT_EMPTY_PATH = 0x1000

export const O = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  CREAT: 0o100,
  EXCL: 0o200,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  DIRECTORY: fs.constants.O_DIRECTORY,
  NOFOLLOW: fs.constants.O_NOFOLLOW,
} as const

export const S = {
  IFMT: 0o170000,
  IFIFO: 0o010000,
  IFCHR: 0o020000,
  IFDIR: 0o040000,
  IFBLK: 0o060000,
  IFREG: 0o100000,
  IFLNK: 0o120000,
  IFSOCK: 0o140000,
} as const

export const RENAME = { NOREPLACE: 1, EXCHANGE: 2, WHITEOUT: 4 } as const
export const FALLOC = { KEEP_SIZE: 1, PUNCH_HOLE: 2, ZERO_RANGE: 16 } as const
export const SEEK = { SET: 0, CUR: 1, END: 2, DATA: 3, HOLE: 4 } as const
export const LOCK = { SH: 1, EX: 2, NB: 4, UN: 8 } as const
export const XATTR = { CREATE: 1, REPLACE: 2 } as const
export const E = os.constants.errno

const errnoNames = new Map(Object.entries(os.constants.errno).map(([name, number]) => [number, name]))

/** "ENOENT" for 2 or -2. */
export const errnoName = (errno: number): string =>
  errnoNames.get(Math.abs(errno)) ?? `errno ${Math.abs(errno)}`

/** A NUL-terminated byte string. */
const z = (bytes: string): Buffer => Buffer.from(`${bytes}\0`, "latin1")

export const open = (path: string, flags: number, mode = 0o666): number => c.open(z(path), flags, mode)
export const openat = (dir: number, path: string, flags: number, mode = 0o666): number =>
  c.openat(dir, z(path), flags, mode)
export const close = (fd: number): number => c.close(fd)
export const pread = (fd: number, buffer: Buffer, offset: number): number =>
  c.pread(fd, buffer, buffer.length, offset)
export const pwrite = (fd: number, data: Buffer, offset: number): number =>
  c.pwrite(fd, data, data.length, offset)
export const write = (fd: number, data: Buffer): number => c.write(fd, data, data.length)
export const lseek = (fd: number, offset: number | bigint, whence: number): number =>
  c.lseek(fd, offset, whence)
export const ftruncate = (fd: number, length: number): number => c.ftruncate(fd, length)
export const truncate = (path: string, length: number): number => c.truncate(z(path), length)
export const fallocate = (fd: number, mode: number, offset: number, length: number): number =>
  c.fallocate(fd, mode, offset, length)
export const fsync = (fd: number): number => c.fsync(fd)
export const fdatasync = (fd: number): number => c.fdatasync(fd)
export const mkdir = (path: string, mode = 0o777): number => c.mkdirat(AT_FDCWD, z(path), mode)
export const mkdirat = (dir: number, path: string, mode = 0o777): number => c.mkdirat(dir, z(path), mode)
export const mknod = (path: string, mode: number, device: number): number => c.mknod(z(path), mode, device)
export const symlink = (target: string, path: string): number => c.symlink(z(target), z(path))
export const link = (from: string, to: string): number => c.link(z(from), z(to))
export const unlink = (path: string): number => c.unlinkat(AT_FDCWD, z(path), 0)
export const rmdir = (path: string): number => c.unlinkat(AT_FDCWD, z(path), AT_REMOVEDIR)
export const rename = (from: string, to: string, flags = 0): number =>
  c.renameat2(AT_FDCWD, z(from), AT_FDCWD, z(to), flags)
export const chmod = (path: string, mode: number): number => c.chmod(z(path), mode)
export const fchmod = (fd: number, mode: number): number => c.fchmod(fd, mode)
export const lchown = (path: string, uid: number, gid: number): number =>
  c.fchownat(AT_FDCWD, z(path), uid, gid, AT_SYMLINK_NOFOLLOW)
export const flock = (fd: number, operation: number): number => c.flock(fd, operation)
export const umask = (mask: number): number => c.umask(mask)

/** Drops the clean cached pages of the file. */
export const dropPages = (fd: number): number => c.fadvise(fd, 0, 0, 4)

/** Copies within or between files; returns the bytes copied, which may be fewer than asked for. */
export function copyFileRange(
  from: number,
  fromOffset: number,
  to: number,
  toOffset: number,
  length: number,
): number {
  const offsets = Buffer.alloc(16)
  offsets.writeBigInt64LE(BigInt(fromOffset), 0)
  offsets.writeBigInt64LE(BigInt(toOffset), 8)
  return c.copyFileRange(from, offsets.subarray(0, 8), to, offsets.subarray(8), length, 0)
}

export function readlink(path: string): string | number {
  const buffer = Buffer.alloc(4097)
  const length = c.readlink(z(path), buffer, buffer.length)
  return length < 0 ? length : buffer.toString("latin1", 0, length)
}

/** Seconds and nanoseconds, as the kernel keeps them. */
export interface Timestamp {
  readonly seconds: number
  readonly nanoseconds: number
}

/** A null leaves that time alone. */
export function utimens(path: string, atime: Timestamp | null, mtime: Timestamp | null): number {
  const times = Buffer.alloc(32)
  for (const [i, time] of [atime, mtime].entries()) {
    times.writeBigInt64LE(BigInt(time?.seconds ?? 0), i * 16)
    times.writeBigInt64LE(BigInt(time?.nanoseconds ?? 0x3ffffffe), i * 16 + 8)
  }
  return c.utimensat(AT_FDCWD, z(path), times, AT_SYMLINK_NOFOLLOW)
}

export interface Stat {
  readonly mode: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  readonly ino: number
  readonly size: number
  readonly blocks: number
  readonly atime: Timestamp
  readonly mtime: Timestamp
  readonly ctime: Timestamp
  readonly rdevMajor: number
  readonly rdevMinor: number
}

const time = (b: Buffer, at: number): Timestamp => ({
  seconds: Number(b.readBigInt64LE(at)),
  nanoseconds: b.readUInt32LE(at + 8),
})

function statx(dir: number, path: string, flags: number): Stat | number {
  const b = Buffer.alloc(256)
  const result = c.statx(dir, z(path), flags, 0x7ff, b)
  if (result < 0) return result
  return {
    nlink: b.readUInt32LE(16),
    uid: b.readUInt32LE(20),
    gid: b.readUInt32LE(24),
    mode: b.readUInt16LE(28),
    ino: Number(b.readBigUInt64LE(32)),
    size: Number(b.readBigUInt64LE(40)),
    blocks: Number(b.readBigUInt64LE(48)),
    atime: time(b, 64),
    ctime: time(b, 96),
    mtime: time(b, 112),
    rdevMajor: b.readUInt32LE(128),
    rdevMinor: b.readUInt32LE(132),
  }
}

export const stat = (path: string): Stat | number => statx(AT_FDCWD, path, 0)
export const lstat = (path: string): Stat | number => statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW)
export const fstat = (fd: number): Stat | number => statx(fd, "", AT_EMPTY_PATH)

export const setxattr = (path: string, name: string, value: Buffer, flags: number): number =>
  c.setxattr(z(path), z(name), value, value.length, flags)
export const lsetxattr = (path: string, name: string, value: Buffer, flags: number): number =>
  c.lsetxattr(z(path), z(name), value, value.length, flags)
export const lremovexattr = (path: string, name: string): number => c.lremovexattr(z(path), z(name))

export function lgetxattr(path: string, name: string, capacity = 65536): Buffer | number {
  const buffer = Buffer.alloc(capacity)
  const length = c.lgetxattr(z(path), z(name), buffer, capacity)
  return length < 0 ? length : buffer.subarray(0, length)
}

export function llistxattr(path: string): string[] | number {
  const buffer = Buffer.alloc(65536)
  const length = c.llistxattr(z(path), buffer, buffer.length)
  return length < 0 ? length : buffer.toString("latin1", 0, length).split("\0").slice(0, -1).sort()
}

/** Open file description locks: F_OFD_SETLK (never waits) on a byte range. */
export function lockRange(
  fd: number,
  kind: "read" | "write" | "none",
  start: number,
  length: number,
): number {
  const lock = Buffer.alloc(32)
  lock.writeInt16LE({ read: 0, write: 1, none: 2 }[kind], 0)
  lock.writeBigInt64LE(BigInt(start), 8)
  lock.writeBigInt64LE(BigInt(length), 16)
  return c.fcntl(fd, 37, lock)
}

export interface Entry {
  readonly name: string
  readonly ino: number
  readonly type: number
  /** Where the listing goes on after this entry: an argument for lseek. ext4 uses all its 63 bits. */
  readonly next: bigint
}

/** One getdents64 call: an empty list at the end of the directory. */
export function getdents(fd: number, capacity = 32768): Entry[] | number {
  const buffer = Buffer.alloc(capacity)
  const length = c.getdents64(fd, buffer, capacity)
  if (length < 0) return length
  const entries: Entry[] = []
  for (let at = 0; at < length; at += buffer.readUInt16LE(at + 16)) {
    entries.push({
      ino: Number(buffer.readBigUInt64LE(at)),
      next: buffer.readBigInt64LE(at + 8),
      type: buffer.readUInt8(at + 18),
      name: buffer.toString("latin1", at + 19, buffer.indexOf(0, at + 19)),
    })
  }
  return entries
}

/** Every entry of an open directory, from its start. */
export function listDirectory(fd: number, capacity = 32768): Entry[] | number {
  const all: Entry[] = []
  const rewound = lseek(fd, 0, SEEK.SET)
  if (rewound < 0) return rewound
  for (;;) {
    const some = getdents(fd, capacity)
    if (typeof some === "number") return some
    if (some.length === 0) return all
    all.push(...some)
  }
}

export function readDirectory(path: string, capacity = 32768): Entry[] | number {
  const fd = open(path, O.RDONLY | O.DIRECTORY)
  if (fd < 0) return fd
  const entries = listDirectory(fd, capacity)
  close(fd)
  return entries
}

/** A shared mapping of a file; the caller keeps accesses inside the file's pages. */
export interface Mapping {
  read(offset: number, length: number): Buffer
  write(offset: number, data: Buffer): void
  sync(): number
  unmap(): number
}

export function map(fd: number, offset: number, length: number, writable: boolean): Mapping | number {
  const address = c.mmap(0, length, writable ? 3 : 1, 1, fd, offset)
  if (address < 0) return address
  return {
    read: (at, size) => {
      const data = Buffer.alloc(size)
      copyFromMemory(data, address + at, size)
      return data
    },
    write: (at, data) => {
      copyToMemory(address + at, data, data.length)
    },
    sync: () => c.msync(address, length, 4),
    unmap: () => c.munmap(address, length),
  }
}

/** System call numbers that all 64-bit architectures share. */
const SYS_FSCONFIG = 431
const SYS_FSPICK = 433
const FSCONFIG_CMD_RECONFIGURE = 7

/**
 * Makes the kernel forget every name, inode and page of one filesystem that nothing holds, in milliseconds: a remount
 * that changes nothing begins with that. (Writing to /proc/sys/vm/drop_caches takes seconds when the machine has
 * cached much, and disturbs everybody.) The path is a mount point; of any other directory nothing is forgotten.
 */
export function dropCaches(mountpoint: string): number {
  const fd = fspick(SYS_FSPICK, AT_FDCWD, z(mountpoint), 0) as number
  if (fd < 0) return -koffi.errno()
  const result = fsconfig(SYS_FSCONFIG, fd, FSCONFIG_CMD_RECONFIGURE, null, null, 0) as number
  const errno = result < 0 ? koffi.errno() : 0
  c.close(fd)
  return -errno
}
