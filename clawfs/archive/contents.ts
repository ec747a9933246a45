/** The bytes of a file and its holes, from an archive or from a file, and their SHA-256. */
import { createHash, type Hash } from "node:crypto"
import { readSync } from "node:fs"
import { rangesOf } from "./pieces.ts"
import type { ArchiveReader, Piece } from "./reader.ts"

const STEP = 1024 * 1024
const ZEROES = Buffer.alloc(STEP)

/** What a hole counts as. */
export function addZeroes(hash: Hash, length: number): void {
  for (let left = length; left > 0; left -= STEP)
    hash.update(left >= STEP ? ZEROES : ZEROES.subarray(0, left))
}

/** A file's bytes and holes, in their order. The bytes are valid during the call only. */
export function readContents(
  archive: ArchiveReader,
  size: number,
  pieces: readonly Piece[],
  { onBytes, onHole }: { onBytes: (bytes: Buffer, at: number) => void; onHole: (length: number) => void },
): void {
  const longest = pieces.reduce((most, { length }) => Math.max(most, length), 0)
  const chunk = Buffer.alloc(Math.min(STEP, longest))
  let next = 0
  for (const { at, length, from } of pieces) {
    if (at > next) onHole(at - next)
    for (let done = 0; done < length;) {
      const bytes = archive.read(chunk.subarray(0, Math.min(chunk.length, length - done)), from + done)
      onBytes(bytes, at + done)
      done += bytes.length
    }
    next = at + length
  }
  if (size > next) onHole(size - next)
}

/** SHA-256 of a file in an archive. */
export function sumOfPieces(archive: ArchiveReader, size: number, pieces: readonly Piece[]): string {
  const hash = createHash("sha256")
  const onBytes = (bytes: Buffer): void => void hash.update(bytes)
  readContents(archive, size, pieces, { onBytes, onHole: (length) => addZeroes(hash, length) })
  return hash.digest("hex")
}

/** SHA-256 of the first `size` bytes of an open file; "" if it is shorter. */
export function sumOfFile(fd: number, size: number): string {
  const hash = createHash("sha256")
  const chunk = Buffer.alloc(Math.min(STEP, size))
  let next = 0
  for (const { at, length } of rangesOf(fd, size)) {
    addZeroes(hash, at - next)
    for (let done = 0; done < length;) {
      const got = readSync(fd, chunk, 0, Math.min(chunk.length, length - done), at + done)
      if (got === 0) return ""
      hash.update(chunk.subarray(0, got))
      done += got
    }
    next = at + length
  }
  addZeroes(hash, size - next)
  return hash.digest("hex")
}
