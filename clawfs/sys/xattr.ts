/** Extended attributes, which Node does not know. */
import { E } from "../core/errno.ts"
import { bind, checked, lastErrno, sysFault } from "./ffi.ts"

const setxattrCall = bind<[path: string, name: string, value: Buffer, size: number, flags: number]>(
  "int setxattr(const char*, const char*, const void*, size_t, int)",
)

/** setxattr(2), following links. */
export function setAttribute(path: string, name: string, value: string): void {
  const bytes = Buffer.from(value)
  checked("setxattr", setxattrCall(path, name, bytes, bytes.length, 0))
}

const getxattrCall = bind<[path: string, name: string, value: Buffer, size: number]>(
  "long getxattr(const char*, const char*, void*, size_t)",
)

/** As the kernel limits it (linux/limits.h). */
const MOST_BYTES = 65_536

/** getxattr(2), following links; undefined where there is no such attribute. */
export function attributeOf(path: string, name: string): string | undefined {
  const bytes = Buffer.alloc(MOST_BYTES)
  const length = getxattrCall(path, name, bytes, bytes.length)
  if (length >= 0) return bytes.toString("utf8", 0, length)
  if (lastErrno() === E.ENODATA) return undefined
  throw sysFault("getxattr")
}
