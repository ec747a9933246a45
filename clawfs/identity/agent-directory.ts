/**
 * An agent's own directory, `agents/AGENT`. Agents write there, and whoever mends an identity may be root: nothing here follows
 * a link or leaves the directory, and what a file is, is known before anything is read from it.
 */
import { randomBytes } from "node:crypto"
import { constants, fchmodSync, fchownSync, fsyncSync, readSync, readdirSync, writeSync } from "node:fs"
import { E } from "../core/errno.ts"
import { Fault, SysFault } from "../core/fault.ts"
import {
  O_PATH,
  exchangeAt,
  makeDirectoryAt,
  openExactly,
  openPath,
  renameAt,
  reopen,
  unlinkAt,
} from "../sys/beneath.ts"
import { Descriptor } from "../sys/descriptor.ts"
import { checked } from "../sys/ffi.ts"
import { flock } from "../sys/libc.ts"

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants
const LOCK_EX = 2
const PERMISSION_BITS = 0o777
/** For the agent, who owns the directory, and its group. */
const NEW_FILE_MODE = 0o640

export class AgentDirectory implements Disposable {
  readonly #directory: Descriptor
  /** As messages call it. */
  readonly shown: string

  private constructor(fd: number, shown: string) {
    this.#directory = new Descriptor(fd)
    this.shown = shown
  }

  /** Throws `Fault("not-found")` where there is none. */
  static open(path: string): AgentDirectory {
    try {
      return new AgentDirectory(openPath(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), path)
    } catch (thrown) {
      if (codeOf(thrown) === E.ENOENT)
        throw new Fault("not-found", `there is no directory ${path}`, { cause: thrown })
      if (codeOf(thrown) === E.ENOTDIR)
        throw new Fault("invalid", `${path} is no directory`, { cause: thrown })
      throw thrown
    }
  }

  /** A directory in it; undefined where there is none. With `makes` it is made. */
  within(name: string, makes = false): AgentDirectory | undefined {
    const shown = `${this.shown}/${name}`
    const isNew = makes && this.#makes(name)
    try {
      const fd = openExactly(this.#directory.fd, Buffer.from(name), O_RDONLY | O_DIRECTORY)
      const found = new AgentDirectory(fd, shown)
      if (isNew) giveTo(found.#directory, this.#directory.stat())
      return found
    } catch (thrown) {
      if (codeOf(thrown) === E.ENOENT) return undefined
      throw new Fault("invalid", `${shown} is no directory of this agent's`, { cause: thrown })
    }
  }

  /** Another process that changes the identity waits until this is disposed. */
  lock(): void {
    checked("flock", flock(this.#directory.fd, LOCK_EX))
  }

  names(): string[] {
    return readdirSync(this.#directory.path).sort()
  }

  /** A file's bytes, or the end of a sentence that says why not: it is missing, no file, or longer than `most`. */
  read(name: string, most: number): Buffer | string {
    using place = this.#find(name)
    if (place === undefined) return "is missing"
    const stat = place.stat()
    if (!stat.isFile()) return "is no regular file"
    if (stat.size > BigInt(most)) return `has more than ${most} bytes`
    using file = new Descriptor(reopen(place.fd, O_RDONLY | O_NONBLOCK))
    const bytes = Buffer.alloc(Number(stat.size))
    let length = 0
    while (length < bytes.length) {
      const got = readSync(file.fd, bytes, length, bytes.length - length, length)
      if (got === 0) break
      length += got
    }
    return bytes.subarray(0, length)
  }

  /**
   * A whole file under a name, on the disk when this returns: readers see the old one or the new one, also after a crash. It has
   * the owner and mode of the one it replaces, or else the directory's owner.
   */
  write(name: string, bytes: Uint8Array): void {
    const temporary = this.#writeTemporary(name, bytes)
    renameAt(this.#directory.fd, temporary, this.#directory.fd, Buffer.from(name), true)
    this.sync()
  }

  /** As `write`; what was there is kept under another name, in `aside`. */
  replace(name: string, bytes: Uint8Array, aside: AgentDirectory, asideName: string): void {
    if (!this.has(name)) {
      this.write(name, bytes)
      return
    }
    const temporary = this.#writeTemporary(name, bytes)
    exchangeAt(this.#directory.fd, temporary, this.#directory.fd, Buffer.from(name))
    renameAt(this.#directory.fd, temporary, aside.#directory.fd, Buffer.from(asideName), true)
    this.sync()
    aside.sync()
  }

  has(name: string): boolean {
    using found = this.#find(name)
    return found !== undefined
  }

  remove(name: string): void {
    unlinkAt(this.#directory.fd, Buffer.from(name))
  }

  sync(): void {
    fsyncSync(this.#directory.fd)
  }

  #find(name: string): Descriptor | undefined {
    try {
      return new Descriptor(openExactly(this.#directory.fd, Buffer.from(name), O_PATH | O_NOFOLLOW))
    } catch (thrown) {
      if (codeOf(thrown) === E.ENOENT) return undefined
      throw thrown
    }
  }

  #writeTemporary(name: string, bytes: Uint8Array): Buffer {
    const temporary = Buffer.from(`.${name}-${randomBytes(8).toString("hex")}.tmp`)
    using old = this.#find(name)
    const before = old?.stat()
    const fd = openExactly(this.#directory.fd, temporary, O_WRONLY | O_CREAT | O_EXCL, NEW_FILE_MODE)
    using file = new Descriptor(fd)
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at)
      giveTo(file, before?.isFile() === true ? before : this.#directory.stat())
      fchmodSync(fd, before?.isFile() === true ? Number(before.mode) & PERMISSION_BITS : NEW_FILE_MODE)
      fsyncSync(fd)
      return temporary
    } catch (thrown) {
      unlinkAt(this.#directory.fd, temporary)
      throw thrown
    }
  }

  /** Whether there was none of that name. */
  #makes(name: string): boolean {
    try {
      makeDirectoryAt(this.#directory.fd, Buffer.from(name))
      return true
    } catch (thrown) {
      if (codeOf(thrown) === E.EEXIST) return false
      throw thrown
    }
  }

  [Symbol.dispose](): void {
    this.#directory[Symbol.dispose]()
  }
}

/** Only root gives files away; whoever else writes here owns them, as with any file. */
function giveTo(file: Descriptor, { uid, gid }: { readonly uid: bigint; readonly gid: bigint }): void {
  const own = file.stat()
  if (own.uid === uid && own.gid === gid) return
  if (process.getuid?.() === 0) fchownSync(file.fd, Number(uid), Number(gid))
}

/** The errno of a call that failed; undefined for anything else. */
function codeOf(thrown: unknown): number | undefined {
  return thrown instanceof SysFault ? thrown.errno : undefined
}
