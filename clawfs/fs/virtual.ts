/**
 * Files that are not in the store: `.status` in the root, hidden from listings so that `find` and backups don't fall in.
 * Each lookup makes a node of its own with the text as it is then, so the kernel's page cache, which belongs to a node,
 * can never show an old one. A node lives until the kernel forgets it.
 */
import { FIRST_VIRTUAL_NODE, ROOT_NODE, type NodeId } from "../core/brand.ts"
import type { Attr, InHeader } from "../fuse/abi.ts"
import { S_IFREG } from "../store/inode.ts"
import { now } from "../sys/clock.ts"

export class VirtualFile implements Attr {
  readonly ino: NodeId
  readonly text: Buffer
  readonly size: number
  readonly mode = S_IFREG | 0o444
  readonly nlink = 1
  readonly uid = 0
  readonly gid = 0
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

  constructor(ino: NodeId, text: Buffer) {
    const { seconds, nanos } = now()
    this.ino = ino
    this.text = text
    this.size = text.length
    this.atime = this.mtime = this.ctime = this.btime = seconds
    this.atimeNanos = this.mtimeNanos = this.ctimeNanos = this.btimeNanos = nanos
  }
}

/** Makes the text of a virtual file, at the moment of its lookup. */
export type TextSource = () => string

export class VirtualFiles {
  readonly #sources: ReadonlyMap<string, TextSource>
  readonly #files = new Map<NodeId, VirtualFile>()
  #next: number

  /** `start` sets a new server's node ids apart from those of its predecessor, which the kernel may still hold. */
  constructor(sources: ReadonlyMap<string, TextSource>, start: number) {
    this.#sources = sources
    this.#next = FIRST_VIRTUAL_NODE + start
  }

  lookup(request: InHeader, name: Buffer): VirtualFile | undefined {
    if (request.node !== ROOT_NODE) return undefined
    const source = this.#sources.get(name.toString("latin1"))
    if (source === undefined) return undefined
    const file = new VirtualFile(this.#next as NodeId, Buffer.from(source()))
    this.#next += 1
    file.lookups = 1
    this.#files.set(file.ino, file)
    return file
  }

  get(node: NodeId): VirtualFile | undefined {
    return this.#files.get(node)
  }

  forget(node: NodeId, count: number): void {
    const file = this.#files.get(node)
    if (file === undefined) return
    file.lookups -= count
    if (file.lookups <= 0) this.#files.delete(node)
  }

  /** Whether `name` in the root is taken by a virtual file: nothing else may be made under it. */
  reserves(node: NodeId, name: Buffer): boolean {
    return node === ROOT_NODE && this.#sources.has(name.toString("latin1"))
  }
}
