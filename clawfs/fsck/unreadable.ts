/**
 * What a server could not answer about, of a store whose database is damaged as a whole: its tables can't be compared with each
 * other then, but each file can be looked at as a server would, from the root on. Without keys: what encrypted files have is
 * checked by its sums.
 */
import { join } from "node:path"
import { ROOT_NODE, type NodeId } from "../core/brand.ts"
import { Fault, describe } from "../core/fault.ts"
import { Counters } from "../store/counters.ts"
import type { Database } from "../store/database.ts"
import { Dentries, type Dentry } from "../store/dentries.ts"
import { Extents } from "../store/extents.ts"
import { identityOf } from "../store/identity.ts"
import { InlinePieces } from "../store/inline.ts"
import type { Inode } from "../store/inode.ts"
import { Inodes } from "../store/inodes.ts"
import { Keys } from "../store/keys.ts"
import { Sealing } from "../store/sealing.ts"
import { Segments } from "../store/segments.ts"
import { SEGMENTS } from "../store/store.ts"
import { Trees } from "../store/trees.ts"
import { Symlinks, Xattrs } from "../store/xattrs.ts"
import { printable, type Finding, type FindingKind } from "./finding.ts"
import type { CheckOptions } from "./check.ts"
import { BLOB_OVERHEAD, standIn } from "./sealed.ts"

/** Names read at a time. */
const PAGE = 1000
/** No file can have it. Looked up, it has all names of its directory compared with each other: no search may be led astray. */
const NO_NAME = Buffer.from("/")

type OnHit = (kind: FindingKind, message: string) => void

interface Place {
  readonly ino: NodeId
  readonly path: string
}

/**
 * Every name below the root that something can't be told about. None when the store can't be opened at all. Records are read
 * unless a server has the store, which may move them meanwhile.
 */
export function* unreadable(db: Database, options: CheckOptions): Generator<Finding> {
  db.begin()
  try {
    const reader = open(db, options)
    if (reader !== undefined) yield* reader.walk()
  } finally {
    db.rollback()
  }
}

function open(db: Database, options: CheckOptions): Reader | undefined {
  try {
    return new Reader(db, options)
  } catch (thrown) {
    if (isInterrupt(thrown)) throw thrown
    return undefined
  }
}

class Reader {
  readonly #options: CheckOptions
  readonly #inodes: Inodes
  readonly #dentries: Dentries
  readonly #xattrs: Xattrs
  readonly #symlinks: Symlinks
  readonly #extents: Extents
  readonly #pieces: InlinePieces
  readonly #keys: Keys
  readonly #sealing: Sealing
  readonly #segments: Segments
  /** What is wrong with a body, which many files may have. */
  readonly #bodies = new Map<number, string | undefined>()
  /** Encrypted trees whose key has been looked at. */
  readonly #trees = new Set<number>()

