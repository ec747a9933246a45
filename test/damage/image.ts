/** A store as bytes in memory, and put up as files: some hundred thousand times, so only what was touched is written. */
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeSync,
} from "node:fs"
import { dirname, join } from "node:path"

/** Contents by path below the store's directory. */
export type Image = ReadonlyMap<string, Buffer>

/** Behind the last entry the journal is zeroes: they need not be kept. */
const JOURNAL = "journal"
const JOURNAL_BYTES = 4 * 1024 * 1024
const KEPT_ZEROES = 512

/** Of no use for what is damaged here: kept back space, the lock's text. */
const LEFT_OUT = new Set(["reserve", "lock"])

/** Reads a store that nobody changes meanwhile. */
export function readImage(directory: string): Image {
  const image = new Map<string, Buffer>()
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || LEFT_OUT.has(entry.name)) continue
    const path = join(entry.parentPath, entry.name)
    const bytes = readFileSync(path)
    image.set(path.slice(directory.length + 1), entry.name === JOURNAL ? used(bytes) : bytes)
  }
  return image
}

function used(journal: Buffer): Buffer {
  let end = journal.length
  while (end > 0 && journal[end - 1] === 0) end -= 1
  return Buffer.from(journal.subarray(0, Math.min(journal.length, end + KEPT_ZEROES)))
}

/** Makes `directory` hold the image and nothing else; the file `shortened` is exactly as long as in the image. */
export function putUp(image: Image, directory: string, shortened?: string): void {
  mkdirSync(join(directory, "segments"), { recursive: true })
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    const isLeft = image.has(path.slice(directory.length + 1)) || LEFT_OUT.has(entry.name)
    if (entry.isFile() && !isLeft) rmSync(path, { force: true })
  }
  for (const [name, bytes] of image) {
    const length = name === JOURNAL && shortened !== name ? JOURNAL_BYTES : bytes.length
    write(join(directory, name), bytes, length)
  }
}

function write(path: string, bytes: Buffer, length: number): void {
  mkdirSync(dirname(path), { recursive: true })
  const fd = openSync(path, existsSync(path) ? "r+" : "w+", 0o600)
  try {
    writeSync(fd, bytes, 0, bytes.length, 0)
    if (fstatSync(fd).size !== length) ftruncateSync(fd, length)
  } finally {
    closeSync(fd)
  }
}
