/**
 * `.search` in every directory: `ls "D/.search/second supplier/"` shows the files below D that the words find, best first,
 * as links to them. A query's directory belongs to who asked, as it shows what that user may read; another user gets
 * another one. The search itself is done by another process: a request that needs its answer is put aside until it comes.
 */
import { present } from "../core/assert.ts"
import type { NodeId } from "../core/brand.ts"
import { E, OK, isErrno, type Errno, type Result, type Status } from "../core/errno.ts"
import type { InHeader } from "../fuse/abi.ts"
import type { DirentPacker } from "../fuse/dirent.ts"
import type { Stale } from "../fuse/notify.ts"
import { LATER } from "../fuse/operations.ts"
import type { Store } from "../store/store.ts"
import { VirtualDirectory, VirtualFile, VirtualLink, type VirtualNode, type VirtualNodes } from "./virtual.ts"

export const SEARCH = Buffer.from(".search")
/** The whole answer as JSON; hidden from the listing. */
const ANSWER = Buffer.from(".results.json")
const DOT = 0x2e
const SLASH = Buffer.from("/")
/** A query's directory answers so long for the same query again: `ls -l` resolves it once for every entry. */
const SAME_MS = 2000
/** ... and is forgotten then, unless somebody is in it. */
const FORGET_MS = 60_000
/** From `D/.search/QUERY/` to `D`. */
const UP = Buffer.from("../../")
const NAME_MAX = 255

/** A search that is wanted. */
export interface Wanted {
  /** Of the query's directory: names the search. */
  readonly node: number
  readonly query: string
  /** Path of the directory to search below, from the root, without a slash in front; "" for everything. */
  readonly below: Uint8Array
  /** Who asks; `pid` tells the further groups. */
  readonly uid: number
  readonly gid: number
  readonly pid: number
}

export interface FoundFile {
  /** From the root, without a slash in front. */
  readonly path: Uint8Array
  /** Shown as extended attributes of the link. */
  readonly attributes: Readonly<Record<string, string>>
}

/** What came of a search: files in their order and the whole answer as text, or why there is none. */
export type Found = { readonly files: readonly FoundFile[]; readonly answer: string } | Errno

/** Where searches begin: `D/.search`. */
class SearchRoot extends VirtualDirectory {
  readonly directory: NodeId

  constructor(ino: NodeId, directory: NodeId) {
    super(ino, 0o555)
    this.directory = directory
  }
}

class QueryDirectory extends VirtualDirectory {
  readonly root: SearchRoot
  readonly name: Buffer
  readonly key: string
  readonly madeMs = Date.now()
  isAsked = false
  found:
    { readonly entries: ReadonlyMap<string, VirtualNode>; readonly answer: VirtualFile } | Errno | undefined

  constructor(ino: NodeId, root: SearchRoot, name: Buffer, key: string, request: InHeader) {
    super(ino, 0o500, request)
    this.root = root
    this.name = Buffer.from(name)
    this.key = key
  }
}

export class SearchDirectories {
  readonly #store: Store
  readonly #nodes: VirtualNodes
  readonly #ask: (wanted: Wanted) => void
  readonly #roots = new Map<NodeId, SearchRoot>()
  readonly #queries = new Map<string, QueryDirectory>()
  /** The present request waits for this query. */
  #awaited: NodeId | undefined

  /** `ask` begins a search; `answer` is called with what came of it. */
  constructor(store: Store, nodes: VirtualNodes, ask: (wanted: Wanted) => void) {
    this.#store = store
    this.#nodes = nodes
    this.#ask = ask
    nodes.onForgotten((node) => this.#onForgotten(node))
  }

  #onForgotten(node: VirtualNode): void {
    if (node instanceof SearchRoot) this.#roots.delete(node.directory)
    if (node instanceof QueryDirectory && this.#queries.get(node.key) === node) this.#queries.delete(node.key)
  }

  /** Undefined: the name is not one of these. */
  lookup(request: InHeader, name: Buffer): Result<VirtualNode> | typeof LATER | undefined {
    const node = this.#nodes.get(request.node)
    if (node instanceof SearchRoot) return this.#query(node, request, name)
    if (node instanceof QueryDirectory) return this.#entry(node, request, name)
    if (node !== undefined || !name.equals(SEARCH)) return undefined
    return this.#root(request)
  }

  #root({ node }: InHeader): Result<VirtualNode> | undefined {
    const directory = this.#store.inodes.get(node)
    if (directory?.isDirectory !== true || this.#store.sealing.isEncrypted(directory)) return undefined
    // A file of this name that was there before goes first.
    if (this.#store.dentries.find(node, SEARCH) !== undefined) return undefined
    const root = this.#roots.get(node) ?? this.#nodes.make((ino) => new SearchRoot(ino, node))
    this.#roots.set(node, root)
    return this.#nodes.give(root)
  }

  #query(root: SearchRoot, request: InHeader, name: Buffer): Result<VirtualNode> {
    // What programs look for everywhere (`.git`, `.hidden`) is no question.
    if (name[0] === DOT) return E.ENOENT
    const { uid, gid } = request
    const key = `${root.directory} ${uid} ${gid} ${name.toString("latin1")}`
    const known = this.#queries.get(key)
    if (known !== undefined && Date.now() - known.madeMs < SAME_MS) return this.#nodes.give(known)
    const query = this.#nodes.make((ino) => new QueryDirectory(ino, root, name, key, request))
    this.#queries.set(key, query)
    return this.#nodes.give(query)
  }

  #entry(query: QueryDirectory, request: InHeader, name: Buffer): Result<VirtualNode> | typeof LATER {
    const found = this.#foundOf(query, request)
    if (found === LATER || isErrno(found)) return found
    if (name.equals(ANSWER)) return this.#nodes.give(found.answer)
    const entry = found.entries.get(name.toString("latin1"))
    return entry === undefined ? E.ENOENT : this.#nodes.give(entry)
  }

