/** The operations of the tree model: plain data. Paths are relative to the root of the tree; bytes as latin1. */
import { FALLOC, LOCK, O, RENAME, S, XATTR, type Timestamp } from "../helpers/sys.ts"
import type { Random } from "./random.ts"
import { isErrno, type Node, type Tree } from "./tree.ts"

/** An open descriptor that outlives the operation: it may refer to what was unlinked. */
export type Slot = 0 | 1 | 2 | 3

/** A file by its path, or by a descriptor. */
export type Subject = { readonly path: string } | { readonly slot: Slot }

export type TreeOperation =
  | {
      readonly op: "open"
      readonly path: string
      readonly flags: number
      readonly perm: number
      readonly slot?: Slot
    }
  | { readonly op: "openIn"; readonly slot: Slot; readonly name: string }
  | { readonly op: "mkdirIn"; readonly slot: Slot; readonly name: string }
  | { readonly op: "close"; readonly slot: Slot }
  | ({ readonly op: "write"; readonly at: number; readonly length: number; readonly seed: number } & Subject)
  | { readonly op: "append"; readonly path: string; readonly length: number; readonly seed: number }
  | ({ readonly op: "read"; readonly at: number; readonly length: number } & Subject)
  | ({ readonly op: "truncate"; readonly size: number } & Subject)
  | ({
      readonly op: "fallocate"
      readonly mode: number
      readonly at: number
      readonly length: number
    } & Subject)
  | ({ readonly op: "seek"; readonly at: number } & Subject)
  | {
      readonly op: "copy"
      readonly path: string
      readonly to: string
      readonly at: number
      readonly toAt: number
      readonly length: number
    }
  | ({ readonly op: "sync" } & Subject)
  | { readonly op: "mkdir"; readonly path: string; readonly perm: number }
  | { readonly op: "mknod"; readonly path: string; readonly mode: number; readonly device: number }
  | { readonly op: "symlink"; readonly target: string; readonly path: string }
  | { readonly op: "link"; readonly path: string; readonly to: string }
  | { readonly op: "unlink"; readonly path: string }
  | { readonly op: "rmdir"; readonly path: string }
  | { readonly op: "rename"; readonly path: string; readonly to: string; readonly flags: number }
  | ({ readonly op: "chmod"; readonly perm: number } & Subject)
  | { readonly op: "chown"; readonly path: string; readonly uid: number; readonly gid: number }
  | {
      readonly op: "utimes"
      readonly path: string
      readonly atime: Timestamp | null
      readonly mtime: Timestamp | null
    }
  | {
      readonly op: "setxattr"
      readonly path: string
      readonly name: string
      readonly length: number
      readonly seed: number
      readonly flags: number
    }
  | { readonly op: "getxattr"; readonly path: string; readonly name: string; readonly capacity: number }
  | { readonly op: "listxattr"; readonly path: string }
  | { readonly op: "removexattr"; readonly path: string; readonly name: string }
  | { readonly op: "readlink"; readonly path: string }
  | ({ readonly op: "readdir" } & Subject)
  | ({ readonly op: "stat"; readonly follow: boolean } & Subject)
  | { readonly op: "lock"; readonly slot: Slot; readonly kind: LockKind }
  | { readonly op: "tryLock"; readonly path: string; readonly kind: LockKind }
  | { readonly op: "dropCaches" }

/** flock(2), or an open file description lock of fcntl(2) on the first ten bytes. */
export type LockKind = "flock" | "range"

export const flockExclusive = LOCK.EX | LOCK.NB

/** How far a run goes. */
export interface Limits {
  readonly names: readonly string[]
  readonly fileSize: number
  readonly xattrSize: number
  /** With more entries than that, most operations remove one. */
  readonly entries: number
  /** Of a hundred operations so many make the kernel forget what it has cached. */
  readonly dropCaches: number
}

/** With five bytes more it is the longest name there is, with six one byte too long. */
const long = "n".repeat(250)
const names = ["a", "b", "c", "d", "e", "f", "caf\xc3\xa9", "\xff\xfe\x01", "sp ace"]

export const lockstepLimits: Limits = {
  names,
  fileSize: 300_000,
  xattrSize: 300,
  entries: 150,
  dropCaches: 2,
}
export const loadLimits: Limits = { names, fileSize: 300_000, xattrSize: 800, entries: 500, dropCaches: 0.3 }

const weights = {
  open: 14,
  openIn: 2,
  mkdirIn: 1,
  close: 2,
  write: 14,
  append: 5,
  read: 10,
  truncate: 5,
  fallocate: 4,
  seek: 2,
  copy: 4,
  sync: 2,
  mkdir: 5,
  mknod: 2,
  symlink: 3,
  link: 5,
  unlink: 6,
  rmdir: 5,
  rename: 12,
  chmod: 4,
  chown: 3,
  utimes: 3,
  setxattr: 5,
  getxattr: 3,
  listxattr: 2,
  removexattr: 2,
  readlink: 2,
  readdir: 5,
  stat: 10,
  lock: 1.5,
  tryLock: 1.5,
} as const

