/**
 * System calls as one agent makes them, by name and with decoded results. A path is a string of Latin-1 bytes, or a
 * number: a raw pointer, for what must be EFAULT. Every call that takes a path takes a directory descriptor last.
 */
import { type ErrnoName, type SyscallName, errnoName, syscallNumber } from "./abi.ts"
import { AT, FS_IOC, O, RENAME, S, SEEK } from "./abi.ts"
import type { Channel } from "./channel.ts"
import { readEntries, readRange, readStat, readStatFs, readTime, writeRange, writeTimes } from "./structs.ts"
import type { Entry, Range, Stat, StatFs, TimeSpec } from "./structs.ts"
import type { Argument, Reply } from "./wire.ts"

export type Path = string | number
export type Data = string | Buffer | number

/** What a call came to: a value or an errno, and enough to say which call it was. */
export class Outcome<T> {
  readonly error: ErrnoName | `E${number}` | ""
  readonly #value: T | undefined
  readonly #describe: () => string

  constructor(error: Outcome<T>["error"], value: T | undefined, describe: () => string) {
    this.error = error
    this.#value = value
    this.#describe = describe
  }

  get isOk(): boolean {
    return this.error === ""
  }

  get value(): T {
    if (this.error !== "") throw new Error(`${this.toString()}: ${this.error}`)
    return this.#value as T
  }

  toString(): string {
    return this.#describe()
  }
}

const GETDENTS_BYTES = 32 << 10
const XATTR_BYTES = 64 << 10
const LINK_BYTES = 8192
const STATX_ALL = 0xfff

/** Bytes for the kernel to read; a number stays what it is, a raw pointer. */
function bytes(data: Data): Argument {
  if (typeof data === "number") return data
  return { bytes: base64(data) }
}

function base64(data: string | Buffer): string {
  return (typeof data === "string" ? Buffer.from(data, "latin1") : data).toString("base64")
}

function size(data: Data): number {
  return typeof data === "number" ? 1 : data.length
}

/** Offsets beyond 2^53 must reach the kernel exactly. */
function wide(value: number | bigint): Argument {
  return typeof value === "bigint" ? { big: value.toString() } : value
}

function show(argument: Argument): string {
  if (typeof argument === "number") return String(argument)
  if (typeof argument === "object") return JSON.stringify(argument).slice(0, 60)
  return JSON.stringify(
    argument.length > 60 ? `${argument.slice(0, 40)}… (${argument.length} bytes)` : argument,
  )
}

/** When the current case must be over (performance.now()), so that a listing without end is a failure, not a hang. */
export interface Deadline {
  at: number
}

export class Posix {
  readonly name: string
  readonly #channel: Channel
  readonly #deadline: Deadline
  readonly #descriptors = new Set<number>()

  constructor(name: string, channel: Channel, deadline: Deadline) {
    this.name = name
    this.#channel = channel
    this.#deadline = deadline
  }

  get pid(): number {
    return this.#channel.pid
  }

  /** Any system call: for what has no method of its own. */
  call<T = number>(name: SyscallName, args: readonly Argument[], decode?: (reply: Reply) => T): Outcome<T> {
    if (performance.now() > this.#deadline.at)
      throw new Error(`out of time before ${name}: a case without end`)
    return this.#finish(name, args, this.#channel.request(syscallNumber(name), args), decode)
  }

  /** Begins a call that will block; the function returned waits for its end. */
  begin(name: SyscallName, args: readonly Argument[]): () => Outcome<number> {
    this.#channel.send(syscallNumber(name), args)
    return () => this.#finish(name, args, this.#channel.receive())
  }

  #finish<T>(
    name: string,
    args: readonly Argument[],
    reply: Reply,
    decode?: (reply: Reply) => T,
  ): Outcome<T> {
    const isFailure = reply.rc === -1
    const value = isFailure ? undefined : decode === undefined ? (reply.rc as T) : decode(reply)
    const describe = () => `${this.name}: ${name}(${args.map(show).join(", ")})`
    return new Outcome(isFailure ? errnoName(reply.errno) : "", value, describe)
  }

