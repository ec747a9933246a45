/**
 * What is not in the store: `.status` in the root and the directories of `.search`, hidden from listings so that `find` and
 * backups don't fall in. Nodes are made by lookups, so the kernel's page cache, which belongs to a node, can never show
 * something old. A node lives until the kernel forgets it.
 */
import { FIRST_VIRTUAL_NODE, ROOT_NODE, type NodeId } from "../core/brand.ts"
import type { Attr, InHeader } from "../fuse/abi.ts"
import { S_IFDIR, S_IFLNK, S_IFREG } from "../store/inode.ts"
import { now } from "../sys/clock.ts"

export interface Owner {
  readonly uid: number
  readonly gid: number
}

const NOBODYS: Owner = { uid: 0, gid: 0 }

export class VirtualNode implements Attr {
  readonly ino: NodeId
  readonly mode: number
  readonly size: number
  readonly uid: number
  readonly gid: number
  readonly nlink = 1
  readonly rdev = 0
  readonly blocks = 0
  readonly atime: number
  readonly mtime: number
  readonly ctime: number
  readonly btime: number
  readonly atimeNanos: number
  readonly mtimeNanos: number
  readonly ctimeNanos: number
  readonly btimeNanos: number
  lookups = 0

  constructor(ino: NodeId, mode: number, size: number, { uid, gid }: Owner = NOBODYS) {
    const { seconds, nanos } = now()
    this.ino = ino
    this.mode = mode
    this.size = size
    this.uid = uid
    this.gid = gid
    this.atime = this.mtime = this.ctime = this.btime = seconds
    this.atimeNanos = this.mtimeNanos = this.ctimeNanos = this.btimeNanos = nanos
  }
}

/** A file whose text is made once. */
export class VirtualFile extends VirtualNode {
  readonly text: Buffer

  constructor(ino: NodeId, text: Buffer, owner?: Owner, permissions = 0o444) {
    super(ino, S_IFREG | permissions, text.length, owner)
    this.text = text
  }
}

/** A symbolic link, with attributes to be read (xattr(7)). */
export class VirtualLink extends VirtualNode {
  readonly target: Buffer
  readonly attributes: ReadonlyMap<string, Buffer>

  constructor(ino: NodeId, target: Buffer, attributes: ReadonlyMap<string, Buffer>, owner: Owner) {
    super(ino, S_IFLNK | 0o777, target.length, owner)
    this.target = target
    this.attributes = attributes
  }
}

const DIRECTORY_SIZE = 4096

export class VirtualDirectory extends VirtualNode {
  constructor(ino: NodeId, permissions: number, owner?: Owner) {
    super(ino, S_IFDIR | permissions, DIRECTORY_SIZE, owner)
  }
}

/** Nodes that the kernel holds. */
export class VirtualNodes {
  readonly #nodes = new Map<NodeId, VirtualNode>()
  readonly #onForgotten: ((node: VirtualNode) => void)[] = []
  #next: number

  /** `start` sets a new server's node ids apart from those of its predecessor, which the kernel may still hold. */
  constructor(start: number) {
    this.#next = FIRST_VIRTUAL_NODE + start
  }

  /** A node is made with an id of its own. */
  make<N extends VirtualNode>(make: (ino: NodeId) => N): N {
    const node = make(this.#next as NodeId)
    this.#next += 1
    return node
  }

  /** A lookup has found the node. */
  give<N extends VirtualNode>(node: N): N {
    node.lookups += 1
    this.#nodes.set(node.ino, node)
    return node
  }

  get(ino: NodeId): VirtualNode | undefined {
    return this.#nodes.get(ino)
  }

  onForgotten(listener: (node: VirtualNode) => void): void {
    this.#onForgotten.push(listener)
  }

  forget(ino: NodeId, count: number): void {
    const node = this.#nodes.get(ino)
    if (node === undefined) return
    node.lookups -= count
    if (node.lookups > 0) return
    this.#nodes.delete(ino)
    for (const tell of this.#onForgotten) tell(node)
  }
}

/** Makes the text of a virtual file, at the moment of its lookup. */
export type TextSource = () => string

/** Files in the root, by their names. */
export class VirtualFiles {
  readonly #sources: ReadonlyMap<string, TextSource>
  readonly #nodes: VirtualNodes

  constructor(sources: ReadonlyMap<string, TextSource>, nodes: VirtualNodes) {
    this.#sources = sources
    this.#nodes = nodes
  }

  lookup(request: InHeader, name: Buffer): VirtualFile | undefined {
    if (request.node !== ROOT_NODE) return undefined
    const source = this.#sources.get(name.toString("latin1"))
    if (source === undefined) return undefined
    return this.#nodes.give(this.#nodes.make((ino) => new VirtualFile(ino, Buffer.from(source()))))
  }

  /** Whether `name` in the root is taken by a virtual file: nothing else may be made under it. */
  reserves(node: NodeId, name: Buffer): boolean {
    return node === ROOT_NODE && this.#sources.has(name.toString("latin1"))
  }
}
