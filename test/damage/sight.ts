/**
 * All that programs can see of a store: it is opened as a mount opens it, and then asked for everything, as the kernel
 * would ask. An answer that fails is seen as the name of its errno.
 */
import { createHash } from "node:crypto"
import type { NodeId } from "../../clawfs/core/brand.ts"
import { OK, errnoName, isErrno, type Result } from "../../clawfs/core/errno.ts"
import { Fault, describe, errnoOfThrown } from "../../clawfs/core/fault.ts"
import type { Environment } from "../../clawfs/fs/environment.ts"
import { FileSystem } from "../../clawfs/fs/filesystem.ts"
import { LISTING_WORDS, Listings } from "../../clawfs/fs/listings.ts"
import { LOOKUP_BYTES, Lookups } from "../../clawfs/fs/lookups.ts"
import { adoptOrphans } from "../../clawfs/fs/orphans.ts"
import { VirtualFiles, VirtualNodes } from "../../clawfs/fs/virtual.ts"
import type { Attr, InHeader } from "../../clawfs/fuse/abi.ts"
import { DirentPacker } from "../../clawfs/fuse/dirent.ts"
import { Flag } from "../../clawfs/fuse/flags.ts"
import { LATER } from "../../clawfs/fuse/operations.ts"
import { Reply } from "../../clawfs/fuse/reply.ts"
import { Replayer } from "../../clawfs/server/replayer.ts"
import { Store } from "../../clawfs/store/store.ts"
import { close } from "../../clawfs/sys/libc.ts"
import { createSharedMemory } from "../../clawfs/sys/shared-memory.ts"
import { unlock } from "../unit/support/encryption.ts"
import { headerOf } from "../unit/support/operations.ts"
import { QuietLog } from "../unit/support/log.ts"
import { unpack } from "../unit/support/requests.ts"
import { keySource } from "./secret.ts"

/** "/dir/file: contents" → what was seen, or the name of an errno. */
export type Sight = Map<string, string>

export const ERROR = "EIO"
/** A key that can't be had any more leaves its tree locked. */
const LOCKED = "ENOKEY"
/** The whole store was refused: the value says how. */
export const REFUSED = "store"
/** What must never be seen: it says what was thrown. */
export const BROKEN = "BROKEN "

/** Larger than any file of the samples. Where a size is wrong, that is seen; its zeroes need not be read. */
const MOST_BYTES = 1 << 20
const CHUNK = 128 * 1024
const SEEK_DATA = 3
const SEEK_HOLE = 4
const FLAGS = Flag.SETXATTR_EXT | Flag.HAS_RESEND

/** Opens the store in `directory` and looks at everything, and at all paths of `expected` whether they are listed or not. */
export function look(directory: string, expected?: Sight): Sight {
  const memory = createSharedMemory("clawfs-damage", LOOKUP_BYTES)
  const log = new QuietLog()
  try {
    using store = Store.open(directory, { log })
    const env: Environment = {
      store,
      lookups: new Lookups(memory, 0, { log: 0, used: 0 }),
      counted: { uniqueLow: 0, uniqueHigh: 0 },
      listings: new Listings(new Uint32Array(LISTING_WORDS)),
      orphans: new Set(),
      accessed: new Set(),
      writeback: false,
      invalidateAttributes: () => undefined,
      syncLater: () => OK,
      refusals: { early: 0 },
    }
    try {
      const nodes = new VirtualNodes(1)
      const fs = new FileSystem(env, new VirtualFiles(new Map(), nodes), nodes)
      const replayer = new Replayer(fs, log)
      store.beginBatching((request, flags) => replayer.execute(request, flags))
      store.armJournal(FLAGS)
      store.clearReply()
      store.settle()
      adoptOrphans(env, false)
      store.settle()
      unlockAll(store)
      return new Onlooker(fs, store, expected).seeAll()
    } finally {
      env.lookups[Symbol.dispose]()
    }
  } catch (thrown) {
    return new Map([[REFUSED, outcomeOf(thrown)]])
  } finally {
    close(memory)
  }
}

function unlockAll(store: Store): void {
  for (const id of store.keys.ids())
    try {
      unlock(store, { id, source: keySource })
    } catch (thrown) {
      if (!(thrown instanceof Fault && thrown.kind === "corrupt")) throw thrown
    }
}

/** A fault is a clear refusal; anything else would be a bug that the damage has brought to light. */
function outcomeOf(thrown: unknown): string {
  if (thrown instanceof Fault && thrown.kind !== "bug") return errorOf(errnoName(errnoOfThrown(thrown)))
  return `${BROKEN}${thrown instanceof Error ? (thrown.stack ?? thrown.message) : describe(thrown)}`
}

