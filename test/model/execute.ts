/** Runs the operations of the tree model on a real directory by system calls. */
import { fuseMountOf } from "../helpers/mountinfo.ts"
import * as sys from "../helpers/sys.ts"
import { O, S, type Entry, type Stat } from "../helpers/sys.ts"
import { done, error, type Facts, type Outcome } from "./outcome.ts"
import { pattern } from "./random.ts"
import { flockExclusive, type LockKind, type Slot, type Subject, type TreeOperation } from "./tree-ops.ts"

type Of<K extends TreeOperation["op"]> = Extract<TreeOperation, { op: K }>

const kinds: Record<number, string> = {
  [S.IFREG]: "file",
  [S.IFDIR]: "dir",
  [S.IFLNK]: "symlink",
  [S.IFIFO]: "fifo",
  [S.IFSOCK]: "socket",
  [S.IFCHR]: "char",
  [S.IFBLK]: "block",
}

export const factsOf = (stat: Stat): Facts => {
  const kind = kinds[stat.mode & S.IFMT] ?? "?"
  return {
    kind,
    perm: stat.mode & 0o7777,
    nlink: stat.nlink,
    uid: stat.uid,
    gid: stat.gid,
    size: stat.size,
    device: kind === "char" || kind === "block" ? `${stat.rdevMajor}:${stat.rdevMinor}` : undefined,
    atime: stat.atime,
    mtime: stat.mtime,
    id: stat.ino,
  }
}

/** A listing without `.` and `..`, which must be there once each. */
export function listed(entries: readonly Entry[]): Outcome {
  const dots = entries.filter(({ name }) => name === "." || name === "..")
  const isWhole = dots.length === 2 && dots[0]?.name !== dots[1]?.name
  const shown = isWhole ? entries.filter((entry) => !dots.includes(entry)) : entries
  return {
    is: "listing",
    entries: shown.map(({ name, type, ino }) => ({ name, kind: kinds[type << 12] ?? "?", id: ino })),
  }
}

const result = (value: number): Outcome => (value < 0 ? error(value) : done)
const counted = (value: number): Outcome => (value < 0 ? error(value) : { is: "done", count: value })

export class Executor {
  readonly #root: string
  readonly #mountpoint: string | undefined
  readonly #slots = new Map<Slot, number>()

  constructor(root: string) {
    this.#root = root
    this.#mountpoint = fuseMountOf(root)
  }

  run(operation: TreeOperation): Outcome {
    switch (operation.op) {
      case "open":
        return this.#open(operation)
      case "openIn":
        return this.#openIn(operation)
      case "mkdirIn":
        return this.#withSlot(operation.slot, (fd) => result(sys.mkdirat(fd, operation.name)))
      case "close":
        return this.#close(operation.slot)
      case "write":
      case "append":
      case "read":
      case "truncate":
      case "fallocate":
      case "seek":
      case "copy":
      case "sync":
        return this.#onBytes(operation)
      case "mkdir":
      case "mknod":
      case "symlink":
      case "link":
      case "unlink":
      case "rmdir":
      case "rename":
        return this.#onNames(operation)
      case "setxattr":
      case "getxattr":
      case "listxattr":
      case "removexattr":
        return this.#onXattrs(operation)
      case "dropCaches":
        return this.#mountpoint === undefined ? done : result(sys.dropCaches(this.#mountpoint))
      default:
        return this.#onAttributes(operation)
    }
  }

  closeAll(): void {
    for (const slot of [...this.#slots.keys()]) this.#close(slot)
  }

  #path(relative: string): string {
    return relative === "" ? this.#root : `${this.#root}/${relative}`
  }

  #withSlot(slot: Slot, use: (fd: number) => Outcome): Outcome {
    const fd = this.#slots.get(slot)
    return fd === undefined ? error(sys.E.EBADF) : use(fd)
  }

