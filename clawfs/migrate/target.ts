/**
 * The mounted filesystem that a migration writes to. Every path is resolved by the kernel below the mount's root, through no
 * link and into no other mount, so that no name of the source and nobody on the mount leads elsewhere. A file appears whole,
 * with its attributes, or not at all.
 */
import { createHash } from "node:crypto"
import { constants, fchmodSync, fstatSync, fsyncSync, readSync, writeSync, type Stats } from "node:fs"
import { E } from "../core/errno.ts"
import { Fault, SysFault, describe, kindOfThrown } from "../core/fault.ts"
import {
  O_PATH,
  makeDirectoryAt,
  openBeneath,
  openExactly,
  openPath,
  renameAt,
  unlinkAt,
} from "../sys/beneath.ts"
import { checked } from "../sys/ffi.ts"
import { futimens } from "../sys/libc.ts"
import { attributeOf, setAttribute } from "../sys/xattr.ts"
import { Descriptor } from "./descriptor.ts"
import { shortHash } from "./names.ts"

const { O_WRONLY, O_RDONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_DIRECTORY, O_NONBLOCK, O_APPEND } = constants
const PREFIX = "user.clawfs."
/** Copies of what is searched elsewhere: archives and older versions. `off` leaves a directory out of the index (docs/SEARCH.md). */
const NOT_SEARCHED = /^system\/migrations$|\/\.clawfs\/versions$/
const INDEX_ATTRIBUTE = `${PREFIX}index`
const CHUNK = 1024 * 1024
const PRIVATE = 0o600
/** What a kill in the middle of a file leaves begins so; the next run replaces it. */
const TEMPORARY = ".clawfs-migrate-"

export interface Digest {
  readonly sha256: string
  readonly bytes: number
}

export interface NewFile {
  readonly path: readonly string[]
  readonly mode: number
  readonly modified: string | undefined
  readonly attributes: Readonly<Record<string, string>>
}

export class Target implements Disposable {
  readonly mountpoint: string
  readonly #root: Descriptor
  readonly #chunk = Buffer.alloc(CHUNK)
  /** The directory that was used last: files come directory by directory. */
  #last: { readonly path: string; readonly directory: Descriptor } | undefined

  readonly #onMake: (path: string) => void

  /**
   * Throws for what is no directory. The mount can't be taken away until this is disposed of. `onMake` hears of each
   * directory right before it is made.
   */
  constructor(mountpoint: string, onMake: (path: string) => void = () => undefined) {
    this.mountpoint = mountpoint
    this.#onMake = onMake
    this.#root = new Descriptor(openPath(mountpoint, O_PATH | O_DIRECTORY))
  }

  /** What is at a path, a link itself; undefined for nothing. Throws when the way there leads through a link or file. */
  stat(path: readonly string[]): Stats | undefined {
    using found = this.#open(path, O_PATH | O_NOFOLLOW)
    return found === undefined ? undefined : fstatSync(found.fd)
  }

  /** An attribute `user.clawfs.NAME` of a regular file; undefined where there is none. */
  attribute(path: readonly string[], name: string): string | undefined {
    using file = this.#openFile(path)
    return file === undefined ? undefined : attributeOf(file.path, `${PREFIX}${name}`)
  }

  /**
   * Whether a regular file has this length and time: nobody has written to it since, unless he has made both the same again. False
   * for a time that no file can have.
   */
  hasTime(path: readonly string[], bytes: number, modified: string | undefined): boolean {
    const wanted = modified === undefined ? undefined : nanosecondsOf(modified)
    if (wanted === undefined) return false
    using found = this.#open(path, O_PATH | O_NOFOLLOW)
    if (found === undefined) return false
    const stat = fstatSync(found.fd, { bigint: true })
    return stat.isFile() && Number(stat.size) === bytes && stat.mtimeNs === wanted
  }

  /** Of a regular file; undefined for anything else. */
  digest(path: readonly string[]): Digest | undefined {
    using file = this.#openFile(path)
    if (file === undefined) return undefined
    const hash = createHash("sha256")
    const chunk = this.#chunk
    for (let bytes = 0; ;) {
      const count = readSync(file.fd, chunk, 0, CHUNK, bytes)
      if (count === 0) return { sha256: hash.digest("hex"), bytes }
      hash.update(chunk.subarray(0, count))
      bytes += count
    }
  }

  /** Of a regular file, from one byte on; undefined for anything else. Fewer bytes where it ends. */
  readAt(path: readonly string[], position: number, length: number): Buffer | undefined {
    using file = this.#openFile(path)
    if (file === undefined) return undefined
    const bytes = Buffer.alloc(length)
    let read = 0
    while (read < length) {
      const count = readSync(file.fd, bytes, read, length - read, position + read)
      if (count === 0) break
      read += count
    }
    return bytes.subarray(0, read)
  }

  /** All bytes of a regular file, one piece after the other, each valid until the next; nothing for anything else. */
  *pieces(path: readonly string[]): Generator<Buffer> {
    using file = this.#openFile(path)
    if (file === undefined) return
    const chunk = Buffer.alloc(CHUNK)
    for (let position = 0; ;) {
      const count = readSync(file.fd, chunk, 0, CHUNK, position)
      if (count === 0) return
      yield chunk.subarray(0, count)
      position += count
    }
  }