  constructor(db: Database, options: CheckOptions) {
    this.#options = options
    const { uuid, seedA, seedB } = identityOf(db)
    const counters = new Counters(db)
    const trees = new Trees(db)
    this.#inodes = new Inodes(db, counters, trees)
    this.#keys = new Keys(db)
    this.#sealing = new Sealing(uuid, trees, this.#keys, () => false)
    this.#dentries = new Dentries(db, seedA, seedB, {
      get: (ino) => this.#inodes.get(ino),
      isEncrypted: (directory) => this.#sealing.isEncrypted(directory),
      keyOf: () => undefined,
    })
    this.#xattrs = new Xattrs(db)
    this.#symlinks = new Symlinks(db)
    this.#extents = new Extents(db, () => undefined)
    const sealed = {
      encode: (_: number, data: Buffer): Buffer => data,
      decode: (_: number, stored: Buffer): Buffer =>
        stored.subarray(0, Math.max(0, stored.length - BLOB_OVERHEAD)),
    }
    this.#pieces = new InlinePieces(db, (inode) => (this.#sealing.isEncrypted(inode) ? sealed : undefined))
    this.#segments = new Segments(db, join(options.directory, SEGMENTS), uuid, counters, true)
  }

  *walk(): Generator<Finding> {
    using _ = this.#segments
    const seen = new Set<number>()
    const waiting: Place[] = [{ ino: ROOT_NODE, path: "/" }]
    for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
      const { ino, path } = place
      const hits: Finding[] = []
      const onHit: OnHit = (kind, message) =>
        hits.push({ kind, severity: "error", path, ino, message, repairable: false, repaired: false })
      const inode = this.#look(ino, onHit)
      if (inode?.isDirectory === true && !seen.has(ino)) {
        seen.add(ino)
        const isSealed = this.#sealing.isEncrypted(inode)
        for (const entry of this.#names(ino, onHit)) waiting.push(placeOf(path, entry, isSealed))
      }
      yield* hits
      this.#options.onProgress("files", seen.size, 0)
    }
  }

  #look(ino: NodeId, onHit: OnHit): Inode | undefined {
    const inode = attempt(
      () => this.#inodeOf(ino),
      (message) => onHit("inode", `can't be read: ${message}`),
    )
    if (inode === undefined) return undefined
    attempt(
      () => {
        this.#xattrs.names(inode)
        if (this.#sealing.isEncrypted(inode)) this.#keys.fileKey(inode.body)
      },
      (message) => onHit("xattr", `attributes can't be read: ${message}`),
    )
    this.#lookAtKey(inode, onHit)
    if (inode.isSymlink)
      attempt(
        () => this.#symlinks.get(inode),
        (message) => onHit("symlink", `can't be read: ${message}`),
      )
    if (inode.isRegular) {
      const message = this.#contents(inode)
      if (message !== undefined) onHit("contents", `can't be read: ${message}`)
    }
    return inode
  }

  /** Of the top of an encrypted tree, which comes before what is in it. */
  #lookAtKey({ tree }: Inode, onHit: OnHit): void {
    const key = this.#sealing.keyOfTree(tree)
    if (key === 0 || this.#trees.has(tree)) return
    this.#trees.add(tree)
    attempt(
      () => {
        this.#sealing.identityOf(key)
        if (this.#keys.slots(key).length === 0) throw new Fault("corrupt", "no slot of the key is there")
      },
      (message) => onHit("key", `the tree can't be unlocked: ${message}`),
    )
  }

  #inodeOf(ino: NodeId): Inode {
    const inode = this.#inodes.get(ino)
    if (inode === undefined) throw new Fault("corrupt", `inode ${ino} is missing`)
    return inode
  }

  /** What is wrong with the bytes of a file. */
  #contents(inode: Inode): string | undefined {
    const { body } = inode
    if (!this.#bodies.has(body)) {
      this.#bodies.set(body, undefined)
      attempt(
        () => this.#read(inode),
        (message) => this.#bodies.set(body, message),
      )
    }
    return this.#bodies.get(body)
  }

  #read(inode: Inode): void {
    this.#pieces.get(inode)
    const extents = this.#extents.within(inode, 0, Math.max(inode.size, this.#extents.end(inode)))
    for (const { segment, position, record, sequence } of this.#options.isOnline ? [] : extents)
      if (segment !== 0) this.#segments.records.readRecord({ segment, position, length: record, sequence })
  }

  #names(directory: NodeId, onHit: OnHit): Dentry[] {
    const all: Dentry[] = []
    attempt(
      () => {
        for (let last: Dentry[] | undefined; last === undefined || last.length === PAGE; all.push(...last))
          last = this.#dentries.list(directory, all.at(-1)?.cookie ?? 0, PAGE)
        this.#dentries.find(directory, NO_NAME)
      },
      (message) => onHit("name", `what is in it can't be told: ${message}`),
    )
    return all
  }
}

function placeOf(path: string, { ino, name }: Dentry, isSealed: boolean): Place {
  const shown = printable(isSealed ? standIn(name) : name).replaceAll("/", String.raw`\x2f`)
  return { ino, path: `${path === "/" ? "" : path}/${shown}` }
}

/** In a damaged database values may have types that no table of ours has: whatever goes wrong is damage. */
function attempt<T>(run: () => T, onDamage: (message: string) => void): T | undefined {
  try {
    return run()
  } catch (thrown) {
    if (isInterrupt(thrown)) throw thrown
    onDamage(printable(Buffer.from(describe(thrown))))
    return undefined
  }
}

function isInterrupt(thrown: unknown): boolean {
  return thrown instanceof Fault && thrown.kind === "interrupted"
}
