/** A filesystem in memory: nodes, names and the walk along a path, with the rules of Linux for the super-user. */
import { E, type Timestamp } from "../helpers/sys.ts"
import type { Facts } from "./outcome.ts"
import type { Random } from "./random.ts"
import type { LockKind, Slot } from "./tree-ops.ts"

export type Kind = "file" | "dir" | "symlink" | "fifo" | "socket" | "char"

export interface Node {
  readonly id: number
  readonly kind: Kind
  perm: number
  uid: number
  gid: number
  nlink: number
  /** Of a file. */
  data: Buffer
  /** Of a directory. */
  readonly entries: Map<string, Node>
  parent: Node | undefined
  /** Of a symlink. */
  readonly target: string
  readonly device: string | undefined
  readonly xattrs: Map<string, Buffer>
  /** Only as long as nothing but utimes decided it. */
  atime: Timestamp | undefined
  mtime: Timestamp | undefined
  /** Slots that refer to it. */
  opens: number
  readonly locks: Map<LockKind, Slot>
}

/** Where a path leads: its last name in its directory, and what is there. */
export interface Place {
  readonly directory: Node
  readonly name: string
  readonly node: Node | undefined
}

const maxSymlinks = 40
const maxName = 255

export const isErrno = (value: unknown): value is number => typeof value === "number"

export class Tree {
  readonly root: Node
  readonly #byId = new Map<number, Node>()
  #nextId = 1

  constructor(rootPerm: number) {
    // the root is an entry of a directory, so that a symlink may lead one step out of it
    const above = this.create("dir", 0o755)
    this.root = this.create("dir", rootPerm)
    this.enter(above, "root", this.root)
  }

  create(kind: Kind, perm: number, details: { target?: string; device?: string } = {}): Node {
    const node: Node = {
      id: this.#nextId++,
      kind,
      perm,
      uid: 0,
      gid: 0,
      nlink: kind === "dir" ? 2 : 1,
      data: Buffer.alloc(0),
      entries: new Map(),
      parent: undefined,
      target: details.target ?? "",
      device: details.device,
      xattrs: new Map(),
      atime: undefined,
      mtime: undefined,
      opens: 0,
      locks: new Map(),
    }
    this.#byId.set(node.id, node)
    return node
  }

  /** Creates a node under a name: the directory's set-group-id bit gives it the group. */
  createIn(directory: Node, name: string, kind: Kind, perm: number, details = {}): Node {
    const node = this.create(kind, perm, details)
    if ((directory.perm & 0o2000) !== 0) {
      node.gid = directory.gid
      if (kind === "dir") node.perm |= 0o2000
    }
    this.enter(directory, name, node)
    return node
  }

  isAlive = (id: number): boolean => {
    const node = this.#byId.get(id)
    return node !== undefined && (node.nlink > 0 || node.opens > 0)
  }

  /** Forgets what nothing refers to. */
  release(node: Node): void {
    if (!this.isAlive(node.id)) this.#byId.delete(node.id)
  }

  enter(directory: Node, name: string, node: Node): void {
    directory.entries.set(name, node)
    directory.mtime = undefined
    if (node.kind !== "dir") return
    directory.nlink += 1
    node.parent = directory
  }

  /** Takes a name away; the node's own link count is the caller's affair. */
  leave(directory: Node, name: string): void {
    if (directory.entries.get(name)?.kind === "dir") directory.nlink -= 1
    directory.entries.delete(name)
    directory.mtime = undefined
  }

  walk(path: string, follow: boolean, start = this.root): Place | number {
    const left = path.split("/")
    let directory = start
    for (let symlinks = 0; ;) {
      const name = left.shift() ?? ""
      if (name === "..") {
        directory = directory.parent ?? directory
        continue
      }
      if (name.length > maxName) return E.ENAMETOOLONG
      const node = directory.entries.get(name)
      const isLast = left.length === 0
      if (node?.kind === "symlink" && (follow || !isLast)) {
        symlinks += 1
        if (symlinks > maxSymlinks) return E.ELOOP
        node.atime = undefined
        left.unshift(...node.target.split("/"))
        continue
      }
      if (isLast) return { directory, name, node }
      if (node === undefined) return E.ENOENT
      if (node.kind !== "dir") return E.ENOTDIR
      directory = node
    }
  }

  /** The node at a path, or the errno that a lookup ends with. */
  find(path: string, follow: boolean): Node | number {
    if (path === "") return this.root
    const place = this.walk(path, follow)
    if (isErrno(place)) return place
    return place.node ?? E.ENOENT
  }

  /** Is the node the directory itself or above it? */
  isAbove(node: Node, directory: Node): boolean {
    for (let each: Node | undefined = directory; each !== undefined; each = each.parent)
      if (each === node) return true
    return false
  }

  get size(): number {
    return this.#byId.size
  }

  /** Something without entries. */
  someLeaf(random: Random): { readonly path: string; readonly node: Node } {
    const parts: string[] = []
    let node = this.root
    while (node.entries.size > 0) {
      const [name, child] = random.pick([...node.entries])
      parts.push(name)
      node = child
    }
    return { path: parts.join("/"), node }
  }

  /** The path of something that exists, or "" for the root. */
  somePath(random: Random, stopChance: number, directoriesOnly = false): string {
    const parts: string[] = []
    let node = this.root
    while (parts.length < 5) {
      const entries = [...node.entries].filter(([, child]) => !directoriesOnly || child.kind === "dir")
      if (entries.length === 0 || (parts.length > 0 && random.chance(stopChance))) break
      if (directoriesOnly && random.chance(0.35)) break
      const [name, child] = random.pick(entries)
      parts.push(name)
      if (child.kind !== "dir") break
      node = child
    }
    return parts.join("/")
  }
}

export const facts = (node: Node): Facts => ({
  kind: node.kind,
  perm: node.perm,
  nlink: node.nlink,
  uid: node.uid,
  gid: node.gid,
  size: { file: node.data.length, symlink: node.target.length, dir: undefined, fifo: 0, socket: 0, char: 0 }[
    node.kind
  ],
  device: node.device,
  atime: node.kind === "file" ? node.atime : undefined,
  mtime: node.mtime,
  id: node.id,
})