  /** A whole file that may be read at once; undefined for nothing or no regular file. */
  read(path: readonly string[]): Buffer | undefined {
    using file = this.#openFile(path)
    if (file === undefined) return undefined
    return this.readAt(path, 0, fstatSync(file.fd).size)
  }

  /**
   * Writes a file beside its place, which it takes if `settle` says so, or goes. Directories that are missing are made.
   * Attributes get `src.sha256` besides what is given. Throws `Displaced` or `Diverted` where the way there is taken.
   */
  async write(
    file: NewFile,
    content: AsyncIterable<Buffer>,
    settle: (digest: Digest) => boolean,
  ): Promise<Digest> {
    const directory = this.#directory(file.path.slice(0, -1))
    const temporary = Buffer.from(`${TEMPORARY}${shortHash(file.path.join("/"))}`)
    removeQuietly(directory, temporary)
    let digest: Digest
    {
      using open = new Descriptor(created(directory, temporary, file.path))
      try {
        digest = await filled(open, content)
        for (const [name, value] of Object.entries({ ...file.attributes, "src.sha256": digest.sha256 }))
          setAttribute(open.path, `${PREFIX}${name}`, value)
        fchmodSync(open.fd, file.mode)
        if (file.modified !== undefined) setTime(open, file.modified)
      } catch (thrown) {
        removeQuietly(directory, temporary)
        throw thrown
      }
    }
    const name = Buffer.from(file.path.at(-1) ?? "")
    if (settle(digest)) renameAt(directory.fd, temporary, directory.fd, name, true)
    else unlinkAt(directory.fd, temporary)
    return digest
  }

  /** Renames a file to a place in another directory, which is made if it is missing; replaces what is there. */
  move(from: readonly string[], to: readonly string[]): void {
    const directory = this.#directory(to.slice(0, -1))
    using source = this.#open(from.slice(0, -1), O_PATH | O_DIRECTORY)
    if (source === undefined) throw new Fault("not-found", `${from.join("/")} is gone`)
    renameAt(source.fd, last(from), directory.fd, last(to), true)
  }

  /** A file or an empty directory; false if there is nothing, or the directory is not empty. */
  remove(path: readonly string[], isDirectory = false): boolean {
    this.#forget()
    using directory = this.#open(path.slice(0, -1), O_PATH | O_DIRECTORY)
    if (directory === undefined) return false
    try {
      unlinkAt(directory.fd, last(path), isDirectory)
      return true
    } catch (thrown) {
      const isKept = thrown instanceof SysFault && KEPT.has(thrown.errno)
      if (isKept) return false
      throw thrown
    }
  }

  /** A file that lines are added to; made, with its directories, if it is missing. */
  openAppend(path: readonly string[]): Descriptor {
    const directory = this.#directory(path.slice(0, -1))
    return new Descriptor(
      openBeneath(directory.fd, last(path), constants.O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, PRIVATE),
    )
  }

  /** Everything that was written is on the disk when it returns. */
  sync(path: readonly string[]): void {
    using file = this.#openFile(path)
    if (file !== undefined) fsyncSync(file.fd)
  }

  #openFile(path: readonly string[]): Descriptor | undefined {
    const file = this.#open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    if (file === undefined || fstatSync(file.fd).isFile()) return file
    file[Symbol.dispose]()
    return undefined
  }

  /** Undefined where something on the way is missing. */
  #open(path: readonly string[], flags: number): Descriptor | undefined {
    const bytes = Buffer.from(path.length === 0 ? "." : path.join("/"))
    try {
      return new Descriptor(openExactly(this.#root.fd, bytes, flags))
    } catch (thrown) {
      if (thrown instanceof SysFault && (thrown.errno === E.ENOENT || thrown.errno === E.ENOTDIR))
        return undefined
      // A link where a file would be: no regular file.
      if (thrown instanceof SysFault && thrown.errno === E.ELOOP && (flags & O_DIRECTORY) === 0)
        return undefined
      throw unlessLocked(thrown, path)
    }
  }

  #directory(path: readonly string[]): Descriptor {
    const shown = path.join("/")
    if (this.#last?.path === shown) return this.#last.directory
    this.#forget()
    const directory = this.#opened(path) ?? this.#make(path)
    this.#last = { path: shown, directory }
    return directory
  }

  #opened(path: readonly string[]): Descriptor | undefined {
    try {
      return new Descriptor(
        openExactly(this.#root.fd, Buffer.from(path.join("/") || "."), O_PATH | O_DIRECTORY),
      )
    } catch (thrown) {
      if (thrown instanceof SysFault && thrown.errno === E.ENOENT) return undefined
      throw explained(thrown, path)
    }
  }

  #make(path: readonly string[]): Descriptor {
    let above = this.#opened([])
    for (const [at, name] of path.entries()) {
      const here = path.slice(0, at + 1)
      using parent = above
      let next = this.#opened(here)
      if (next === undefined && parent !== undefined) {
        this.#onMake(here.join("/"))
        makeDirectoryAt(parent.fd, Buffer.from(name))
        next = this.#opened(here)
        if (next !== undefined && NOT_SEARCHED.test(here.join("/")))
          setAttribute(next.path, INDEX_ATTRIBUTE, "off")
      }
      above = next
    }
    if (above === undefined) throw new Fault("io", `${path.join("/")} vanished while it was made`)
    return above
  }

  #forget(): void {
    this.#last?.directory[Symbol.dispose]()
    this.#last = undefined
  }

  [Symbol.dispose](): void {
    this.#forget()
    this.#root[Symbol.dispose]()
  }
}