  #withOpen(path: string, flags: number, use: (fd: number) => Outcome): Outcome {
    const fd = sys.open(this.#path(path), flags | O.NONBLOCK)
    if (fd < 0) return error(fd)
    const outcome = use(fd)
    sys.close(fd)
    return outcome
  }

  #with(subject: Subject, flags: number, use: (fd: number) => Outcome): Outcome {
    return "slot" in subject ? this.#withSlot(subject.slot, use) : this.#withOpen(subject.path, flags, use)
  }

  #open({ path, flags, perm, slot }: Of<"open">): Outcome {
    const fd = sys.open(this.#path(path), flags | O.NONBLOCK, perm)
    if (fd < 0) return error(fd)
    const stat = sys.fstat(fd)
    const kind = typeof stat === "number" ? "?" : factsOf(stat).kind
    if (slot === undefined || (kind !== "file" && kind !== "dir")) return result(sys.close(fd))
    if (this.#slots.has(slot)) this.#close(slot)
    this.#slots.set(slot, fd)
    return done
  }

  #openIn({ slot, name }: Of<"openIn">): Outcome {
    return this.#withSlot(slot, (dir) => {
      const fd = sys.openat(dir, name, O.RDWR | O.CREAT | O.NONBLOCK)
      return fd < 0 ? error(fd) : result(sys.close(fd))
    })
  }

  #close(slot: Slot): Outcome {
    return this.#withSlot(slot, (fd) => {
      this.#slots.delete(slot)
      return result(sys.close(fd))
    })
  }

  #onBytes(
    operation: Of<"write" | "append" | "read" | "truncate" | "fallocate" | "seek" | "copy" | "sync">,
  ): Outcome {
    switch (operation.op) {
      case "write": {
        const data = pattern(operation.seed, operation.length)
        return this.#with(operation, O.WRONLY, (fd) => counted(sys.pwrite(fd, data, operation.at)))
      }
      case "append": {
        const data = pattern(operation.seed, operation.length)
        return this.#withOpen(operation.path, O.WRONLY | O.APPEND, (fd) => counted(sys.write(fd, data)))
      }
      case "read":
        return this.#with(operation, O.RDONLY, (fd) => {
          const buffer = Buffer.alloc(operation.length)
          const got = sys.pread(fd, buffer, operation.at)
          return got < 0 ? error(got) : { is: "bytes", bytes: buffer.subarray(0, got) }
        })
      case "truncate":
        if ("path" in operation) return result(sys.truncate(this.#path(operation.path), operation.size))
        return this.#withSlot(operation.slot, (fd) => result(sys.ftruncate(fd, operation.size)))
      case "fallocate":
        return this.#with(operation, O.WRONLY, (fd) =>
          result(sys.fallocate(fd, operation.mode, operation.at, operation.length)),
        )
      case "seek":
        return this.#with(operation, O.RDONLY, (fd) => seek(fd, operation.at))
      case "copy":
        return this.#withOpen(operation.path, O.RDONLY, (from) =>
          this.#withOpen(operation.to, O.WRONLY, (to) => copy(from, to, operation)),
        )
      case "sync":
        return this.#with(operation, O.RDONLY, (fd) => result(sys.fsync(fd)))
    }
  }

  #onNames(operation: Of<"mkdir" | "mknod" | "symlink" | "link" | "unlink" | "rmdir" | "rename">): Outcome {
    const path = this.#path(operation.path)
    switch (operation.op) {
      case "mkdir":
        return result(sys.mkdir(path, operation.perm))
      case "mknod":
        return result(sys.mknod(path, operation.mode, operation.device))
      case "symlink":
        return result(sys.symlink(operation.target, path))
      case "link":
        return result(sys.link(path, this.#path(operation.to)))
      case "unlink":
        return result(sys.unlink(path))
      case "rmdir":
        return result(sys.rmdir(path))
      case "rename":
        return result(sys.rename(path, this.#path(operation.to), operation.flags))
    }
  }

  #onXattrs(operation: Of<"setxattr" | "getxattr" | "listxattr" | "removexattr">): Outcome {
    const path = this.#path(operation.path)
    switch (operation.op) {
      case "setxattr":
        return result(
          sys.lsetxattr(path, operation.name, pattern(operation.seed, operation.length), operation.flags),
        )
      case "getxattr": {
        const value = sys.lgetxattr(path, operation.name, operation.capacity)
        return typeof value === "number" ? error(value) : { is: "bytes", bytes: value }
      }
      case "listxattr": {
        const names = sys.llistxattr(path)
        return typeof names === "number" ? error(names) : { is: "text", text: names.join(" ") }
      }
      case "removexattr":
        return result(sys.lremovexattr(path, operation.name))
    }
  }

  #onAttributes(
    operation: Of<"chmod" | "chown" | "utimes" | "readlink" | "readdir" | "stat" | "lock" | "tryLock">,
  ): Outcome {
    switch (operation.op) {
      case "chmod":
        if ("path" in operation) return result(sys.chmod(this.#path(operation.path), operation.perm))
        return this.#withSlot(operation.slot, (fd) => result(sys.fchmod(fd, operation.perm)))
      case "chown":
        return result(sys.lchown(this.#path(operation.path), operation.uid, operation.gid))
      case "utimes":
        return result(sys.utimens(this.#path(operation.path), operation.atime, operation.mtime))
      case "readlink": {
        const text = sys.readlink(this.#path(operation.path))
        return typeof text === "number" ? error(text) : { is: "text", text }
      }
      case "readdir":
        return this.#with(operation, O.RDONLY | O.DIRECTORY, (fd) => {
          const entries = sys.listDirectory(fd)
          return typeof entries === "number" ? error(entries) : listed(entries)
        })
      case "stat":
        return this.#stat(operation)
      case "lock":
        return this.#withSlot(operation.slot, (fd) => lock(fd, operation.kind))
      case "tryLock":
        return this.#withOpen(operation.path, operation.kind === "range" ? O.RDWR : O.RDONLY, (fd) =>
          lock(fd, operation.kind),
        )
    }
  }

  #stat(operation: Of<"stat">): Outcome {
    const show = (stat: Stat | number): Outcome =>
      typeof stat === "number" ? error(stat) : { is: "facts", facts: factsOf(stat) }
    if ("slot" in operation) return this.#withSlot(operation.slot, (fd) => show(sys.fstat(fd)))
    return show(
      operation.follow ? sys.stat(this.#path(operation.path)) : sys.lstat(this.#path(operation.path)),
    )
  }
}

const lock = (fd: number, kind: LockKind): Outcome =>
  result(kind === "flock" ? sys.flock(fd, flockExclusive) : sys.lockRange(fd, "write", 0, 10))

function seek(fd: number, at: number): Outcome {
  const stat = sys.fstat(fd)
  if (typeof stat === "number") return error(stat)
  // what lseek does on directories is the filesystem's own affair
  if ((stat.mode & S.IFMT) !== S.IFREG) return error(sys.E.EINVAL)
  return { is: "seek", data: sys.lseek(fd, at, sys.SEEK.DATA), hole: sys.lseek(fd, at, sys.SEEK.HOLE) }
}

/** A copy may stop early; it goes on until it is whole. Within one file the end moves, so that it is taken before. */
function copy(from: number, to: number, { at, toAt, length: wanted }: Of<"copy">): Outcome {
  const stat = sys.fstat(from)
  if (typeof stat === "number") return error(stat)
  const isFile = (stat.mode & S.IFMT) === S.IFREG
  const length = isFile ? Math.min(wanted, Math.max(stat.size - at, 0)) : wanted
  let count = 0
  while (count < length) {
    const got = sys.copyFileRange(from, at + count, to, toAt + count, length - count)
    if (got < 0) return error(got)
    if (got === 0) break
    count += got
  }
  return { is: "done", count }
}