const creationModes = [0o777, 0o755, 0o644, 0o600, 0o700, 0o666]
// no sticky bit on directories that others may write: fs.protected_* of the kernel would step in
const changeModes = [0o755, 0o644, 0o600, 0o000, 0o4711, 0o2755, 0o2644, 0o1750, 0o6777]
const accessModes = [O.RDONLY, O.WRONLY, O.RDWR]
const openExtras = [0, 0, O.CREAT, O.CREAT, O.CREAT | O.EXCL, O.NOFOLLOW, O.DIRECTORY]
const writeExtras = [0, 0, O.TRUNC, O.APPEND]
const renameFlags = [
  0,
  0,
  0,
  RENAME.NOREPLACE,
  RENAME.EXCHANGE,
  RENAME.WHITEOUT,
  RENAME.NOREPLACE | RENAME.EXCHANGE,
]
const allocations = [0, 0, 1, FALLOC.PUNCH_HOLE | 1, FALLOC.ZERO_RANGE, FALLOC.ZERO_RANGE | 1]
const xattrNames = ["user.a", "user.b", "trusted.t", "security.test", "bogus.x"]
const xattrFlags = [0, 0, XATTR.CREATE, XATTR.REPLACE]
const nodeModes = [S.IFIFO | 0o644, S.IFSOCK | 0o600, S.IFREG | 0o640, S.IFCHR | 0o600]

const maxDepth = 10

const heightOf = (node: Node): number => 1 + Math.max(0, ...[...node.entries.values()].map(heightOf))

export class Generator {
  readonly #random: Random
  readonly #tree: Tree
  readonly #limits: Limits

  constructor(random: Random, tree: Tree, limits: Limits) {
    this.#random = random
    this.#tree = tree
    this.#limits = limits
  }

