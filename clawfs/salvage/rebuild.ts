/** Writes what the catalog knows into a new store: the tree below the root, then what no name leads to. */
import { present } from "../core/assert.ts"
import { ROOT_NODE, type NodeId } from "../core/brand.ts"
import type { Query } from "../store/database.ts"
import { InodeFlag, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, USER_FLAGS, type Inode } from "../store/inode.ts"
import { newInode, type Store } from "../store/store.ts"
import { UNKNOWN, type Catalog } from "./catalog.ts"
import { ContentFinder, type Recovered } from "./contents.ts"
import type { LogRecords } from "./log-records.ts"
import type { Metadata, Report } from "./report.ts"
import { INODE } from "./tables.ts"
import { writeContents } from "./write-contents.ts"

/** In one transaction. */
const BATCH_STEPS = 256
const BATCH_BYTES = 8 * 1024 * 1024
const NAME_MAX = 255
const TYPES = [0o140000, S_IFLNK, S_IFREG, 0o060000, S_IFDIR, 0o020000, 0o010000]
const ID_LIMIT = 2 ** 32
const NANOS = 1_000_000_000
const LOST_AND_FOUND = "lost+found"
/** The hidden directory of the snapshots; what comes back of them are ordinary directories, and can be seen. */
const [SNAPSHOTS, SALVAGED_SNAPSHOTS] = [".snapshots", "snapshots"]

type Row = Readonly<Record<string, number>>

interface Place {
  /** In the new store. */
  readonly parent: NodeId
  readonly name: Buffer
  readonly path: Buffer
}
interface Directory {
  /** In the old store. */
  readonly ino: number
  readonly made: NodeId
  readonly path: Buffer
}

/** Between two steps a transaction may end; at rest, no inode is being worked on. */
interface Step {
  readonly bytes: number
  readonly isAtRest: boolean
}

export class Rebuild {
  readonly #store: Store
  readonly #catalog: Catalog
  readonly #records: LogRecords
  readonly #finder: ContentFinder
  readonly #report: Report
  readonly #onProgress: (done: number, total: number) => void
  /** Inodes of the new store by their old numbers. */
  readonly #made = new Map<number, NodeId>()
  /** Who has got contents that others have too, by body. */
  readonly #bodies = new Map<number, NodeId>()
  readonly #inode: Query<[number], number[]>
  readonly #entries: Query<[number], [Buffer, number]>
  readonly #xattrs: Query<[number], [Buffer, Buffer]>
  readonly #symlink: Query<[number], [Buffer]>
  /** Tops of encrypted trees: what is in them only the database that had their keys could tell. */
  readonly #sealed: Query<[number], [number]>
  readonly #sharer: Query<[number], [number]>
  readonly #isOwn: Query<[number], [number]>
  #lostAndFound: Directory | undefined

  constructor(
    store: Store,
    catalog: Catalog,
    records: LogRecords,
    report: Report,
    onProgress: (done: number, total: number) => void,
  ) {
    const { db } = catalog
    this.#store = store
    this.#catalog = catalog
    this.#records = records
    this.#report = report
    this.#onProgress = onProgress
    this.#finder = new ContentFinder(db, records)
    this.#inode = db.query<[number], number[]>(`SELECT ${INODE.columns.join(", ")} FROM inode WHERE ino = ?`)
    this.#entries = db.query("SELECT name, ino FROM dentry WHERE parent = ? ORDER BY cookie")
    this.#xattrs = db.query("SELECT name, value FROM xattr WHERE ino = ?")
    this.#symlink = db.query("SELECT target FROM symlink WHERE ino = ?")
    this.#sealed = db.query("SELECT key FROM tree WHERE id = ? AND key != 0")
    this.#sharer = db.query("SELECT 1 FROM inode WHERE body = ? LIMIT 1")
    this.#isOwn = db.query("SELECT is_own FROM until WHERE ino = ?")
  }

  /** Writes everything; the store is settled afterwards. */
  run(): void {
    const total = this.#numbers("SELECT count(*) FROM inode")[0] ?? 0
    const steps = this.#all()
    for (let state = this.#batch(steps); state !== "done"; state = this.#batch(steps)) {
      if (state === "at rest") this.#store.tidy()
      this.#onProgress(this.#made.size, total)
    }
    this.#store.settle()
    this.#store.checkpointInline()
  }