const KEPT: ReadonlySet<number> = new Set([E.ENOENT, E.ENOTEMPTY, E.ENOTDIR, E.EISDIR])

const last = (path: readonly string[]): Buffer => Buffer.from(path.at(-1) ?? "")

/** A directory on the way is no directory: something else has its name. */
export class Displaced extends Error {}

/** The way leads through a link or into another mount, and is not gone. */
export class Diverted extends Error {}

/** Of a tree whose key is not there, where it is and what to do. */
function unlessLocked(thrown: unknown, path: readonly string[]): unknown {
  if (!(thrown instanceof SysFault && thrown.errno === E.ENOKEY)) return thrown
  return new Fault("locked", `${path.join("/")} lies in an encrypted tree that is locked`, {
    cause: thrown,
    hint: "clawfs unlock opens the tree; then run the same command again: it goes on",
  })
}

function created(directory: Descriptor, name: Buffer, path: readonly string[]): number {
  try {
    return openBeneath(directory.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, PRIVATE)
  } catch (thrown) {
    throw unlessLocked(thrown, path)
  }
}

function explained(thrown: unknown, path: readonly string[]): unknown {
  if (!(thrown instanceof SysFault)) return thrown
  if (thrown.errno === E.ENOKEY) return unlessLocked(thrown, path)
  if (thrown.errno === E.ENOTDIR || thrown.errno === E.ENAMETOOLONG)
    return new Displaced(`${path.join("/")} is no directory`)
  if (thrown.errno === E.ELOOP || thrown.errno === E.EXDEV)
    return new Diverted(`${path.join("/")} leads through a link or into another mount`)
  return thrown
}

const NANOSECONDS = 1_000_000_000n

/** Since 1970; undefined for a time that is none, such as infinity. */
function nanosecondsOf(iso: string): bigint | undefined {
  const seconds = Math.floor(Date.parse(iso) / 1000)
  if (Number.isNaN(seconds)) return undefined
  const [, fraction = ""] = /\.(\d+)Z$/.exec(iso) ?? []
  return BigInt(seconds) * NANOSECONDS + BigInt(fraction.slice(0, 9).padEnd(9, "0"))
}

/** A time that is none is left at now. */
function setTime(file: Descriptor, iso: string): void {
  const time = nanosecondsOf(iso)
  if (time === undefined) return
  const fraction = ((time % NANOSECONDS) + NANOSECONDS) % NANOSECONDS
  const times = Buffer.alloc(32)
  for (const at of [0, 16]) {
    times.writeBigInt64LE((time - fraction) / NANOSECONDS, at)
    times.writeBigInt64LE(fraction, at + 8)
  }
  checked("futimens", futimens(file.fd, times))
}

function removeQuietly(directory: Descriptor, name: Buffer): void {
  try {
    unlinkAt(directory.fd, name)
  } catch (thrown) {
    if (!(thrown instanceof SysFault && thrown.errno === E.ENOENT)) throw thrown
  }
}

async function filled(file: Descriptor, content: AsyncIterable<Buffer>): Promise<Digest> {
  const hash = createHash("sha256")
  let bytes = 0
  for await (const piece of gathered(content)) {
    hash.update(piece)
    writeAll(file, piece)
    bytes += piece.length
  }
  return { sha256: hash.digest("hex"), bytes }
}

function writeAll(file: Descriptor, piece: Buffer): void {
  try {
    for (let at = 0; at < piece.length;) at += writeSync(file.fd, piece, at)
  } catch (cause) {
    const kind = kindOfThrown(cause)
    if (kind === "bug") throw cause
    // Node has no name for EDQUOT.
    const why = kind === "no-space" ? "there is no room left" : describe(cause)
    throw new Fault(kind, `a file can't be written: ${why}`, {
      cause,
      hint: kind === "no-space" ? "make room, then run the same command again: it goes on" : undefined,
    })
  }
}

/** Short pieces together: a write is a request to the daemon. */
async function* gathered(content: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of content) {
    pieces.push(piece)
    bytes += piece.length
    if (bytes < CHUNK) continue
    yield Buffer.concat(pieces)
    pieces = []
    bytes = 0
  }
  if (bytes > 0) yield Buffer.concat(pieces)
}

/** SHA-256 and length of what is not written. */
export async function digestOf(content: AsyncIterable<Buffer>): Promise<Digest> {
  const hash = createHash("sha256")
  let bytes = 0
  for await (const piece of content) {
    hash.update(piece)
    bytes += piece.length
  }
  return { sha256: hash.digest("hex"), bytes }
}