  /** What the query has found; begins the search if it has not begun yet. */
  #foundOf(
    query: QueryDirectory,
    { uid, gid, pid }: InHeader,
  ): Exclude<QueryDirectory["found"], undefined> | typeof LATER {
    if (query.found !== undefined) return query.found
    this.#awaited = query.ino
    if (query.isAsked) return LATER
    query.isAsked = true
    const below = Buffer.from(this.#store.subtrees.pathOf(query.root.directory)?.slice(1) ?? "")
    this.#ask({ node: query.ino, query: query.name.toString(), below, uid, gid, pid })
    return LATER
  }

  /** The query that the request which has just been handled waits for. */
  takeAwaited(): number | undefined {
    const awaited = this.#awaited
    this.#awaited = undefined
    return awaited
  }

  /** Directories of queries that nobody will ask for again: the kernel keeps them until it is told, or short of memory. */
  expired(): Stale["entries"] {
    const nowMs = Date.now()
    const old = [...this.#queries.values()].filter(({ madeMs }) => nowMs - madeMs > FORGET_MS)
    for (const { key } of old) this.#queries.delete(key)
    return old.map(({ root, name }) => ({ parent: root.ino, name }))
  }

  /** Whether nothing may be made under this name. */
  reserves(name: Buffer): boolean {
    return name.equals(SEARCH)
  }

  /** A search has ended. */
  answer(node: number, found: Found): void {
    const query = this.#nodes.get(node as NodeId)
    if (!(query instanceof QueryDirectory)) return
    if (isErrno(found)) {
      query.found = found
      // The next one who asks the same may have more luck.
      if (this.#queries.get(query.key) === query) this.#queries.delete(query.key)
      return
    }
    const { files, answer } = found
    const base = this.#store.subtrees.pathOf(query.root.directory)?.slice(1) ?? ""
    const prefix = base === "" ? 0 : Buffer.byteLength(base) + 1
    const digits = String(files.length).length
    const entries = new Map(
      files.map(({ path: bytes, attributes }, i) => {
        // What came from another thread is no Buffer any more.
        const path = Buffer.from(bytes)
        const file = path.subarray(path.lastIndexOf(SLASH) + 1)
        const rank = `${String(i + 1).padStart(digits, "0")}-`
        const name = `${rank}${file.toString("latin1")}`.slice(0, NAME_MAX)
        const target = Buffer.concat([UP, path.subarray(prefix)])
        const values = new Map(Object.entries(attributes).map(([key, text]) => [key, Buffer.from(text)]))
        return [name, this.#nodes.make((ino) => new VirtualLink(ino, target, values, query))] as const
      }),
    )
    query.found = {
      entries,
      answer: this.#nodes.make((ino) => new VirtualFile(ino, Buffer.from(answer), query, 0o400)),
    }
  }

  /** Undefined: the node is none of these. */
  readdir(request: InHeader, cookie: number, packer: DirentPacker): Status | typeof LATER | undefined {
    const node = this.#nodes.get(request.node)
    if (!(node instanceof VirtualDirectory)) return undefined
    const found = node instanceof QueryDirectory ? this.#foundOf(node, request) : undefined
    if (found === LATER || isErrno(found)) return found
    const entries = [...(found?.entries ?? [])]
    const names: [string, number, number][] = [
      [".", node.ino, node.mode >>> 12],
      ["..", node instanceof QueryDirectory ? node.root.ino : node.ino, node.mode >>> 12],
      ...entries.map(([name, entry]): [string, number, number] => [name, entry.ino, entry.mode >>> 12]),
    ]
    for (const [i, [name, ino, type]] of names.entries()) {
      if (i < cookie) continue
      const attr = packer.plus && i >= 2 ? present(entries[i - 2], "entry of a search")[1] : undefined
      if (!packer.add(Buffer.from(name, "latin1"), ino, type, i + 1, attr, 0)) return OK
      if (attr !== undefined) this.#nodes.give(attr)
    }
    return OK
  }
}
