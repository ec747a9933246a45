/** Extended attributes, which Node does not know. */
import { E } from "../core/errno.ts"
import { SysFault } from "../core/fault.ts"
import { terminated } from "./beneath.ts"
import { bind, checked, lastErrno, sysFault } from "./ffi.ts"

const setxattrCall = bind<[path: string, name: string, value: Buffer, size: number, flags: number]>(
  "int setxattr(const char*, const char*, const void*, size_t, int)",
)
const lsetxattrCall = bind<[path: Buffer, name: Buffer, value: Buffer, size: number, flags: number]>(
  "int lsetxattr(const void*, const void*, const void*, size_t, int)",
)
const fsetxattrCall = bind<[fd: number, name: Buffer, value: Buffer, size: number, flags: number]>(
  "int fsetxattr(int, const void*, const void*, size_t, int)",
)
const lgetxattrCall = bind<[path: Buffer, name: Buffer, value: Buffer, size: number]>(
  "long lgetxattr(const void*, const void*, void*, size_t)",
)
const llistxattrCall = bind<[path: Buffer, list: Buffer, size: number]>(
  "long llistxattr(const void*, void*, size_t)",
)
const lremovexattrCall = bind<[path: Buffer, name: Buffer]>("int lremovexattr(const void*, const void*)")

/** linux/limits.h: XATTR_SIZE_MAX and XATTR_LIST_MAX. */
const MOST_BYTES = 65_536

/** setxattr(2), following links. */
export function setAttribute(path: string, name: string, value: string): void {
  const bytes = Buffer.from(value)
  checked("setxattr", setxattrCall(path, name, bytes, bytes.length, 0))
}

const getxattrCall = bind<[path: string, name: string, value: Buffer, size: number]>(
  "long getxattr(const char*, const char*, void*, size_t)",
)

/** getxattr(2), following links; undefined where there is no such attribute. */
export function attributeOf(path: string, name: string): string | undefined {
  const bytes = Buffer.alloc(MOST_BYTES)
  const length = getxattrCall(path, name, bytes, bytes.length)
  if (length >= 0) return bytes.toString("utf8", 0, length)
  if (lastErrno() === E.ENODATA) return undefined
  throw sysFault("getxattr")
}

/** llistxattr(2): the names, in the order of their bytes; none where the filesystem has no attributes. */
export function listAttributes(path: Buffer): Buffer[] {
  const list = Buffer.alloc(MOST_BYTES)
  const length = orNone(
    () => checked("llistxattr", llistxattrCall(terminated(path), list, list.length)),
    E.EOPNOTSUPP,
  )
  const names: Buffer[] = []
  for (let at = 0; at < (length ?? 0);) {
    const end = list.indexOf(0, at)
    names.push(list.subarray(at, end))
    at = end + 1
  }
  return names.sort((a, b) => a.compare(b))
}

/** lgetxattr(2); undefined where there is no such attribute. */
export function getAttribute(path: Buffer, name: Buffer): Buffer | undefined {
  const value = Buffer.alloc(MOST_BYTES)
  const call = (): number => lgetxattrCall(terminated(path), terminated(name), value, value.length)
  const length = orNone(() => checked("lgetxattr", call()), E.ENODATA)
  return length === undefined ? undefined : value.subarray(0, length)
}

/** lsetxattr(2): of a link itself. */
export function setAttributeOf(path: Buffer, name: Buffer, value: Buffer): void {
  checked("lsetxattr", lsetxattrCall(terminated(path), terminated(name), value, value.length, 0))
}

/** fsetxattr(2) */
export function setAttributeOfOpen(fd: number, name: Buffer, value: Buffer): void {
  checked("fsetxattr", fsetxattrCall(fd, terminated(name), value, value.length, 0))
}

/** lremovexattr(2) */
export function removeAttribute(path: Buffer, name: Buffer): void {
  checked("lremovexattr", lremovexattrCall(terminated(path), terminated(name)))
}

function orNone(call: () => number, none: number): number | undefined {
  try {
    return call()
  } catch (thrown) {
    if (thrown instanceof SysFault && thrown.errno === none) return undefined
    throw thrown
  }
}
