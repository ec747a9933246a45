/** Where a file's bytes come from: a snapshot in the store, a descriptor, or a buffer. Only what is asked for is read. */
import { fstatSync, readSync } from "node:fs"

export interface ContentSource {
  /** Bytes; a file that changes meanwhile may give fewer. */
  readonly size: number
  /** Up to `length` bytes from `position`; fewer at the end of the file. Throws what reading throws. */
  read(position: number, length: number): Buffer
}

/** A whole content in memory. */
export function bufferSource(bytes: Buffer): ContentSource {
  return { size: bytes.length, read: (position, length) => bytes.subarray(position, position + length) }
}

/** An open regular file. The descriptor stays the caller's. */
export function fileSource(fd: number): ContentSource {
  const { size } = fstatSync(fd)
  return {
    size,
    read: (position, length) => {
      const bytes = Buffer.allocUnsafeSlow(Math.max(0, Math.min(length, size - position)))
      let filled = 0
      while (filled < bytes.length) {
        const count = readSync(fd, bytes, filled, bytes.length - filled, position + filled)
        if (count === 0) break
        filled += count
      }
      return bytes.subarray(0, filled)
    },
  }
}
