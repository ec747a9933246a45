/**
 * Calls that can't be led out of a directory: openat2(2) with RESOLVE_BENEATH, and those that change a name relative to a
 * descriptor. Paths are bytes, as names need not be UTF-8. Each throws a `SysFault`.
 */
import { constants } from "node:fs"
import { E } from "../core/errno.ts"
import { Fault } from "../core/fault.ts"
import { bind, checked, lastErrno, sysFault } from "./ffi.ts"

/** asm-generic/unistd.h: the same number on every architecture. glibc has no wrapper. */
const SYS_OPENAT2 = 437
/** linux/openat2.h */
const RESOLVE_NO_XDEV = 0x01
const RESOLVE_NO_MAGICLINKS = 0x02
const RESOLVE_NO_SYMLINKS = 0x04
const RESOLVE_BENEATH = 0x08
/** asm-generic/fcntl.h, where Node has no name for it. */
export const O_PATH = 0x20_0000
const O_CLOEXEC = 0x8_0000
const AT_REMOVEDIR = 0x200
const RENAME_NOREPLACE = 1
const RENAME_EXCHANGE = 2
/** A rename elsewhere in the tree makes a path with `..` uncertain: the kernel asks to try again. */
const MOST_TRIES = 1000

const openat2Call = bind<[number: number, directory: number, path: Buffer, how: Buffer, size: number]>(
  "long syscall(long, long, const void*, const void*, size_t)",
)
const openCall = bind<[path: string, flags: number]>("int open(const char*, int)")
const renameat2Call = bind<
  [fromDirectory: number, from: Buffer, toDirectory: number, to: Buffer, flags: number]
>("int renameat2(int, const void*, int, const void*, unsigned int)")
const unlinkatCall = bind<[directory: number, name: Buffer, flags: number]>(
  "int unlinkat(int, const void*, int)",
)
const mkdiratCall = bind<[directory: number, name: Buffer, mode: number]>(
  "int mkdirat(int, const void*, unsigned int)",
)

/**
 * Opens `path` as seen from `directory`, which it can't leave: not by `..`, an absolute path or link, nor by a link that is
 * put in its way meanwhile (EXDEV). Links of /proc lead nowhere (ELOOP). Other links are followed, the last one unless
 * `flags` has O_NOFOLLOW. `mode` counts with O_CREAT alone.
 */
export function openBeneath(directory: number, path: Buffer, flags: number, mode = 0): number {
  return openat2({ directory, path, flags, mode, resolve: RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS })
}

/** As `openBeneath` for a path whose every name is what it says: no link (ELOOP), and no other mount (EXDEV). */
export function openExactly(directory: number, path: Buffer, flags: number, mode = 0): number {
  const resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV
  return openat2({ directory, path, flags, mode, resolve })
}

interface Opening {
  readonly directory: number
  readonly path: Buffer
  readonly flags: number
  readonly mode: number
  readonly resolve: number
}

function openat2({ directory, path, flags, mode, resolve }: Opening): number {
  const how = Buffer.alloc(24)
  how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC), 0)
  how.writeBigUInt64LE(BigInt(mode), 8)
  how.writeBigUInt64LE(BigInt(resolve), 16)
  const name = terminated(path)
  for (let tries = 1; ; tries += 1) {
    const fd = openat2Call(SYS_OPENAT2, directory, name, how, how.length)
    if (fd >= 0) return fd
    const errno = lastErrno()
    const isPassing = errno === E.EAGAIN || errno === E.EINTR
    if (!isPassing || tries === MOST_TRIES) throw sysFault("openat2")
  }
}

/** Opens a path as the user has it, following every link: what only the command line names. */
export function openPath(path: string, flags: number): number {
  return checked("open", openCall(path, flags | O_CLOEXEC))
}

/** Opens once more what a descriptor stands for (O_PATH too), with other flags: the same inode, whatever became of its name. */
export function reopen(fd: number, flags: number): number {
  return openPath(`/proc/self/fd/${fd}`, flags)
}

/** The reason why paths can't be confined here, or undefined. */
export function lacksOpenBeneath(directory: string): string | undefined {
  try {
    const probe = openBeneath(-1, Buffer.from("."), O_PATH)
    return `openat2 gave descriptor ${probe} for no directory`
  } catch (thrown) {
    // The descriptor is wrong: a kernel that knows the call says so.
    if (thrown instanceof Fault && "errno" in thrown && thrown.errno === E.EBADF) return undefined
    return `this system has no openat2(2), which keeps paths inside of ${directory}: it needs Linux 5.6 or newer, and no filter that forbids the call`
  }
}

/** renameat2(2) of one name; without `mayReplace`, EEXIST where there is something. */
export function renameAt(
  fromDirectory: number,
  from: Buffer,
  toDirectory: number,
  to: Buffer,
  mayReplace: boolean,
): void {
  const flags = mayReplace ? 0 : RENAME_NOREPLACE
  checked("renameat2", renameat2Call(fromDirectory, terminated(from), toDirectory, terminated(to), flags))
}

/** renameat2(2) that lets two names change places, in one step. */
export function exchangeAt(oneDirectory: number, one: Buffer, otherDirectory: number, other: Buffer): void {
  checked(
    "renameat2",
    renameat2Call(oneDirectory, terminated(one), otherDirectory, terminated(other), RENAME_EXCHANGE),
  )
}

/** unlinkat(2) of one name: what is no directory, or an empty directory. */
export function unlinkAt(directory: number, name: Buffer, isDirectory = false): void {
  checked("unlinkat", unlinkatCall(directory, terminated(name), isDirectory ? AT_REMOVEDIR : 0))
}

/** mkdirat(2) of one name, with the mode that the umask leaves of 777. */
export function makeDirectoryAt(directory: number, name: Buffer): void {
  checked(
    "mkdirat",
    mkdiratCall(directory, terminated(name), constants.S_IRWXU | constants.S_IRWXG | constants.S_IRWXO),
  )
}

/** As C takes it. C would take a NUL inside for the end, and name something else. */
export function terminated(path: Buffer): Buffer {
  if (path.includes(0)) throw new Fault("invalid", "a path can't hold a NUL byte")
  return Buffer.concat([path, Buffer.of(0)])
}
