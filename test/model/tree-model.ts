/** What each operation does to the tree in memory, and what a filesystem must answer. */
import { E, O, RENAME, S } from "../helpers/sys.ts"
import { done, error, type Outcome } from "./outcome.ts"
import { pattern } from "./random.ts"
import { accessOf, onBytes, onXattrs, put, resize, write, type Opened } from "./tree-bytes.ts"
import type { LockKind, Slot, Subject, TreeOperation } from "./tree-ops.ts"
import { facts, isErrno, Tree, type Kind, type Node, type Place } from "./tree.ts"

type Of<K extends TreeOperation["op"]> = Extract<TreeOperation, { op: K }>

/** The umask of every program that runs operations. */
export const umask = 0o027

const kinds: Record<number, Kind> = {
  [S.IFIFO]: "fifo",
  [S.IFSOCK]: "socket",
  [S.IFREG]: "file",
  [S.IFCHR]: "char",
}

export class TreeModel {
  readonly tree = new Tree(0o755)
  readonly #slots = new Map<Slot, Opened>()

  apply(operation: TreeOperation): Outcome {
    switch (operation.op) {
      case "open":
        return this.#open(operation)
      case "openIn":
      case "mkdirIn":
        return this.#createIn(operation)
      case "close":
        return this.#close(operation.slot)
      case "write":
      case "read":
      case "fallocate":
      case "seek":
      case "sync":
        return this.#onOpened(operation)
      case "append":
        return this.#withOpen(operation.path, O.WRONLY | O.APPEND, (it) =>
          write(it, 0, pattern(operation.seed, operation.length)),
        )
      case "truncate":
        return this.#truncate(operation)
      case "copy":
        return this.#copy(operation)
      case "mkdir":
      case "mknod":
      case "symlink":
        return this.#make(operation)
      case "link":
        return this.#link(operation)
      case "unlink":
      case "rmdir":
        return this.#remove(operation)
      case "rename":
        return this.#rename(operation)
      case "lock":
      case "tryLock":
        return this.#lock(operation)
      case "dropCaches":
        return done
      default:
        return this.#onNode(operation)
    }
  }

  /** Closes every descriptor. */
  closeAll(): void {
    for (const slot of [...this.#slots.keys()]) this.#close(slot)
  }

  /** Opens the way open(2) does; the kinds that cannot be kept open answer for themselves. */
  #opened(path: string, flags: number, perm = 0, start?: Node): Opened | Outcome {
    const isCreating = (flags & O.CREAT) !== 0
    const follow = (flags & O.NOFOLLOW) === 0 && !(isCreating && (flags & O.EXCL) !== 0)
    const place = this.tree.walk(path, follow, start)
    if (isErrno(place)) return error(place)
    if (place.node === undefined) {
      if (!isCreating || place.directory.nlink === 0) return error(E.ENOENT)
      const node = this.tree.createIn(place.directory, place.name, "file", perm & ~umask)
      return { node, flags }
    }
    const refused = refusal(place.node, flags)
    if (refused !== undefined) return refused
    if ((flags & O.TRUNC) !== 0 && place.node.kind === "file") resize(place.node, 0)
    return { node: place.node, flags }
  }

  #withOpen(path: string, flags: number, use: (opened: Opened) => Outcome): Outcome {
    const opened = this.#opened(path, flags)
    return "is" in opened ? opened : use(opened)
  }

  #open({ path, flags, perm, slot }: Of<"open">): Outcome {
    const opened = this.#opened(path, flags, perm)
    if ("is" in opened) return opened
    if (slot === undefined || (opened.node.kind !== "file" && opened.node.kind !== "dir")) return done
    this.#close(slot)
    opened.node.opens += 1
    this.#slots.set(slot, opened)
    return done
  }

  #createIn({ op, slot, name }: Of<"openIn" | "mkdirIn">): Outcome {
    const opened = this.#slots.get(slot)
    if (opened === undefined) return error(E.EBADF)
    if (opened.node.kind !== "dir") return error(E.ENOTDIR)
    if (op === "mkdirIn") return this.#make({ op: "mkdir", path: name, perm: 0o777 }, opened.node)
    const file = this.#opened(name, O.RDWR | O.CREAT, 0o666, opened.node)
    return "is" in file ? file : done
  }

  #close(slot: Slot): Outcome {
    const opened = this.#slots.get(slot)
    if (opened === undefined) return error(E.EBADF)
    this.#slots.delete(slot)
    opened.node.opens -= 1
    for (const [kind, holder] of opened.node.locks) if (holder === slot) opened.node.locks.delete(kind)
    this.tree.release(opened.node)
    return done
  }

  #onOpened(operation: Of<"write" | "read" | "fallocate" | "seek" | "sync">): Outcome {
    const access = operation.op === "write" || operation.op === "fallocate" ? O.WRONLY : O.RDONLY
    const act = (opened: Opened) => onBytes(opened, operation)
    if ("path" in operation) return this.#withOpen(operation.path, access, act)
    const opened = this.#slots.get(operation.slot)
    return opened === undefined ? error(E.EBADF) : act(opened)
  }

  #truncate(operation: Of<"truncate">): Outcome {
    if ("slot" in operation) {
      const opened = this.#slots.get(operation.slot)
      if (opened === undefined) return error(E.EBADF)
      if (accessOf(opened.flags) === O.RDONLY) return error(E.EINVAL)
      resize(opened.node, operation.size)
      return done
    }
    const node = this.tree.find(operation.path, true)
    if (isErrno(node)) return error(node)
    if (node.kind === "dir") return error(E.EISDIR)
    if (node.kind !== "file") return error(E.EINVAL)
    resize(node, operation.size)
    return done
  }

  #copy({ path, to, at, toAt, length }: Of<"copy">): Outcome {
    return this.#withOpen(path, O.RDONLY, (from) => {
      // a fifo that has a reader can be opened for writing
      if (from.node.kind === "fifo" && this.tree.find(to, true) === from.node) return error(E.EINVAL)
      return this.#withOpen(to, O.WRONLY, ({ node }) => {
        if (from.node.kind === "dir") return error(E.EISDIR)
        if (from.node.kind !== "file" || node.kind !== "file") return error(E.EINVAL)
        const count = Math.min(length, Math.max(from.node.data.length - at, 0))
        if (from.node === node && toAt + count > at && toAt < at + count) return error(E.EINVAL)
        if (count > 0) put(node, toAt, Buffer.from(from.node.data.subarray(at, at + count)))
        from.node.atime = undefined
        return { is: "done", count }
      })
    })
  }

  #make(operation: Of<"mkdir" | "mknod" | "symlink">, start?: Node): Outcome {
    const place = this.tree.walk(operation.path, false, start)
    if (isErrno(place)) return error(place)
    const { directory, name, node } = place
    if (node !== undefined) return error(E.EEXIST)
    if (directory.nlink === 0) return error(E.ENOENT)
    switch (operation.op) {
      case "mkdir":
        this.tree.createIn(directory, name, "dir", operation.perm & ~umask)
        return done
      case "symlink":
        this.tree.createIn(directory, name, "symlink", 0o777, { target: operation.target })
        return done
      case "mknod": {
        const kind = kinds[operation.mode & S.IFMT] ?? "file"
        const device = kind === "char" ? { device: `${operation.device >> 8}:${operation.device & 255}` } : {}
        this.tree.createIn(directory, name, kind, operation.mode & 0o777 & ~umask, device)
        return done
      }
    }
  }

  #link({ path, to }: Of<"link">): Outcome {
    const node = this.tree.find(path, false)
    if (isErrno(node)) return error(node)
    const place = this.tree.walk(to, false)
    if (isErrno(place)) return error(place)
    if (place.node !== undefined) return error(E.EEXIST)
    if (node.kind === "dir") return error(E.EPERM)
    node.nlink += 1
    this.tree.enter(place.directory, place.name, node)
    return done
  }

  #remove({ op, path }: Of<"unlink" | "rmdir">): Outcome {
    const place = this.tree.walk(path, false)
    if (isErrno(place)) return error(place)
    const { directory, name, node } = place
    if (node === undefined) return error(E.ENOENT)
    if (op === "unlink" && node.kind === "dir") return error(E.EISDIR)
    if (op === "rmdir" && node.kind !== "dir") return error(E.ENOTDIR)
    if (node.entries.size > 0) return error(E.ENOTEMPTY)
    this.tree.leave(directory, name)
    this.#unlinked(node)
    return done
  }

  #unlinked(node: Node): void {
    node.nlink = node.kind === "dir" ? 0 : node.nlink - 1
    node.mtime = node.kind === "dir" ? undefined : node.mtime
    this.tree.release(node)
  }

  /** In the order in which the kernel checks. */
  #rename({ path, to, flags }: Of<"rename">): Outcome {
    const isExchange = (flags & RENAME.EXCHANGE) !== 0
    if (isExchange && flags !== RENAME.EXCHANGE) return error(E.EINVAL)
    const [from, onto] = [this.tree.walk(path, false), this.tree.walk(to, false)]
    // both directories are found before either last name is looked at
    const badDirectory = this.#parentErrno(path) ?? this.#parentErrno(to)
    if (badDirectory !== undefined) return error(badDirectory)
    if (isErrno(from)) return error(from)
    if (from.node === undefined) return error(E.ENOENT)
    if (isErrno(onto)) return error(onto)
    if (onto.node !== undefined && flags === RENAME.NOREPLACE) return error(E.EEXIST)
    if (onto.node === undefined && isExchange) return error(E.ENOENT)
    if (from.directory !== onto.directory) {
      if (this.tree.isAbove(from.node, onto.directory)) return error(E.EINVAL)
      if (onto.node !== undefined && this.tree.isAbove(onto.node, from.directory)) {
        return error(isExchange ? E.EINVAL : E.ENOTEMPTY)
      }
    }
    if (from.node === onto.node) return done
    const moved = { ...from, node: from.node }
    if (isExchange && onto.node !== undefined) return this.#exchange(moved, { ...onto, node: onto.node })
    return this.#move(moved, onto, flags)
  }

  #parentErrno(path: string): number | undefined {
    const slash = path.lastIndexOf("/")
    if (slash < 0) return undefined
    const parent = this.tree.find(path.slice(0, slash), true)
    if (isErrno(parent)) return parent
    return parent.kind === "dir" ? undefined : E.ENOTDIR
  }

  #exchange(from: Existing, onto: Existing): Outcome {
    this.tree.leave(from.directory, from.name)
    this.tree.leave(onto.directory, onto.name)
    this.tree.enter(from.directory, from.name, onto.node)
    this.tree.enter(onto.directory, onto.name, from.node)
    return done
  }

  #move(from: Existing, onto: Place, flags: number): Outcome {
    const { node } = from
    // ext4 makes the whiteout first, and takes it back when the rename fails
    if ((flags & RENAME.WHITEOUT) !== 0) from.directory.mtime = undefined
    if (onto.node !== undefined) {
      if (node.kind === "dir" && onto.node.kind !== "dir") return error(E.ENOTDIR)
      if (node.kind !== "dir" && onto.node.kind === "dir") return error(E.EISDIR)
      if (onto.node.entries.size > 0) return error(E.ENOTEMPTY)
      this.tree.leave(onto.directory, onto.name)
      this.#unlinked(onto.node)
    }
    this.tree.leave(from.directory, from.name)
    this.tree.enter(onto.directory, onto.name, node)
    if ((flags & RENAME.WHITEOUT) !== 0) {
      this.tree.createIn(from.directory, from.name, "char", 0, { device: "0:0" })
    }
    return done
  }

  #subject(subject: Subject, follow: boolean): Node | number {
    if ("path" in subject) return this.tree.find(subject.path, follow)
    return this.#slots.get(subject.slot)?.node ?? E.EBADF
  }

  #lock(operation: Of<"lock" | "tryLock">): Outcome {
    const { kind } = operation
    if (operation.op === "tryLock") {
      return this.#withOpen(operation.path, kind === "range" ? O.RDWR : O.RDONLY, ({ node }) =>
        node.locks.has(kind) ? error(E.EAGAIN) : done,
      )
    }
    const opened = this.#slots.get(operation.slot)
    if (opened === undefined) return error(E.EBADF)
    if (kind === "range" && accessOf(opened.flags) === O.RDONLY) return error(E.EBADF)
    return takeLock(opened.node, kind, operation.slot)
  }

  #onNode(
    operation: Of<
      | "chmod"
      | "chown"
      | "utimes"
      | "setxattr"
      | "getxattr"
      | "listxattr"
      | "removexattr"
      | "readlink"
      | "readdir"
      | "stat"
    >,
  ): Outcome {
    const follow = operation.op === "chmod" || (operation.op === "stat" && operation.follow)
    const node = this.#subject(operation, operation.op === "readdir" || follow)
    if (isErrno(node)) return error(node)
    switch (operation.op) {
      case "chmod":
        node.perm = operation.perm
        return done
      case "chown":
        return chown(node, operation.uid, operation.gid)
      case "utimes":
        node.atime = operation.atime ?? node.atime
        node.mtime = operation.mtime ?? node.mtime
        return done
      case "readlink":
        return node.kind === "symlink" ? { is: "text", text: node.target } : error(E.EINVAL)
      case "stat":
        return { is: "facts", facts: facts(node) }
      case "readdir":
        return list(node)
      default:
        return onXattrs(node, operation)
    }
  }
}

