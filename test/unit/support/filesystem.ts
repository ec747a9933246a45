/** A filesystem over a store of its own, without a mount: what the kernel would ask is asked by hand. */
import type { NodeId } from "../../../clawfs/core/brand.ts"
import { OK, errnoName, isErrno, type Result } from "../../../clawfs/core/errno.ts"
import type { Environment } from "../../../clawfs/fs/environment.ts"
import { FileSystem } from "../../../clawfs/fs/filesystem.ts"
import { LISTING_WORDS, Listings } from "../../../clawfs/fs/listings.ts"
import { LOOKUP_BYTES, Lookups, type LookupHeader } from "../../../clawfs/fs/lookups.ts"
import { adoptOrphans } from "../../../clawfs/fs/orphans.ts"
import { VirtualFiles, VirtualNodes } from "../../../clawfs/fs/virtual.ts"
import type { Attr, InHeader, SetattrIn } from "../../../clawfs/fuse/abi.ts"
import { SetattrValid } from "../../../clawfs/fuse/abi.ts"
import { LATER } from "../../../clawfs/fuse/operations.ts"
import { DirentPacker } from "../../../clawfs/fuse/dirent.ts"
import { Reply } from "../../../clawfs/fuse/reply.ts"
import { Store } from "../../../clawfs/store/store.ts"
import { close } from "../../../clawfs/sys/libc.ts"
import { createSharedMemory } from "../../../clawfs/sys/shared-memory.ts"
import { headerOf } from "./operations.ts"
import { unpack, type ListedEntry } from "./requests.ts"
import { temporaryStore } from "./temporary.ts"

export interface Caller {
  readonly uid?: number
  readonly gid?: number
  readonly pid?: number
}

export const ROOT = 1
export const STATUS_TEXT = "all is well\n"

/** "ENOENT" for an error, "OK" for anything else. */
export function outcome(result: unknown): string {
  return isErrno(result) ? errnoName(result) : "OK"
}

/** A result that must be no error. */
export function ok<T>(result: Result<T>): T {
  if (isErrno(result)) throw new Error(`unexpected ${errnoName(result)}`)
  return result
}

/** What a lookup has found, that needed no other process. */
function found(result: Result<Attr> | typeof LATER): Attr {
  if (result === LATER) throw new Error("the answer comes later")
  return ok(result)
}

export class TestFileSystem implements Disposable {
  readonly #place = temporaryStore()
  readonly #memory = createSharedMemory("clawfs-unit", LOOKUP_BYTES)
  readonly #listings = new Listings(new Uint32Array(LISTING_WORDS))
  readonly #header: LookupHeader = { log: 0, used: 0 }
  readonly #reply = new Reply(Buffer.alloc(1 << 20))
  /** What was told to the kernel behind its back. */
  readonly invalidated: number[] = []
  #unique = 2
  #caller: Caller = {}
  #env: Environment
  #fs: FileSystem