  #opened(outcome: Outcome<number>): Outcome<number> {
    if (outcome.isOk) this.#descriptors.add(outcome.value)
    return outcome
  }

  /** Closes what the last case left open. */
  closeAll(): void {
    for (const fd of this.#descriptors) this.call("close", [fd])
    this.#descriptors.clear()
  }

  // ---- descriptors and data

  open(path: Path, flags: number = O.RDONLY, mode = 0, at: number = AT.FDCWD): Outcome<number> {
    return this.#opened(this.call("openat", [at, path, flags, mode]))
  }
  close(fd: number): Outcome<number> {
    this.#descriptors.delete(fd)
    return this.call("close", [fd])
  }
  dup(fd: number): Outcome<number> {
    return this.#opened(this.call("dup", [fd]))
  }
  memfd(): Outcome<number> {
    return this.#opened(this.call("memfd_create", ["posix", 0]))
  }
  read(fd: number, length: number): Outcome<string> {
    return this.call("read", [fd, { read: length }, length], ({ out }) => latin1(out))
  }
  pread(fd: number, length: number, offset: number | bigint): Outcome<string> {
    return this.call("pread64", [fd, { read: length }, length, wide(offset)], ({ out }) => latin1(out))
  }
  write(fd: number, data: Data): Outcome<number> {
    return this.call("write", [fd, bytes(data), size(data)])
  }
  pwrite(fd: number, data: Data, offset: number | bigint): Outcome<number> {
    return this.call("pwrite64", [fd, bytes(data), size(data), wide(offset)])
  }
  /** Writes `length` times the same byte. */
  pfill(fd: number, byte: number, length: number, offset: number): Outcome<number> {
    return this.call("pwrite64", [fd, { fill: [byte, length] }, length, offset])
  }
  lseek(fd: number, offset: number | bigint, whence: number = SEEK.SET): Outcome<number> {
    return this.call("lseek", [fd, wide(offset), whence])
  }
  fsync(fd: number): Outcome<number> {
    return this.call("fsync", [fd])
  }
  fallocate(fd: number, mode: number, offset: number | bigint, length: number | bigint): Outcome<number> {
    return this.call("fallocate", [fd, mode, wide(offset), wide(length)])
  }
  /** The offsets are left to the descriptors unless given. */
  copyFileRange(from: number, to: number, length: number, offsets?: [number, number]): Outcome<number> {
    const [input, output] = (offsets ?? []).map((offset) => bytes(int64(offset)))
    return this.call("copy_file_range", [from, input ?? 0, to, output ?? 0, length, 0])
  }

  // ---- attributes

  stat(path: Path, at: number = AT.FDCWD): Outcome<Stat> {
    return this.#statx(at, path, 0)
  }
  lstat(path: Path, at: number = AT.FDCWD): Outcome<Stat> {
    return this.#statx(at, path, AT.SYMLINK_NOFOLLOW)
  }
  fstat(fd: number): Outcome<Stat> {
    return this.#statx(fd, "", AT.EMPTY_PATH)
  }
  #statx(at: number, path: Path, flags: number): Outcome<Stat> {
    return this.call("statx", [at, path, flags, STATX_ALL, { out: 256 }], ({ out }) => readStat(first(out)))
  }
  chmod(path: Path, mode: number, at: number = AT.FDCWD): Outcome<number> {
    return this.call("fchmodat", [at, path, mode])
  }
  fchmod(fd: number, mode: number): Outcome<number> {
    return this.call("fchmod", [fd, mode])
  }
  chown(path: Path, uid: number, gid: number, at: number = AT.FDCWD): Outcome<number> {
    return this.call("fchownat", [at, path, uid, gid, 0])
  }
  lchown(path: Path, uid: number, gid: number, at: number = AT.FDCWD): Outcome<number> {
    return this.call("fchownat", [at, path, uid, gid, AT.SYMLINK_NOFOLLOW])
  }
  fchown(fd: number, uid: number, gid: number): Outcome<number> {
    return this.call("fchown", [fd, uid, gid])
  }
  access(path: Path, mode: number, at: number = AT.FDCWD): Outcome<number> {
    return this.call("faccessat2", [at, path, mode, AT.EACCESS])
  }
  truncate(path: Path, length: number | bigint): Outcome<number> {
    return this.call("truncate", [path, wide(length)])
  }
  ftruncate(fd: number, length: number | bigint): Outcome<number> {
    return this.call("ftruncate", [fd, wide(length)])
  }
  /** Without times: both to now. */
  utimens(path: Path, times?: readonly [TimeSpec, TimeSpec], at: number = AT.FDCWD): Outcome<number> {
    return this.call("utimensat", [at, path, times === undefined ? 0 : bytes(writeTimes(...times)), 0])
  }
  lutimens(path: Path, times?: readonly [TimeSpec, TimeSpec], at: number = AT.FDCWD): Outcome<number> {
    const pair = times === undefined ? 0 : bytes(writeTimes(...times))
    return this.call("utimensat", [at, path, pair, AT.SYMLINK_NOFOLLOW])
  }
  futimens(fd: number, times?: readonly [TimeSpec, TimeSpec]): Outcome<number> {
    return this.call("utimensat", [fd, 0, times === undefined ? 0 : bytes(writeTimes(...times)), 0])
  }
  statfs(path: Path): Outcome<StatFs> {
    return this.call("statfs", [path, { out: 120 }], ({ out }) => readStatFs(first(out)))
  }
  fstatfs(fd: number): Outcome<StatFs> {
    return this.call("fstatfs", [fd, { out: 120 }], ({ out }) => readStatFs(first(out)))
  }
  getFlags(fd: number): Outcome<number> {
    return this.call("ioctl", [fd, FS_IOC.GETFLAGS, { out: 8 }], ({ out }) => first(out).readUInt32LE(0))
  }
  setFlags(fd: number, flags: number): Outcome<number> {
    return this.call("ioctl", [fd, FS_IOC.SETFLAGS, bytes(int64(flags))])
  }

  // ---- names

  mkdir(path: Path, mode = 0o755, at: number = AT.FDCWD): Outcome<number> {
    return this.call("mkdirat", [at, path, mode])
  }
  mknod(path: Path, mode: number, device = 0, at: number = AT.FDCWD): Outcome<number> {
    return this.call("mknodat", [at, path, mode, device])
  }
  mkfifo(path: Path, mode = 0o644, at: number = AT.FDCWD): Outcome<number> {
    return this.mknod(path, S.IFIFO | mode, 0, at)
  }
  unlink(path: Path, at: number = AT.FDCWD): Outcome<number> {
    return this.call("unlinkat", [at, path, 0])
  }
  rmdir(path: Path, at: number = AT.FDCWD): Outcome<number> {
    return this.call("unlinkat", [at, path, AT.REMOVEDIR])
  }
  symlink(target: Path, path: Path, at: number = AT.FDCWD): Outcome<number> {
    return this.call("symlinkat", [target, at, path])
  }
  readlink(path: Path, at: number = AT.FDCWD, length = LINK_BYTES): Outcome<string> {
    return this.call("readlinkat", [at, path, { read: length }, length], ({ out }) => latin1(out))
  }
  link(
    from: Path,
    to: Path,
    options: { fromAt?: number; toAt?: number; flags?: number } = {},
  ): Outcome<number> {
    const { fromAt = AT.FDCWD, toAt = AT.FDCWD, flags = 0 } = options
    return this.call("linkat", [fromAt, from, toAt, to, flags])
  }
  rename(
    from: Path,
    to: Path,
    options: { fromAt?: number; toAt?: number; flags?: number } = {},
  ): Outcome<number> {
    const { fromAt = AT.FDCWD, toAt = AT.FDCWD, flags = 0 } = options
    return this.call("renameat2", [fromAt, from, toAt, to, flags])
  }
  exchange(from: Path, to: Path): Outcome<number> {
    return this.rename(from, to, { flags: RENAME.EXCHANGE })
  }
  chdir(path: Path): Outcome<number> {
    return this.call("chdir", [path])
  }
  umask(mask: number): Outcome<number> {
    return this.call("umask", [mask])
  }
  /** What one getdents64 gives, empty at the end. */
  getdents(fd: number, length = GETDENTS_BYTES): Outcome<Entry[]> {
    return this.call("getdents64", [fd, { read: length }, length], ({ out }) => readEntries(first(out)))
  }

  // ---- extended attributes

  setxattr(path: Path, name: Path, value: Data, flags = 0): Outcome<number> {
    return this.call("setxattr", [path, name, bytes(value), size(value), flags])
  }
  lsetxattr(path: Path, name: Path, value: Data, flags = 0): Outcome<number> {
    return this.call("lsetxattr", [path, name, bytes(value), size(value), flags])
  }
  fsetxattr(fd: number, name: Path, value: Data, flags = 0): Outcome<number> {
    return this.call("fsetxattr", [fd, name, bytes(value), size(value), flags])
  }
  getxattr(path: Path, name: Path, length = XATTR_BYTES): Outcome<string> {
    return this.call("getxattr", [path, name, { read: length }, length], ({ out }) => latin1(out))
  }
  lgetxattr(path: Path, name: Path, length = XATTR_BYTES): Outcome<string> {
    return this.call("lgetxattr", [path, name, { read: length }, length], ({ out }) => latin1(out))
  }
  fgetxattr(fd: number, name: Path, length = XATTR_BYTES): Outcome<string> {
    return this.call("fgetxattr", [fd, name, { read: length }, length], ({ out }) => latin1(out))
  }
  listxattr(path: Path, length = XATTR_BYTES): Outcome<string[]> {
    return this.call("listxattr", [path, { read: length }, length], ({ out }) => names(out))
  }
  llistxattr(path: Path, length = XATTR_BYTES): Outcome<string[]> {
    return this.call("llistxattr", [path, { read: length }, length], ({ out }) => names(out))
  }
  flistxattr(fd: number, length = XATTR_BYTES): Outcome<string[]> {
    return this.call("flistxattr", [fd, { read: length }, length], ({ out }) => names(out))
  }
  removexattr(path: Path, name: Path): Outcome<number> {
    return this.call("removexattr", [path, name])
  }
  lremovexattr(path: Path, name: Path): Outcome<number> {
    return this.call("lremovexattr", [path, name])
  }
  fremovexattr(fd: number, name: Path): Outcome<number> {
    return this.call("fremovexattr", [fd, name])
  }

  // ---- locks, memory, time

  flock(fd: number, operation: number): Outcome<number> {
    return this.call("flock", [fd, operation])
  }
  /** F_SETLK and its relatives. */
  setLock(fd: number, command: number, range: Range): Outcome<number> {
    return this.call("fcntl", [fd, command, bytes(writeRange(range))])
  }
  /** F_GETLK and its relative: the lock in the way, or type F_UNLCK. */
  getLock(fd: number, command: number, range: Range): Outcome<Range> {
    return this.call("fcntl", [fd, command, { inout: base64(writeRange(range)) }], ({ out }) =>
      readRange(first(out)),
    )
  }
  /** F_SETLKW: returns at once, and the function returned waits for the lock. */
  beginLock(fd: number, command: number, range: Range): () => Outcome<number> {
    return this.begin("fcntl", [fd, command, bytes(writeRange(range))])
  }
  mmap(fd: number, length: number, prot: number, flags: number, offset = 0): Outcome<number> {
    return this.call("mmap", [0, length, prot, flags, fd, offset])
  }
  clock(id: number): bigint {
    return this.call("clock_gettime", [id, { out: 16 }], ({ out }) => readTime(first(out))).value
  }
}

function first([out = ""]: readonly string[]): Buffer {
  return Buffer.from(out, "base64")
}

function latin1(out: readonly string[]): string {
  return first(out).toString("latin1")
}

/** The NUL-terminated names of listxattr(2). */
function names(out: readonly string[]): string[] {
  return latin1(out).split("\0").slice(0, -1)
}

function int64(value: number): Buffer {
  const b = Buffer.alloc(8)
  b.writeBigInt64LE(BigInt(value))
  return b
}
