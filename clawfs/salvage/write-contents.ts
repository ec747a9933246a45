/** Writes recovered bytes into a file of the new store, some at a time. */
import type { Inode } from "../store/inode.ts"
import type { Store } from "../store/store.ts"
import type { Piece, Recovered } from "./contents.ts"
import type { Span } from "./cover.ts"
import type { LogRecords } from "./log-records.ts"

/** In one write. */
const CHUNK = 1024 * 1024

/** Yields the number of bytes after each write; the caller saves the inode. */
export function* writeContents(
  store: Store,
  inode: Inode,
  { size, pieces }: Recovered,
  records: LogRecords,
): Generator<number> {
  const chunk = Buffer.allocUnsafeSlow(CHUNK)
  let [start, length] = [0, 0]
  const write = (): number => {
    const written = length
    if (written > 0) store.contents.write(inode, start, Buffer.from(chunk.subarray(0, written)))
    length = 0
    return written
  }
  for (const span of pieces) {
    const bytes = bytesOf(span, records)
    if (bytes === undefined) continue
    for (let at = 0; at < bytes.length;) {
      if (span.start + at !== start + length || length === CHUNK) {
        yield write()
        start = span.start + at
      }
      const part = Math.min(bytes.length - at, CHUNK - length)
      bytes.copy(chunk, length, at, at + part)
      at += part
      length += part
    }
  }
  yield write()
  store.contents.resize(inode, size)
}

/** Undefined for what reads as zeroes. */
function bytesOf({ start, end, value }: Span<Piece>, records: LogRecords): Buffer | undefined {
  if (value.kind === "zeroes") return undefined
  const bytes = value.kind === "bytes" ? value.bytes : records.payload(value.record)
  return bytes?.subarray(start - value.from, end - value.from)
}
