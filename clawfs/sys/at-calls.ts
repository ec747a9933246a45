/**
 * Calls that make or change one name of an open directory, none of which follows a link. Names are bytes, without a slash.
 * Each throws a `SysFault`.
 */
import { terminated } from "./beneath.ts"
import { bind, checked } from "./ffi.ts"

const AT_SYMLINK_NOFOLLOW = 0x100
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

export function chownAt(directory: number, name: Buffer, uid: number, gid: number): void {
  checked("fchownat", fchownatCall(directory, terminated(name), uid, gid, AT_SYMLINK_NOFOLLOW))
}

/** Sets the time of the last change, in nanoseconds since 1970; that of the last access stays. */
export function setMtimeAt(directory: number, name: Buffer, mtimeNs: bigint): void {
  const times = Buffer.alloc(32)
  times.writeBigInt64LE(BigInt(UTIME_OMIT), 8)
  const nanoseconds = ((mtimeNs % NS_PER_S) + NS_PER_S) % NS_PER_S
  times.writeBigInt64LE((mtimeNs - nanoseconds) / NS_PER_S, 16)
  times.writeBigInt64LE(nanoseconds, 24)
  checked("utimensat", utimensatCall(directory, terminated(name), times, AT_SYMLINK_NOFOLLOW))
}
