/**
 * Writes a directory as an archive: the tree, a bundle of secrets if there is one, and the manifest, in one pass over the files and
 * without going back in the archive. Kept in memory are the names of the directories that are being read, and the first name of
 * each file that has several.
 */
import { createHash, type Hash } from "node:crypto"
import { readSync, writeSync } from "node:fs"
import { Fault, SysFault } from "../core/fault.ts"
import type { Descriptor } from "../sys/descriptor.ts"
import { poll } from "../sys/libc.ts"
import type { OnProgress } from "./check.ts"
import { addZeroes } from "./contents.ts"
import { lineOf, type Entry, type Inode } from "./entry.ts"
import { padding } from "./header.ts"
import { ManifestSpool } from "./manifest.ts"
import {
  END,
  MANIFEST,
  MOST_PATH,
  SECRETS,
  encodeBeginning,
  encodeMember,
  encodeOwn,
  shown,
} from "./member.ts"
import { encodeMap, isWhole, rangesOf } from "./pieces.ts"
import { Located, namesIn } from "./source.ts"

export interface Exported {
  readonly entries: number
  readonly files: number
  /** Of the files, and of the archive. */
  readonly bytes: number
  readonly archiveBytes: number
  /** Files that were changed while they were read; at most a hundred of them. */
  readonly changed: readonly string[]
  /** Mount points of other filesystems, which are left out. */
  readonly leftOut: readonly string[]
}

export interface ExportOptions {
  /** The directory's attributes, if they are those of another one: a snapshot's top has its own. */
  readonly top?: Descriptor
  /** Only these of the directory's entries; all unless given. */
  readonly only?: readonly string[]
  /** For the manifest: what the archive is of. */
  readonly source: string
  readonly secrets?: Buffer | undefined
  readonly onProgress: OnProgress
}

const STEP = 1024 * 1024
const POLLOUT = 4
const MOST_NAMED = 100

/** Writes `directory` to the descriptor `out`, a file or a pipe. Throws what reading and writing throw. */
export function exportTree(directory: Descriptor, out: number, options: ExportOptions): Exported {
  return new Exporter(directory, out, options).run()
}

class Exporter {
  readonly #directory: Descriptor
  readonly #out: Output
  readonly #options: ExportOptions
  readonly #manifest: ManifestSpool
  /** By device and inode: the name under which it was written. */
  readonly #names = new Map<string, Buffer>()
  readonly #chunk = Buffer.alloc(STEP)
  readonly #totals = { entries: 0, files: 0, bytes: 0 }
  readonly #changed: string[] = []
  readonly #leftOut: string[] = []

  constructor(directory: Descriptor, out: number, options: ExportOptions) {
    this.#directory = directory
    this.#out = new Output(out)
    this.#options = options
    this.#manifest = new ManifestSpool(options.source)
  }

  run(): Exported {
    using _ = this.#manifest
    const { top = this.#directory, only, secrets } = this.#options
    this.#out.write(encodeBeginning())
    using itself = located(top, Buffer.from("."))
    this.#add(itself.entry(EMPTY))
    const wanted = only?.map((name) => Buffer.from(name)).sort((a, b) => a.compare(b))
    this.#directoryAt(this.#directory, EMPTY, wanted)
    if (secrets !== undefined) this.#own(SECRETS, [secrets], secrets.length)
    const sum = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex")
    this.#manifest.end({
      totals: this.#totals,
      changed: this.#changed,
      secrets: secrets === undefined ? null : { bytes: secrets.length, sha256: sum(secrets) },
    })
    this.#own(MANIFEST, this.#manifest.chunks(), this.#manifest.length)
    this.#out.write(END)
    this.#out.flush()
    const archiveBytes = this.#out.position
    return { ...this.#totals, archiveBytes, changed: this.#changed, leftOut: this.#leftOut }
  }