function errorOf(name: string): string {
  return name === LOCKED ? ERROR : name
}

/** Written to at the end: what others share with them must stay as it is. */
const WRITTEN = ["/kept/small", "/kept/big", "/sealed/small", "/sealed/big"]
const SNAPSHOTS = ".snapshots"

class Onlooker {
  readonly #fs: FileSystem
  readonly #store: Store
  readonly #expected: Sight
  readonly #reply = new Reply(Buffer.alloc(CHUNK + 4096))
  readonly #sight: Sight = new Map()
  readonly #files = new Map<string, Attr>()
  #unique = 2

  constructor(fs: FileSystem, store: Store, expected?: Sight) {
    this.#fs = fs
    this.#store = store
    this.#expected = expected ?? new Map<string, string>()
  }

  #request(node: number): InHeader {
    this.#unique += 2
    return headerOf({ node, uniqueLow: this.#unique })
  }

  /** Notes what `ask` answers; undefined when it failed. */
  #note<T>(what: string, ask: () => Result<T>, show: (answer: T) => string): T | undefined {
    let answer: Result<T>
    try {
      answer = ask()
    } catch (thrown) {
      this.#sight.set(what, outcomeOf(thrown))
      return undefined
    }
    if (isErrno(answer)) {
      this.#sight.set(what, errorOf(errnoName(answer)))
      return undefined
    }
    this.#sight.set(what, show(answer))
    return answer
  }