  constructor() {
    ;[this.#env, this.#fs] = this.#build(this.#place.store)
  }

  #build(store: Store): [Environment, FileSystem] {
    const env: Environment = {
      store,
      lookups: new Lookups(this.#memory, 0, this.#header),
      counted: { uniqueLow: 0, uniqueHigh: 0 },
      listings: this.#listings,
      orphans: new Set(),
      refusals: { early: 0 },
      accessed: new Set(),
      writeback: false,
      invalidateAttributes: (node) => this.invalidated.push(node),
      syncLater: () => OK,
    }
    const nodes = new VirtualNodes(1)
    const virtual = new VirtualFiles(new Map([[".status", (): string => STATUS_TEXT]]), nodes)
    return [env, new FileSystem(env, virtual, nodes)]
  }

  get env(): Environment {
    return this.#env
  }

  get fs(): FileSystem {
    return this.#fs
  }

  get store(): Store {
    return this.#env.store
  }

  get directory(): string {
    return this.#place.directory
  }

  /** The server is killed and another one starts, as far as that concerns the filesystem. Lookup counts survive. */
  restart(): void {
    const { counted, lookups } = this.#env
    lookups[Symbol.dispose]()
    const [env, fs] = this.#build(this.#place.reopen())
    Object.assign(env.counted, counted)
    ;[this.#env, this.#fs] = [env, fs]
    adoptOrphans(env, true)
  }

  /** Requests from here on come from this user. */
  as(caller: Caller): this {
    this.#caller = caller
    return this
  }

  /** The header of a new request about a node. */
  request(node: number, fields: Partial<Omit<InHeader, "node">> = {}): InHeader {
    this.#unique += 2
    return headerOf({ uniqueLow: this.#unique, ...this.#caller, ...fields, node })
  }

  /** A name in a directory as the kernel resolves it: one LOOKUP a step. */
  at(path: string): Attr {
    const names = path.split("/").filter(Boolean)
    let attr = ok(this.#fs.getattr(this.request(ROOT)))
    for (const name of names)
      attr = found(this.#fs.lookup(this.request(attr.ino), Buffer.from(name, "latin1")))
    return attr
  }

  has(path: string): boolean {
    const [parent, name] = this.#split(path)
    return !isErrno(this.#fs.lookup(this.request(parent), name))
  }

  #split(path: string): [parent: number, name: Buffer] {
    const at = path.lastIndexOf("/")
    return [this.at(path.slice(0, Math.max(0, at))).ino, Buffer.from(path.slice(at + 1), "latin1")]
  }

  mkdir(path: string, mode = 0o755, umask = 0): Result<Attr> {
    const [parent, name] = this.#split(path)
    return this.#fs.mkdir(this.request(parent), name, { mode, umask, rdev: 0 })
  }

  mknod(path: string, mode = 0o100644, umask = 0, rdev = 0): Result<Attr> {
    const [parent, name] = this.#split(path)
    return this.#fs.mknod(this.request(parent), name, { mode, umask, rdev })
  }

  symlink(path: string, target: string): Result<Attr> {
    const [parent, name] = this.#split(path)
    return this.#fs.symlink(this.request(parent), name, Buffer.from(target))
  }

  link(from: string, to: string): Result<Attr> {
    const [parent, name] = this.#split(to)
    return this.#fs.link(this.request(parent), this.at(from).ino, name)
  }

  unlink(path: string): string {
    const [parent, name] = this.#split(path)
    return outcome(this.#fs.unlink(this.request(parent), name))
  }

  rmdir(path: string): string {
    const [parent, name] = this.#split(path)
    return outcome(this.#fs.rmdir(this.request(parent), name))
  }

  rename(from: string, to: string, flags = 0): string {
    const [[parent, name], [newParent, newName]] = [this.#split(from), this.#split(to)]
    return outcome(this.#fs.rename(this.request(parent), name, newParent as NodeId, newName, flags))
  }

  write(node: number, offset: number, data: string | Buffer, flags = 0): string {
    return outcome(this.#fs.write(this.request(node), offset, Buffer.from(data), flags))
  }

  read(node: number, { offset = 0, size = 65_536, keepsAtime = false } = {}): string {
    this.#reply.reset()
    const start = this.#reply.start
    const status = this.#fs.read(this.request(node), { offset, size, keepsAtime }, this.#reply)
    return isErrno(status)
      ? errnoName(status)
      : this.#reply.buffer.toString("latin1", start, this.#reply.start)
  }

  /** SETATTR with the fields that are given, and no other. */
  setattr(node: number, change: Partial<Omit<SetattrIn, "valid">>, extra = 0): Result<Attr> {
    const V = SetattrValid
    const bits = {
      mode: V.MODE,
      uid: V.UID,
      gid: V.GID,
      size: V.SIZE,
      atime: V.ATIME,
      mtime: V.MTIME,
      ctime: V.CTIME,
    }
    const valid = Object.entries(bits).reduce((all, [key, bit]) => (key in change ? all | bit : all), extra)
    const nothing = { size: 0, atime: 0, mtime: 0, ctime: 0, mode: 0, uid: 0, gid: 0 }
    const nanos = { atimeNanos: 0, mtimeNanos: 0, ctimeNanos: 0 }
    return this.#fs.setattr(this.request(node), { ...nothing, ...nanos, ...change, valid })
  }

  /** Everything that a listing shows, in parts of `size` bytes. */
  list(node: number, plus = false, size = 4096): ListedEntry[] {
    const all: ListedEntry[] = []
    for (let cookie = 0; ;) {
      this.#reply.reset()
      const start = this.#reply.start
      const packer = new DirentPacker(this.#reply, size, plus, 1)
      ok(this.#fs.readdir(this.request(node), cookie, packer, false))
      const part = unpack(Buffer.from(this.#reply.buffer.subarray(start, this.#reply.start)), plus)
      if (part.length === 0) return all
      all.push(...part)
      cookie = part.at(-1)?.cookie ?? 0
    }
  }

  /** The names that a listing shows, without `.` and `..`, sorted. */
  names(node: number): string[] {
    return this.list(node)
      .map(({ name }) => name)
      .filter((name) => name !== "." && name !== "..")
      .sort()
  }

  [Symbol.dispose](): void {
    this.#env.lookups[Symbol.dispose]()
    this.#place[Symbol.dispose]()
    close(this.#memory)
  }
}