  next(): TreeOperation {
    const random = this.#random
    if (random.chance(this.#limits.dropCaches / 100)) return { op: "dropCaches" }
    if (this.#tree.size > this.#limits.entries && random.chance(0.6)) return this.#removal()
    const op = random.weighted(weights)
    switch (op) {
      case "open":
        return this.#open()
      case "openIn":
      case "mkdirIn":
        return { op, slot: this.#slot(), name: random.pick(["a", "b", "c"]) }
      case "close":
        return { op, slot: this.#slot() }
      case "write":
      case "append":
      case "read":
      case "truncate":
      case "fallocate":
      case "seek":
      case "copy":
      case "sync":
        return this.#onBytes(op)
      case "setxattr":
      case "getxattr":
      case "listxattr":
      case "removexattr":
        return this.#onXattrs(op)
      case "mkdir":
      case "mknod":
      case "symlink":
      case "link":
      case "unlink":
      case "rmdir":
      case "rename":
        return this.#onNames(op)
      default:
        return this.#onAttributes(op)
    }
  }

  #open(): TreeOperation {
    const random = this.#random
    const access = random.pick(accessModes)
    const flags = access | random.pick(openExtras) | (access === O.RDONLY ? 0 : random.pick(writeExtras))
    const path = (flags & O.CREAT) === 0 ? this.#filePath() : this.#newPath()
    const perm = random.pick(creationModes)
    return random.chance(0.4)
      ? { op: "open", path, flags, perm, slot: this.#slot() }
      : { op: "open", path, flags, perm }
  }

  #onBytes(
    op: "write" | "append" | "read" | "truncate" | "fallocate" | "seek" | "copy" | "sync",
  ): TreeOperation {
    const random = this.#random
    const at = this.#offset()
    const length = 1 + random.below(random.pick([60, 60, 5000, 20_000, 140_000]))
    const seed = random.below(1_000_000)
    switch (op) {
      case "write":
        return { op, ...this.#subject(this.#filePath()), at, length, seed }
      case "append":
        return { op, path: this.#filePath(), length, seed }
      case "read":
        return { op, ...this.#subject(this.#filePath()), at, length }
      case "truncate":
        return { op, ...this.#subject(this.#filePath()), size: at }
      case "fallocate":
        return { op, ...this.#subject(this.#filePath()), mode: random.pick(allocations), at, length }
      case "seek":
        return { op, ...this.#subject(this.#filePath()), at }
      case "copy":
        return {
          op,
          path: this.#filePath(),
          to: this.#filePath(),
          at: random.chance(0.5) ? 0 : at,
          toAt: this.#offset(),
          length,
        }
      case "sync":
        return { op, ...this.#subject(this.#filePath()) }
    }
  }

  #onXattrs(op: "setxattr" | "getxattr" | "listxattr" | "removexattr"): TreeOperation {
    const random = this.#random
    const path = this.#path()
    const name = random.pick(xattrNames)
    switch (op) {
      case "setxattr": {
        const length = random.below(random.pick([1, 20, this.#limits.xattrSize]))
        return { op, path, name, length, seed: random.below(1_000_000), flags: random.pick(xattrFlags) }
      }
      case "getxattr":
        return { op, path, name, capacity: random.chance(0.8) ? 65_536 : 5 }
      case "listxattr":
        return { op, path }
      case "removexattr":
        return { op, path, name }
    }
  }

  #onNames(op: "mkdir" | "mknod" | "symlink" | "link" | "unlink" | "rmdir" | "rename"): TreeOperation {
    const random = this.#random
    switch (op) {
      case "mkdir":
        return { op, path: this.#newPath(), perm: random.pick(creationModes) }
      case "mknod": {
        const mode = random.pick(nodeModes)
        const device = (mode & S.IFMT) === S.IFCHR ? 0xf0 * 256 + random.below(9) : 0
        return { op, path: this.#newPath(), mode, device }
      }
      case "symlink":
        return { op, target: this.#linkTarget(), path: this.#newPath() }
      case "link":
        return { op, path: this.#path(), to: this.#newPath() }
      case "unlink":
      case "rmdir":
        return { op, path: this.#path() }
      case "rename":
        return this.#rename()
    }
  }

  /** Not so deep that a whole path gets too long. */
  #rename(): TreeOperation {
    const flags = this.#random.pick(renameFlags)
    const path = this.#path()
    const to = this.#newPath()
    const node = this.#tree.find(path, false)
    const other = this.#tree.find(to, false)
    const height = Math.max(isErrno(node) ? 0 : heightOf(node), isErrno(other) ? 0 : heightOf(other))
    const isDeep = height + Math.max(path.split("/").length, to.split("/").length) > maxDepth
    return isDeep ? { op: "stat", path: to, follow: false } : { op: "rename", path, to, flags }
  }

  #removal(): TreeOperation {
    const { path, node } = this.#tree.someLeaf(this.#random)
    return { op: node.kind === "dir" ? "rmdir" : "unlink", path }
  }

  #onAttributes(
    op: "chmod" | "chown" | "utimes" | "readlink" | "readdir" | "stat" | "lock" | "tryLock",
  ): TreeOperation {
    const random = this.#random
    const kind: LockKind = random.chance(0.6) ? "flock" : "range"
    switch (op) {
      case "chmod":
        return { op, ...this.#subject(), perm: random.pick(changeModes) }
      case "chown":
        return { op, path: this.#path(), uid: random.pick([-1, 0, 1000]), gid: random.pick([-1, 0, 1000]) }
      case "utimes":
        // with neither of them the kernel does not even look at the path
        return {
          op,
          path: this.#path(),
          atime: random.chance(0.2) ? null : this.#time(),
          mtime: this.#time(),
        }
      case "readlink":
        return { op, path: this.#path() }
      case "readdir":
        return { op, ...this.#subject(this.#tree.somePath(random, 0.3)) }
      case "stat":
        return { op, ...this.#subject(), follow: random.chance(0.5) }
      case "lock":
        return { op, slot: this.#slot(), kind }
      case "tryLock":
        return { op, path: this.#path(), kind }
    }
  }

  #slot(): Slot {
    return this.#random.below(4) as Slot
  }

  #subject(path = this.#path()): Subject {
    return this.#random.chance(0.3) ? { slot: this.#slot() } : { path }
  }

  #offset(): number {
    const random = this.#random
    const unit = random.pick([0, 0, 4096, 16_384, 131_072])
    const near = random.chance(0.6)
      ? unit + random.pick([0, 0, -1, 1, random.below(500)])
      : random.below(this.#limits.fileSize)
    return Math.max(near, 0)
  }

  #time(): Timestamp {
    const random = this.#random
    const seconds =
      random.pick([0, 1, -1, -100_000, 1_500_000_000, 2_147_483_647, 4_000_000_000]) + random.below(3)
    return { seconds, nanoseconds: random.pick([0, 1, 999_999_999, random.below(1_000_000_000)]) }
  }

  #name(): string {
    const random = this.#random
    if (random.chance(0.02)) return random.chance(0.5) ? `${long}12345` : `${long}123456`
    return random.pick(this.#limits.names)
  }

  /** Mostly something that exists. */
  #path(): string {
    if (this.#random.chance(0.15)) return this.#blindPath()
    const path = this.#tree.somePath(this.#random, 0.6)
    return path === "" ? this.#name() : path
  }

  /** Mostly a file. */
  #filePath(): string {
    for (let i = 0; i < 4; i++) {
      const path = this.#tree.somePath(this.#random, 0)
      const node = this.#tree.find(path, true)
      if (!isErrno(node) && node.kind === "file") return path
    }
    return this.#path()
  }

  /** Mostly a free name in a directory that exists. */
  #newPath(): string {
    if (this.#random.chance(0.2)) return this.#path()
    const directory = this.#tree.somePath(this.#random, 0.1, true)
    return directory === "" ? this.#name() : `${directory}/${this.#name()}`
  }

  #blindPath(): string {
    const parts = [this.#name()]
    while (this.#random.chance(0.5) && parts.length < 4) parts.push(this.#name())
    return parts.join("/")
  }

  /** At most one step up, and never just that: what is created through it stays near the tree. */
  #linkTarget(): string {
    const random = this.#random
    const up = random.chance(0.3) ? "../" : ""
    return random.chance(0.7) ? `${up}${this.#name()}` : `${up}${this.#name()}/${this.#name()}`
  }
}
