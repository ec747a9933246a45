/**
 * Files of a backup. Whoever can write into its directory is not trusted to have left files there: no symbolic link is
 * followed, nothing but regular files is read, and what is written is a new file that gets its name when it is on the disk.
 */
import { createHash } from "node:crypto"
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs"
import { Fault } from "../core/fault.ts"

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
const CHUNK = 4 * 1024 * 1024
/** Ends the name of a file that is not whole yet. */
export const NEW = ".new"

/** A regular file, open for reading. */
export class OpenFile implements Disposable {
  readonly fd: number
  readonly path: string
  readonly size: number
  /** What the file is, as long as nobody has changed it: its number, and when anything of it changed last. */
  readonly identity: { readonly inode: string; readonly changed: string }

  private constructor(fd: number, path: string) {
    this.fd = fd
    this.path = path
    const stat = fstatSync(fd, { bigint: true })
    this.size = Number(stat.size)
    this.identity = { inode: String(stat.ino), changed: String(stat.ctimeNs) }
  }

  /** Undefined when nothing has that name. Throws `Fault("corrupt")` for what is no regular file. */
  static open(path: string): OpenFile | undefined {
    let fd: number
    try {
      // A FIFO would not let us go on.
      fd = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      if (code === "ENOENT") return undefined
      if (code === "ELOOP") throw new Fault("corrupt", `${path} is a symbolic link`, { cause })
      throw cause
    }
    if (fstatSync(fd).isFile()) return new OpenFile(fd, path)
    closeSync(fd)
    throw new Fault("corrupt", `${path} is not a regular file`)
  }

  /** The first `length` bytes, or as many as there are. */
  read(length = this.size): Buffer {
    const bytes = Buffer.allocUnsafeSlow(Math.min(length, this.size))
    let at = 0
    while (at < bytes.length) {
      const got = readSync(this.fd, bytes, at, bytes.length - at, at)
      if (got === 0) break
      at += got
    }
    return bytes.subarray(0, at)
  }

  /** Calls `take` with all bytes in order. */
  forEachChunk(take: (bytes: Buffer) => void): void {
    const bytes = Buffer.allocUnsafeSlow(CHUNK)
    for (let at = 0; ;) {
      const got = readSync(this.fd, bytes, 0, CHUNK, at)
      if (got === 0) return
      take(bytes.subarray(0, got))
      at += got
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.fd)
  }
}

/** The text of a small file; undefined when there is none. */
export function readText(path: string): string | undefined {
  using file = OpenFile.open(path)
  return file?.read().toString("utf8")
}

/** Writes a file of our own (mode 0600), on the disk when this returns; one of that name is replaced at once. */
export function writeDurably(path: string, bytes: Buffer): void {
  writeNew(path, (fd) => writeAll(fd, bytes))
}

/** Copies a file, and returns the SHA-256 of what was copied. */
export function copyDurably(from: OpenFile, path: string): string {
  const hash = createHash("sha256")
  writeNew(path, (fd) =>
    from.forEachChunk((bytes) => {
      hash.update(bytes)
      writeAll(fd, bytes)
    }),
  )
  return hash.digest("hex")
}

function writeNew(path: string, fill: (fd: number) => void): void {
  rmSync(path + NEW, { force: true })
  const fd = openSync(path + NEW, "wx", 0o600)
  try {
    fill(fd)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(path + NEW, path)
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at)
}

/** SHA-256 of a file, as hexadecimal digits. */
export function sha256Of(file: OpenFile): string {
  const hash = createHash("sha256")
  file.forEachChunk((bytes) => hash.update(bytes))
  return hash.digest("hex")
}

/** Whether a directory stands there, and no link to one. Throws `Fault("corrupt")` for anything else. */
export function isDirectory(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return false
  if (stat.isDirectory()) return true
  throw new Fault("corrupt", `${path} is not a directory`)
}