type Existing = Place & { readonly node: Node }

/** What open(2) answers for what cannot be opened so. */
function refusal(node: Node, flags: number): Outcome | undefined {
  const isCreating = (flags & O.CREAT) !== 0
  if (isCreating && (flags & O.EXCL) !== 0) return error(E.EEXIST)
  const wantsWrite = accessOf(flags) !== O.RDONLY
  switch (node.kind) {
    case "symlink":
      return error((flags & O.DIRECTORY) === 0 ? E.ELOOP : E.ENOTDIR)
    case "dir":
      return isCreating || wantsWrite ? error(E.EISDIR) : undefined
    case "file":
      return (flags & O.DIRECTORY) === 0 ? undefined : error(E.ENOTDIR)
    case "fifo":
      if ((flags & O.DIRECTORY) !== 0) return error(E.ENOTDIR)
      return accessOf(flags) === O.WRONLY ? error(E.ENXIO) : undefined
    case "socket":
      return error((flags & O.DIRECTORY) === 0 ? E.ENXIO : E.ENOTDIR)
    case "char":
      // a mount without devices says EACCES
      return (flags & O.DIRECTORY) === 0 ? error(E.ENXIO, E.EACCES) : error(E.ENOTDIR)
  }
}

function takeLock(node: Node, kind: LockKind, slot: Slot): Outcome {
  const holder = node.locks.get(kind)
  if (holder !== undefined && holder !== slot) return error(E.EAGAIN)
  node.locks.set(kind, slot)
  return done
}

/** Also without a new owner, chown takes the set-id bits of everything but directories. */
function chown(node: Node, uid: number, gid: number): Outcome {
  if (uid >= 0) node.uid = uid
  if (gid >= 0) node.gid = gid
  if (node.kind !== "dir" && node.kind !== "symlink") {
    node.perm &= ~0o4000
    if ((node.perm & 0o010) !== 0) node.perm &= ~0o2000
  }
  return done
}

function list(node: Node): Outcome {
  if (node.kind !== "dir") return error(E.ENOTDIR)
  if (node.nlink === 0) return error(E.ENOENT)
  return { is: "listing", entries: [...node.entries].map(([name, { kind, id }]) => ({ name, kind, id })) }
}