  /** One transaction. */
  #batch(steps: Generator<Step>): "done" | "at rest" | "in a file" {
    return this.#store.transact(() => {
      let isAtRest = true
      for (let [count, bytes] = [0, 0]; count < BATCH_STEPS && bytes < BATCH_BYTES; count += 1) {
        const step = steps.next()
        if (step.done === true) return "done"
        bytes += step.value.bytes
        isAtRest = step.value.isAtRest
      }
      return isAtRest ? "at rest" : "in a file"
    })
  }

  *#all(): Generator<Step> {
    const root = this.#store.root()
    const row = this.#rowOf(ROOT_NODE)
    const metadata = row === undefined ? "lost" : this.#describe(root, row)
    this.#store.inodes.save(root)
    this.#made.set(ROOT_NODE, root.ino)
    this.#report.directory(Buffer.from("/"), ROOT_NODE, metadata)
    yield* this.#tree({ ino: ROOT_NODE, made: root.ino, path: Buffer.from("/") })
    const directories = `(mode & ${S_IFMT}) = ${S_IFDIR}`
    // What was unlinked while it was open has no link, and is gone.
    for (const where of [`${directories} AND ino NOT IN (SELECT ino FROM dentry)`, directories, "1"])
      for (const ino of this.#numbers(`SELECT ino FROM inode WHERE ${where} AND nlink > 0 ORDER BY ino`))
        if (!this.#made.has(ino)) yield* this.#nameless(ino)
  }

  #numbers(sql: string): number[] {
    return this.#catalog.db
      .query<[], [number]>(sql)
      .all()
      .map(([value]) => value)
  }

  #rowOf(ino: number): Row | undefined {
    const values = this.#inode.get(ino)
    if (values === undefined) return undefined
    const row = Object.fromEntries(INODE.columns.map((column, index) => [column, values[index] ?? 0]))
    return TYPES.includes((row["mode"] ?? 0) & S_IFMT) ? row : undefined
  }

  *#nameless(ino: number): Generator<Step> {
    this.#lostAndFound ??= this.#makeLostAndFound()
    const { made, path } = this.#lostAndFound
    const name = this.#freeName(made, `inode-${ino}`)
    this.#report.counts.nameless += 1
    yield* this.#entry({ parent: made, name, path: below(path, name) }, ino)
  }

  /** Everything below a directory, without recursion: trees may be deep. */
  *#tree(top: Directory): Generator<Step> {
    const waiting = [top]
    for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
      for (const [given, ino] of this.#entries.all(directory.ino)) {
        const isHome = directory.ino === ROOT_NODE && given.toString("latin1") === SNAPSHOTS
        const name = isHome ? this.#freeName(directory.made, SALVAGED_SNAPSHOTS) : given
        const place = { parent: directory.made, name, path: below(directory.path, name) }
        if (!this.#isFree(place)) {
          // Two candidates knew it under this name, or no file can have it; it keeps its contents.
          continue
        }
        yield* this.#one(place, ino, waiting)
      }
    }
  }

  *#entry(place: Place, ino: number): Generator<Step> {
    const waiting: Directory[] = []
    yield* this.#one(place, ino, waiting)
    for (const directory of waiting) yield* this.#tree(directory)
  }

  #isFree({ parent, name }: Place): boolean {
    const isPossible =
      name.length >= 1 && name.length <= NAME_MAX && !name.includes(0x2f) && !name.includes(0)
    const text = name.toString("latin1")
    return (
      isPossible && text !== "." && text !== ".." && this.#store.dentries.find(parent, name) === undefined
    )
  }

  /** Makes what a name stands for, or one more name of it. */
  *#one(place: Place, ino: number, waiting: Directory[]): Generator<Step> {
    const row = this.#rowOf(ino)
    const known = this.#made.get(ino)
    if (known !== undefined) {
      const inode = present(this.#store.inodes.get(known), "an inode of ours")
      // A directory has one name.
      if (inode.isDirectory) return
      inode.nlink += 1
      this.#enter(place, inode)
      return
    }
    const target = ((row?.["mode"] ?? 0) & S_IFMT) === S_IFLNK ? this.#symlink.get(ino)?.[0] : Buffer.alloc(1)
    if (row === undefined || target === undefined || target.length === 0) {
      this.#report.lost(place.path, ino)
      return
    }
    const inode = this.#make(row, place)
    // Before anything is committed: a birth time is written once.
    const metadata = this.#describe(inode, row)
    if (inode.isSymlink) {
      this.#store.symlinks.insert(inode, target)
      inode.size = target.length
    }
    if (this.#sealed.get(ino) !== undefined) this.#report.lost(place.path, ino)
    if (inode.isDirectory) {
      this.#report.directory(place.path, ino, metadata)
      waiting.push({ ino, made: inode.ino, path: place.path })
    } else {
      const recovered = inode.isRegular ? yield* this.#fill(inode, row) : undefined
      this.#report.file(place.path, ino, recovered, this.#isOwn.get(ino)?.[0] === 0, metadata)
    }
    this.#store.inodes.save(inode)
    yield { bytes: 0, isAtRest: true }
  }

  #make(row: Row, place: Place): Inode {
    const { mode = 0, rdev = 0 } = row
    const inode = newInode(
      this.#store.counters.allocateIno(),
      mode,
      0,
      0,
      rdev >= 0 && rdev < ID_LIMIT ? rdev : 0,
    )
    this.#store.inodes.insert(inode)
    this.#made.set(row["ino"] ?? 0, inode.ino)
    if (inode.isDirectory) {
      inode.parent = place.parent
      const parent = present(this.#store.inodes.get(place.parent), "a directory of ours")
      parent.nlink += 1
      this.#store.inodes.save(parent)
    }
    this.#enter(place, inode)
    return inode
  }

  #enter({ parent, name }: Place, inode: Inode): void {
    this.#store.dentries.insert(parent, name, inode.ino, inode.type)
    this.#store.inodes.save(inode)
    // The sum of its names has changed, and more of them may come in a later transaction.
    this.#store.inodes.save(present(this.#store.inodes.get(parent), "a directory of ours"))
  }

  *#fill(inode: Inode, row: Row): Generator<Step, Recovered> {
    const {
      ino = 0,
      size = 0,
      alloc = 0,
      inline_offset: inlineOffset = 0,
      inline_length: inlineLength = 0,
    } = row
    const body = row["body"] === 0 ? ino : (row["body"] ?? ino)
    const isKnown = { ino, size, alloc, body, inlineOffset, inlineLength }
    const recovered = this.#finder.find(isKnown, this.#catalog.isDamaged)
    const source = this.#bodies.get(body)
    const twin = source === undefined ? undefined : this.#store.inodes.get(source)
    if (twin?.size === recovered.size && alloc !== UNKNOWN) {
      this.#store.contents.share(twin, 0, inode, 0, twin.size)
    } else {
      for (const bytes of writeContents(this.#store, inode, recovered, this.#records)) {
        this.#report.counts.bytes += bytes
        yield { bytes, isAtRest: false }
      }
      if (body !== ino || this.#sharer.get(ino) !== undefined) this.#bodies.set(body, inode.ino)
    }
    return recovered
  }

  /** Owner, times, attributes: what is possible of them. */
  #describe(inode: Inode, row: Row): Metadata {
    const id = (value = 0): number => (value >= 0 && value < ID_LIMIT ? value : 0)
    const nanos = (value = 0): number => (value >= 0 && value < NANOS ? value : 0)
    inode.mode = row["mode"] ?? inode.mode
    inode.uid = id(row["uid"])
    inode.gid = id(row["gid"])
    inode.flags = (row["flags"] ?? 0) & USER_FLAGS
    inode.atime = row["atime"] ?? 0
    inode.atimeNanos = nanos(row["atime_nanos"])
    inode.mtime = row["mtime"] ?? 0
    inode.mtimeNanos = nanos(row["mtime_nanos"])
    inode.ctime = row["ctime"] ?? 0
    inode.ctimeNanos = nanos(row["ctime_nanos"])
    inode.btime = row["btime"] ?? 0
    inode.btimeNanos = nanos(row["btime_nanos"])
    const xattrs = this.#xattrs.all(row["ino"] ?? 0)
    for (const [name, value] of xattrs) {
      this.#store.xattrs.put(inode, name, value)
      inode.setFlag(InodeFlag.HAS_XATTR, true)
      const flag = ACL_FLAGS.get(name.toString("latin1"))
      if (flag !== undefined) inode.setFlag(flag, true)
    }
    if (row["alloc"] === UNKNOWN) return "lost"
    const hadXattrs = ((row["flags"] ?? 0) & InodeFlag.HAS_XATTR) !== 0
    return hadXattrs && xattrs.length === 0 ? "without attributes" : "whole"
  }

  #makeLostAndFound(): Directory {
    const root = this.#store.root()
    const name = Buffer.from(LOST_AND_FOUND)
    const there = this.#store.dentries.find(root.ino, name)
    const existing = there === undefined ? undefined : this.#store.inodes.get(there.ino)
    if (existing?.isDirectory === true)
      return { ino: 0, made: existing.ino, path: Buffer.from(`/${LOST_AND_FOUND}`) }
    const free = this.#freeName(root.ino, LOST_AND_FOUND)
    const inode = newInode(this.#store.counters.allocateIno(), S_IFDIR | 0o700, 0, 0, 0)
    this.#store.inodes.insert(inode)
    this.#enter({ parent: root.ino, name: free, path: free }, inode)
    root.nlink += 1
    this.#store.inodes.save(root)
    return { ino: 0, made: inode.ino, path: below(Buffer.from("/"), free) }
  }

  #freeName(parent: NodeId, name: string): Buffer {
    let bytes = Buffer.from(name)
    for (let n = 1; this.#store.dentries.find(parent, bytes) !== undefined; n += 1)
      bytes = Buffer.from(`${name}.${n}`)
    return bytes
  }
}

const ACL_FLAGS = new Map<string, number>([
  ["system.posix_acl_access", InodeFlag.HAS_ACCESS_ACL],
  ["system.posix_acl_default", InodeFlag.HAS_DEFAULT_ACL],
])

function below(path: Buffer, name: Buffer): Buffer {
  return Buffer.concat([path, path.length === 1 ? Buffer.alloc(0) : Buffer.from("/"), name])
}
