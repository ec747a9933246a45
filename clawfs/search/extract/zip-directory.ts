/**
 * The central directory of a zip archive (APPNOTE 6.3.10 §4.3): names, sizes and places of its entries, without reading
 * the rest of it. Sizes are what the archive declares: nobody may believe them. ZIP64 is not read: such archives are larger
 * than any container that is looked into.
 */
import { Refused } from "./extraction.ts"
import type { Limits } from "./limits.ts"
import type { ContentSource } from "./source.ts"

export interface ZipEntry {
  /** 0 stored, 8 deflated; others are not read. */
  readonly method: number
  /** Bytes in the archive, as declared. */
  readonly compressed: number
  /** Bytes when inflated, as declared. */
  readonly size: number
  /** Where its local header is. */
  readonly headerAt: number
  readonly isEncrypted: boolean
}

const END = 0x06054b50
const END_SIZE = 22
const MAX_COMMENT = 0xffff
const ENTRY = 0x02014b50
const ENTRY_SIZE = 46
const FLAG_ENCRYPTED = 1
const MAX_DIRECTORY_BYTES = 8 * 1024 * 1024

/** The entries by name, the last of equal names counting. `Refused` for what is no archive ("broken") or has too many. */
export function readZipDirectory(
  source: ContentSource,
  limits: Pick<Limits, "maxZipEntries">,
): Map<string, ZipEntry> {
  const tailAt = Math.max(0, source.size - END_SIZE - MAX_COMMENT)
  const tail = source.read(tailAt, END_SIZE + MAX_COMMENT)
  const end = endOf(tail)
  const [size, at] = [tail.readUInt32LE(end + 12), tail.readUInt32LE(end + 16)]
  if (size > MAX_DIRECTORY_BYTES) throw new Refused("too-large", "an archive with too many entries")
  const directory = source.read(at, size)
  const entries = new Map<string, ZipEntry>()
  let count = 0
  for (
    let from = 0;
    from + ENTRY_SIZE <= directory.length && directory.readUInt32LE(from) === ENTRY;
    count += 1
  ) {
    if (count >= limits.maxZipEntries) throw new Refused("too-large", "an archive with too many entries")
    const nameLength = directory.readUInt16LE(from + 28)
    const name = directory.toString("utf8", from + ENTRY_SIZE, from + ENTRY_SIZE + nameLength)
    entries.set(name, {
      method: directory.readUInt16LE(from + 10),
      compressed: directory.readUInt32LE(from + 20),
      size: directory.readUInt32LE(from + 24),
      headerAt: directory.readUInt32LE(from + 42),
      isEncrypted: (directory.readUInt16LE(from + 8) & FLAG_ENCRYPTED) !== 0,
    })
    from += ENTRY_SIZE + nameLength + directory.readUInt16LE(from + 30) + directory.readUInt16LE(from + 32)
  }
  if (count === 0) throw new Refused("broken", "an archive without a directory of its entries")
  return entries
}

function endOf(tail: Buffer): number {
  for (let at = tail.length - END_SIZE; at >= 0; at -= 1) if (tail.readUInt32LE(at) === END) return at
  throw new Refused("broken", "an archive whose end is missing")
}