  seeAll(): Sight {
    this.#note(
      "space",
      () => this.#fs.statfs(this.#request(1)),
      ({ filesFree }) => String(filesFree),
    )
    const root = this.#note(
      "/: lookup",
      () => this.#fs.getattr(this.#request(1)),
      (attr) => String(attr.ino),
    )
    if (root !== undefined) this.#see("", root)
    const { snapshots, schedules } = this.#store
    const shown = (all: readonly object[]): string => JSON.stringify(all)
    this.#note("snapshots", () => snapshots.all(), shown)
    this.#note("schedules", () => schedules.all(), shown)
    this.#write()
    return this.#sight
  }

  /** Writes into files that a snapshot was made of, and looks at the snapshot again. */
  #write(): void {
    const shared: [string, Attr][] = []
    for (const [path, attr] of this.#files) {
      if (path.startsWith(`/${SNAPSHOTS}/`)) shared.push([path, attr])
      if (!WRITTEN.includes(path)) continue
      try {
        // Refused or done: what it does to others is to be seen.
        this.#fs.write(this.#request(attr.ino), 10, Buffer.from("written"), 0)
      } catch (thrown) {
        if (outcomeOf(thrown).startsWith(BROKEN)) this.#sight.set(`${path}: write`, outcomeOf(thrown))
      }
    }
    for (const [path, attr] of shared) this.#read(`${path}: contents after writes elsewhere`, attr)
  }

  #see(path: string, attr: Attr): void {
    const shown = path === "" ? "/" : path
    const type = attr.mode >>> 12
    this.#note(`${shown}: attributes`, () => this.#fs.getattr(this.#request(attr.ino)), describeAttr)
    this.#attributes(shown, attr.ino)
    if (type === 4) this.#directory(path, attr.ino)
    if (type === 8) this.#contents(shown, attr)
    const target = (): Result<Uint8Array> => this.#fs.readlink(this.#request(attr.ino))
    if (type === 10) this.#note(`${shown}: target`, target, (bytes) => Buffer.from(bytes).toString("latin1"))
  }

  #attributes(path: string, ino: NodeId): void {
    const list = (): Result<Uint8Array> => this.#fs.listxattr(this.#request(ino))
    const split = (bytes: Uint8Array): string[] =>
      Buffer.from(bytes).toString("latin1").split("\0").slice(0, -1)
    const listed = this.#note(`${path}: attribute names`, list, (bytes) => split(bytes).join(" "))
    const known = (this.#expected.get(`${path}: attribute names`) ?? "").split(" ").filter(Boolean)
    for (const name of new Set([...(listed === undefined ? [] : split(listed)), ...known, "user.none"])) {
      const get = (): Result<Uint8Array> => this.#fs.getxattr(this.#request(ino), Buffer.from(name, "latin1"))
      this.#note(`${path}: attribute ${name}`, get, (bytes) => Buffer.from(bytes).toString("hex"))
    }
  }

  #contents(path: string, attr: Attr): void {
    this.#files.set(path, attr)
    this.#read(`${path}: contents`, attr)
    this.#parts(path, attr.ino)
  }

  #read(what: string, attr: Attr): void {
    const digest = createHash("sha1")
    const read = (): Result<{ bytes: number }> => {
      const size = Math.min(attr.size, MOST_BYTES)
      for (let offset = 0; offset < size; offset += CHUNK) {
        this.#reply.reset()
        const start = this.#reply.start
        this.#reply.buffer.fill(0xee, start)
        const status = this.#fs.read(
          this.#request(attr.ino),
          { offset, size: CHUNK, keepsAtime: true },
          this.#reply,
        )
        if (isErrno(status)) return status
        digest.update(this.#reply.buffer.subarray(start, this.#reply.start))
      }
      return { bytes: size }
    }
    this.#note(what, read, ({ bytes }) => `${bytes} ${digest.digest("hex")}`)
  }

  /** Each part by itself: an answer for one must not depend on what was read before it. */
  #parts(path: string, ino: NodeId): void {
    const places: number[] = []
    const walk = (): Result<{ places: number[] }> => {
      for (let at = 0; places.length < 64;) {
        const whence = places.length % 2 === 0 ? SEEK_DATA : SEEK_HOLE
        const found = this.#fs.lseek(this.#request(ino), at, whence)
        if (isErrno(found)) return errnoName(found) === "ENXIO" ? { places } : found
        places.push(found.offset)
        at = found.offset
      }
      return { places }
    }
    this.#note(`${path}: data and holes`, walk, (all) => all.places.join(" "))
  }

  #directory(path: string, ino: NodeId): void {
    const shown = path === "" ? "/" : path
    const listed = this.#note(
      `${shown}: names`,
      () => this.#names(ino),
      ({ entries }) =>
        entries
          .map(([name, to, type]) => `${name}=${to}/${type}`)
          .sort()
          .join(" "),
    )
    const known = [...this.#expected.keys()].flatMap((key) => childOf(path, key))
    // Listings of the root leave the snapshots out.
    const hidden = path === "" ? [SNAPSHOTS] : []
    const names = new Set([...(listed?.entries ?? []).map(([name]) => name), ...known, ...hidden])
    for (const name of names) {
      const find = (): Result<Attr> => this.#lookup(ino, name)
      const child = this.#note(`${path}/${name}: lookup`, find, (attr) => String(attr.ino))
      // A directory that holds itself: nothing that a listing shows could be right.
      if (child !== undefined && path.split("/").length < 8) this.#see(`${path}/${name}`, child)
    }
    const none = (): Result<Attr> => this.#lookup(ino, "no such name")
    this.#note(`${shown}: a missing name`, none, (attr) => String(attr.ino))
  }

  #lookup(directory: NodeId, name: string): Result<Attr> {
    const found = this.#fs.lookup(this.#request(directory), Buffer.from(name, "latin1"))
    if (found === LATER) throw new Error("the answer comes later")
    return found
  }

  #names(ino: NodeId): Result<{ entries: [name: string, ino: number, type: number][] }> {
    const entries: [string, number, number][] = []
    for (let cookie = 0; ;) {
      this.#reply.reset()
      const start = this.#reply.start
      const packer = new DirentPacker(this.#reply, 4096, false, 1)
      const status = this.#fs.readdir(this.#request(ino), cookie, packer, true)
      if (isErrno(status)) return status
      const part = unpack(Buffer.from(this.#reply.buffer.subarray(start, this.#reply.start)), false)
      if (part.length === 0) return { entries }
      for (const { name, ino: to, type } of part)
        if (name !== "." && name !== "..") entries.push([name, to, type])
      cookie = part.at(-1)?.cookie ?? 0
      if (entries.length > 1000) throw new Error("a listing without end")
    }
  }
}

/** The name in directory `path` that a key speaks of. */
function childOf(path: string, key: string): string[] {
  const at = key.indexOf(": lookup")
  if (at < 0 || !key.startsWith(`${path}/`)) return []
  const name = key.slice(path.length + 1, at)
  return name === "" || name.includes("/") ? [] : [name]
}

/** All of stat(2) but the access time, which a crash may lose. */
function describeAttr(attr: Attr): string {
  const { ino, size, blocks, mode, nlink, uid, gid, rdev } = attr
  const times = [attr.mtime, attr.mtimeNanos, attr.ctime, attr.ctimeNanos, attr.btime, attr.btimeNanos]
  return [ino, size, blocks, mode, nlink, uid, gid, rdev, ...times].join(" ")
}
