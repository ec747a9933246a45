/** Extended attributes, which Node does not know. */
import { bind, checked } from "./ffi.ts"

const setxattrCall = bind<[path: string, name: string, value: Buffer, size: number, flags: number]>(
  "int setxattr(const char*, const char*, const void*, size_t, int)",
)

/** setxattr(2), following links. */
export function setAttribute(path: string, name: string, value: string): void {
  const bytes = Buffer.from(value)
  checked("setxattr", setxattrCall(path, name, bytes, bytes.length, 0))
}
