/** System call numbers and constants of the Linux ABI: what <sys/syscall.h>, <fcntl.h>, <linux/stat.h> … define. */
import { constants as fsConstants } from "node:fs"
import { constants as osConstants } from "node:os"

/** name: [x86-64, arm64] */
const numbers = {
  openat: [257, 56],
  close: [3, 57],
  close_range: [436, 436],
  read: [0, 63],
  write: [1, 64],
  pread64: [17, 67],
  pwrite64: [18, 68],
  lseek: [8, 62],
  dup: [32, 23],
  fcntl: [72, 25],
  flock: [73, 32],
  ioctl: [16, 29],
  fsync: [74, 82],
  fdatasync: [75, 83],
  syncfs: [306, 267],
  fadvise64: [221, 223],
  mkdirat: [258, 34],
  mknodat: [259, 33],
  unlinkat: [263, 35],
  symlinkat: [266, 36],
  linkat: [265, 37],
  renameat2: [316, 276],
  readlinkat: [267, 78],
  fchmodat: [268, 53],
  fchmodat2: [452, 452],
  fchmod: [91, 52],
  fchownat: [260, 54],
  fchown: [93, 55],
  faccessat2: [439, 439],
  truncate: [76, 45],
  ftruncate: [77, 46],
  fallocate: [285, 47],
  utimensat: [280, 88],
  statx: [332, 291],
  statfs: [137, 43],
  fstatfs: [138, 44],
  getdents64: [217, 61],
  copy_file_range: [326, 285],
  sendfile: [40, 71],
  setxattr: [188, 5],
  lsetxattr: [189, 6],
  fsetxattr: [190, 7],
  getxattr: [191, 8],
  lgetxattr: [192, 9],
  fgetxattr: [193, 10],
  listxattr: [194, 11],
  llistxattr: [195, 12],
  flistxattr: [196, 13],
  removexattr: [197, 14],
  lremovexattr: [198, 15],
  fremovexattr: [199, 16],
  mmap: [9, 222],
  munmap: [11, 215],
  msync: [26, 227],
  memfd_create: [319, 279],
  mount: [165, 40],
  umount2: [166, 39],
  unshare: [272, 97],
  setns: [308, 268],
  chdir: [80, 49],
  fchdir: [81, 50],
  getcwd: [79, 17],
  umask: [95, 166],
  prctl: [157, 167],
  prlimit64: [302, 261],
  rt_sigaction: [13, 134],
  clock_gettime: [228, 113],
  pipe2: [293, 59],
  socket: [41, 198],
  socketpair: [53, 199],
  setsockopt: [54, 208],
  bind: [49, 200],
  getpid: [39, 172],
} as const satisfies Record<string, readonly [number, number]>

export type SyscallName = keyof typeof numbers

const column = process.arch === "x64" ? 0 : process.arch === "arm64" ? 1 : undefined
export const isKnownArchitecture = column !== undefined

export function syscallNumber(name: SyscallName): number {
  return numbers[name][column ?? 0]
}

/** The two aliases (EWOULDBLOCK, ENOTSUP) keep their POSIX main name. */
const errnoNames = new Map(
  Object.entries(osConstants.errno)
    .filter(([name]) => name !== "EWOULDBLOCK" && name !== "ENOTSUP")
    .map(([name, number]) => [number, name as ErrnoName]),
)

export type ErrnoName = keyof typeof osConstants.errno

export function errnoName(errno: number): ErrnoName | `E${number}` {
  return errnoNames.get(errno) ?? `E${errno}`
}

/** Bits that Node does not name are the same on x86-64 and arm64. */
export const O = {
  RDONLY: fsConstants.O_RDONLY,
  WRONLY: fsConstants.O_WRONLY,
  RDWR: fsConstants.O_RDWR,
  CREAT: fsConstants.O_CREAT,
  EXCL: fsConstants.O_EXCL,
  TRUNC: fsConstants.O_TRUNC,
  APPEND: fsConstants.O_APPEND,
  NONBLOCK: fsConstants.O_NONBLOCK,
  DIRECTORY: fsConstants.O_DIRECTORY,
  NOFOLLOW: fsConstants.O_NOFOLLOW,
  NOATIME: fsConstants.O_NOATIME,
  SYNC: fsConstants.O_SYNC,
  DIRECT: fsConstants.O_DIRECT,
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
  TMPFILE: 0o20000000 | fsConstants.O_DIRECTORY,
} as const

export const S = {
  IFMT: 0o170000,
  IFSOCK: 0o140000,
  IFLNK: 0o120000,
  IFREG: 0o100000,
  IFBLK: 0o060000,
  IFDIR: 0o040000,
  IFCHR: 0o020000,
  IFIFO: 0o010000,
} as const

export const AT = {
  FDCWD: -100,
  SYMLINK_NOFOLLOW: 0x100,
  REMOVEDIR: 0x200,
  EACCESS: 0x200,
  SYMLINK_FOLLOW: 0x400,
  EMPTY_PATH: 0x1000,
} as const

export const RENAME = { NOREPLACE: 1, EXCHANGE: 2, WHITEOUT: 4 } as const
export const FALLOC = { KEEP_SIZE: 1, PUNCH_HOLE: 2, COLLAPSE_RANGE: 8, ZERO_RANGE: 16 } as const
export const SEEK = { SET: 0, CUR: 1, END: 2, DATA: 3, HOLE: 4 } as const
export const XATTR = { CREATE: 1, REPLACE: 2 } as const
export const LOCK = { SH: 1, EX: 2, NB: 4, UN: 8 } as const
export const F = {
  DUPFD: 0,
  GETFL: 3,
  SETFL: 4,
  GETLK: 5,
  SETLK: 6,
  SETLKW: 7,
  OFD_GETLK: 36,
  OFD_SETLK: 37,
} as const
export const FLOCK = { RDLCK: 0, WRLCK: 1, UNLCK: 2 } as const
export const PROT = { NONE: 0, READ: 1, WRITE: 2, EXEC: 4 } as const
export const MAP = { SHARED: 1, PRIVATE: 2, ANONYMOUS: 0x20 } as const
export const MS = {
  RDONLY: 1,
  REMOUNT: 32,
  BIND: 4096,
  REC: 16384,
  SLAVE: 1 << 19,
  ASYNC: 1,
  SYNC: 4,
} as const
export const FS = { IMMUTABLE: 0x10, APPEND: 0x20, NODUMP: 0x40, NOATIME: 0x80 } as const
export const FS_IOC = { GETFLAGS: 0x80086601, SETFLAGS: 0x40086602 } as const
export const UTIME = { NOW: 0x3fffffff, OMIT: 0x3ffffffe } as const
export const CLOCK = { REALTIME: 0, REALTIME_COARSE: 5 } as const
export const R_OK = 4
export const W_OK = 2
export const X_OK = 1
export const NAME_MAX = 255
export const PATH_MAX = 4096