  #own(name: string, chunks: Iterable<Buffer>, length: number): void {
    this.#out.write(encodeOwn(name, length))
    for (const chunk of chunks) this.#out.write(chunk)
    this.#out.zeroes(padding(length))
  }

  #directoryAt(directory: Descriptor, path: Buffer, names = namesIn(directory)): void {
    for (const name of names) {
      const own = path.length === 0 ? name : Buffer.concat([path, SLASH, name])
      try {
        this.#fileAt(directory, name, own)
      } catch (thrown) {
        throw explained(thrown, own)
      }
    }
  }

  #fileAt(directory: Descriptor, name: Buffer, path: Buffer): void {
    if (path.length > MOST_PATH)
      throw new Fault(
        "name-too-long",
        `its path has more than ${MOST_PATH} bytes, which an archive can't hold`,
      )
    using found = this.#find(directory, name, path)
    if (found === undefined) return
    const { dev, ino, nlink } = found.stat
    const first = this.#names.get(`${dev}:${ino}`)
    if (first !== undefined) {
      this.#add({ type: "link", path, target: first })
      return
    }
    if (nlink > 1n && found.type !== "directory") this.#names.set(`${dev}:${ino}`, path)
    if (found.type === "file") {
      this.#contents(found, path)
      return
    }
    this.#add(found.entry(path))
    if (found.type !== "directory") return
    using below = found.openDirectory()
    this.#directoryAt(below, path)
  }

  #find(directory: Descriptor, name: Buffer, path: Buffer): Located | undefined {
    try {
      // Undefined: it was deleted since the directory was read.
      return Located.at(directory, name)
    } catch (thrown) {
      if (!(thrown instanceof Fault) || thrown.kind !== "unsupported") throw thrown
      this.#leftOut.push(path.toString())
      return undefined
    }
  }

  #add(entry: Entry, sha256?: string): void {
    if (entry.type !== "file") this.#out.write(encodeMember(entry))
    this.#manifest.add(lineOf(entry, sha256))
    this.#totals.entries += 1
    this.#options.onProgress(`${this.#totals.entries} files`, this.#totals.bytes, 0)
  }

  #contents(found: Located, path: Buffer): void {
    const entry = found.entry(path)
    using file = found.open()
    const ranges = rangesOf(file.fd, entry.size)
    const hasHoles = !isWhole(ranges, entry.size)
    const map = hasHoles ? encodeMap(ranges, entry.size) : EMPTY
    const stored = map.length + ranges.reduce((sum, { length }) => sum + length, 0)
    this.#out.write(encodeMember(entry, stored, hasHoles))
    this.#out.write(map)
    const hash = createHash("sha256")
    let next = 0
    let isShort = false
    for (const { at, length } of ranges) {
      addZeroes(hash, at - next)
      if (!this.#copy(file, at, length, hash)) isShort = true
      next = at + length
    }
    addZeroes(hash, entry.size - next)
    this.#out.zeroes(padding(stored))
    if (isShort || isOther(entry, found, file)) this.#note(path)
    this.#totals.files += 1
    this.#totals.bytes += entry.size
    this.#add(entry, hash.digest("hex"))
  }

  /** False: the file has become shorter, and zeroes stand for the rest. */
  #copy(file: Descriptor, from: number, length: number, hash: Hash): boolean {
    for (let done = 0; done < length;) {
      const most = Math.min(this.#chunk.length, length - done)
      const got = readSync(file.fd, this.#chunk, 0, most, from + done)
      const bytes = got === 0 ? this.#chunk.fill(0, 0, most).subarray(0, most) : this.#chunk.subarray(0, got)
      hash.update(bytes)
      this.#out.write(bytes)
      done += bytes.length
      if (got > 0) continue
      for (; done < length; done += STEP) {
        const rest = this.#chunk.fill(0).subarray(0, Math.min(STEP, length - done))
        hash.update(rest)
        this.#out.write(rest)
      }
      return false
    }
    return true
  }

  #note(path: Buffer): void {
    if (this.#changed.length < MOST_NAMED) this.#changed.push(path.toString())
  }
}

const EMPTY = Buffer.alloc(0)
const SLASH = Buffer.from("/")

/** Whether a file is another one than when its reading began. */
function isOther({ size }: Inode, { stat }: Located, file: Descriptor): boolean {
  const now = file.stat()
  return Number(now.size) !== size || now.mtimeNs !== stat.mtimeNs || now.ctimeNs !== stat.ctimeNs
}

function located(directory: Descriptor, name: Buffer): Located {
  const found = Located.at(directory, name)
  if (found === undefined) throw new Fault("not-found", "the directory is gone")
  return found
}

const SAID: Readonly<Record<string, string>> = {
  denied: "can't be read: no permission",
  locked: "is in an encrypted tree that is locked",
  io: "can't be read: the disk fails",
}

/** With the file's name, once. */
function explained(thrown: unknown, path: Buffer): unknown {
  if (thrown instanceof Named) return thrown
  if (thrown instanceof SysFault) {
    const hint = thrown.kind === "locked" ? "clawfs unlock opens it" : undefined
    return new Named(
      thrown.kind,
      `${shown(path)} ${SAID[thrown.kind] ?? `can't be read (${thrown.message})`}`,
      { cause: thrown, hint },
    )
  }
  if (thrown instanceof Fault)
    return new Named(thrown.kind, `${shown(path)}: ${thrown.message}`, { cause: thrown, hint: thrown.hint })
  return thrown
}

class Named extends Fault {}

/** Bytes to a descriptor, in large writes. */
class Output {
  readonly #fd: number
  readonly #buffer = Buffer.alloc(STEP)
  #used = 0
  /** How many bytes were written in all. */
  position = 0

  constructor(fd: number) {
    this.#fd = fd
  }

  write(bytes: Buffer): void {
    if (this.#used + bytes.length > STEP) this.flush()
    if (bytes.length >= STEP) {
      this.#send(bytes)
      return
    }
    bytes.copy(this.#buffer, this.#used)
    this.#used += bytes.length
  }

  /** Fewer than a block. */
  zeroes(length: number): void {
    this.write(Buffer.alloc(length))
  }

  flush(): void {
    this.#send(this.#buffer.subarray(0, this.#used))
    this.#used = 0
  }

  #send(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) at += this.#sendSome(bytes, at)
    this.position += bytes.length
  }

  #sendSome(bytes: Buffer, at: number): number {
    try {
      return writeSync(this.#fd, bytes, at)
    } catch (thrown) {
      const { code } = thrown as NodeJS.ErrnoException
      if (code === "EPIPE") throw new Fault("io", "whoever reads the archive has stopped", { cause: thrown })
      // Node makes its own standard output a pipe that does not wait.
      if (code !== "EAGAIN") throw thrown
      const request = Buffer.alloc(8)
      request.writeInt32LE(this.#fd, 0)
      request.writeInt16LE(POLLOUT, 4)
      poll(request, 1, -1)
      return 0
    }
  }
}
