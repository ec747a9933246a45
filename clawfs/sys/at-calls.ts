/**
 * Calls that make one name of an open directory, or change what a descriptor stands for; none follows a link. Names are bytes,
 * without a slash. Each throws a `SysFault`.
 */
import { terminated } from "./beneath.ts"
import { bind, checked } from "./ffi.ts"

/** linux/fcntl.h: no name, but the descriptor itself. utimensat(2) knows it since Linux 5.8. */
const AT_EMPTY_PATH = 0x1000
const NOTHING = Buffer.of(0)
const UTIME_OMIT = 0x3fff_fffe
const NS_PER_S = 1_000_000_000n

const linkatCall = bind<[from: number, name: Buffer, to: number, newName: Buffer, flags: number]>(
  "int linkat(int, const void*, int, const void*, int)",
)
const symlinkatCall = bind<[target: Buffer, directory: number, name: Buffer]>(
  "int symlinkat(const void*, int, const void*)",
)
const mknodatCall = bind<[directory: number, name: Buffer, mode: number, device: bigint]>(
  "int mknodat(int, const void*, unsigned int, uint64_t)",
)
const fchownatCall = bind<[directory: number, name: Buffer, uid: number, gid: number, flags: number]>(
  "int fchownat(int, const void*, unsigned int, unsigned int, int)",
)
const utimensatCall = bind<[directory: number, name: Buffer, times: Buffer, flags: number]>(
  "int utimensat(int, const void*, const void*, int)",
)

/** linkat(2) of what `from` is itself, a symbolic link too. */
export function linkAt(fromDirectory: number, from: Buffer, toDirectory: number, to: Buffer): void {
  checked("linkat", linkatCall(fromDirectory, terminated(from), toDirectory, terminated(to), 0))
}

export function symlinkAt(target: Buffer, directory: number, name: Buffer): void {
  checked("symlinkat", symlinkatCall(terminated(target), directory, terminated(name)))
}

/** mknodat(2); `mode` has the type. `device`: as `makedev` gives it, 0 for what is none. */
export function makeNodeAt(directory: number, name: Buffer, mode: number, device = 0n): void {
  checked("mknodat", mknodatCall(directory, terminated(name), mode, device))
}

/** fchownat(2) of what a descriptor stands for, O_PATH and a link too. */
export function chownOf(fd: number, uid: number, gid: number): void {
  checked("fchownat", fchownatCall(fd, NOTHING, uid, gid, AT_EMPTY_PATH))
}

/** utimensat(2) of the same: the time of the last change, in nanoseconds since 1970; that of the last access stays. */
export function setMtimeOf(fd: number, mtimeNs: bigint): void {
  const times = Buffer.alloc(32)
  times.writeBigInt64LE(BigInt(UTIME_OMIT), 8)
  const nanoseconds = ((mtimeNs % NS_PER_S) + NS_PER_S) % NS_PER_S
  times.writeBigInt64LE((mtimeNs - nanoseconds) / NS_PER_S, 16)
  times.writeBigInt64LE(nanoseconds, 24)
  checked("utimensat", utimensatCall(fd, NOTHING, times, AT_EMPTY_PATH))
}
