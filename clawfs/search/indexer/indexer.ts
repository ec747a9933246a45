/**
 * Keeps the index as the files are: follows the change feed, waits until a file is quiet, reads it as it is at one instant,
 * and writes what was found. Each step is one transaction of `index.db`, and each can be repeated: killed anywhere, the
 * next indexer goes on and ends with the same index.
 */
import { basename } from "node:path"
import { present } from "../../core/assert.ts"
import { Fault, describe } from "../../core/fault.ts"
import type { Log } from "../../core/log.ts"
import type { Database, Query } from "../../store/database.ts"
import type { Store } from "../../store/store.ts"
import type { Inode } from "../../store/inode.ts"
import { chunksOf } from "../chunk/chunk.ts"
import { isRefusal, refuse, type Extraction, type RefusalState } from "../extract/extraction.ts"
import type { Extractor } from "../extract/extractor.ts"
import { Follower } from "../feed/follower.ts"
import { Places } from "../feed/places.ts"
import type { DocumentState, IndexWriter } from "../index/writer.ts"
import { StoredContent } from "./content.ts"
import type { Rules } from "./rules.ts"
import { Pending, Seen, type PendingFile } from "./tables.ts"

export interface IndexerOptions {
  /** Nobody wrote to a file for so long: it is read. Milliseconds. */
  readonly quietMs: number
  /** A file that is written to all the time is read after so long. */
  readonly longestMs: number
}

export const DEFAULT_OPTIONS: IndexerOptions = { quietMs: 500, longestMs: 5000 }

/** Commits of the store that are followed at once. */
const COMMITS = 256
/** Files that are read at once, unless they have more bytes than that together. */
const FILES = 64
const BYTES = 16 * 1024 * 1024
/** Files that wait for the extractor's process. */
const SLOW_FILES = 8

/** A file that was read. */
interface Look {
  readonly file: PendingFile
  readonly inode: Inode
  readonly paths: readonly Buffer[]
  readonly hash: Buffer
  readonly readMs: number
  extraction: Extraction | undefined
}

export interface IndexerStatus {
  /** Everything up to this change is in the index. */
  readonly applied: number
  /** The last change that the store has made. */
  readonly last: number
  readonly pending: number
  /** Since when the file waits that has waited longest, milliseconds since 1970. */
  readonly oldestMs: number | undefined
}

export class Indexer {
  readonly #store: Store
  readonly #writer: IndexWriter
  readonly #extractor: Extractor
  readonly #rules: Rules
  readonly #options: IndexerOptions
  readonly #log: Log
  readonly #places: Places
  readonly #pending: Pending
  readonly #seen: Seen
  readonly #follower: Follower
  readonly #document: Query<[number], [Buffer]>
  readonly #paths: Query<[number], [Buffer]>
  #epoch: string
  /** The feed was followed up to here. */
  #followed: number
  #last = 0
  /** Somebody waits for this change. */
  #wanted = 0
  /** All names are being compared: files that are as they were seen need no look. */
  #isComparing = false
  /** In the extractor's process. */
  readonly #slow = new Map<number, Look>()

  constructor(
    parts: {
      readonly store: Store
      readonly writer: IndexWriter
      readonly extractor: Extractor
      readonly rules: Rules
      readonly log: Log
    },
    options: IndexerOptions = DEFAULT_OPTIONS,
  ) {
    ;({ store: this.#store, writer: this.#writer, extractor: this.#extractor, rules: this.#rules } = parts)
    this.#log = parts.log
    this.#options = options
    const { db } = this.#writer
    this.#pending = new Pending(db)
    this.#seen = new Seen(db)
    this.#places = new Places(db)
    this.#follower = new Follower(this.#store, this.#places, (ino, mayHaveChanged) =>
      this.#touch(ino, mayHaveChanged),
    )
    const { epoch, sequence } = appliedOf(db)
    this.#epoch = epoch
    this.#followed = sequence
    this.#document = db.query("SELECT hash FROM document WHERE ino = ?")
    this.#paths = db.query("SELECT path FROM path WHERE ino = ? ORDER BY path")
  }

  get status(): IndexerStatus {
    const { first, count, oldestMs } = this.#pending
    const applied = first === undefined ? this.#followed : Math.min(this.#followed, first - 1)
    return { applied, last: this.#last, pending: count, oldestMs }
  }

  /** Up to where the feed is not needed any more. */
  get followed(): number {
    return this.#followed
  }

  /** Files that changed up to `seq` are read at once, without waiting until they are quiet. */
  hurry(seq: number): void {
    this.#wanted = Math.max(this.#wanted, seq)
  }

  /** Follows the feed; true when there may be more. */
  follow(): boolean {
    const { epoch, last } = this.#store.feed.position
    this.#last = last
    if (String(epoch) === this.#epoch && last === this.#followed) return false
    return this.#store.view(() => {
      const { feed, counters } = this.#store
      const epoch = String(counters.feedEpoch)
      this.#last = counters.feedLast
      if (epoch !== this.#epoch || this.#followed > counters.feedLast) {
        this.#compareAll(epoch)
        return true
      }
      const commits = feed.behind(this.#followed, COMMITS)
      const seq = commits.at(-1)?.seq
      if (seq === undefined) return false
      this.#writer.transact(() => {
        for (const commit of commits) {
          this.#seq = commit.seq
          this.#follower.follow(commit.changes)
        }
        this.#writer.setApplied({ epoch, sequence: seq })
      })
      this.#followed = seq
      return commits.length === COMMITS
    })
  }

  /** The commit that is being followed. */
  #seq = 0

  #compareAll(epoch: string): void {
    const { feedLast } = this.#store.counters
    this.#log.info("all files are compared with the index", { files: this.#store.counters.inodes })
    this.#rules.begin()
    this.#isComparing = true
    this.#seq = feedLast
    try {
      this.#writer.transact(() => {
        this.#follower.compareAll()
        this.#writer.setApplied({ epoch, sequence: feedLast })
      })
    } finally {
      this.#isComparing = false
    }
    this.#epoch = epoch
    this.#followed = feedLast
  }

  #touch(ino: number, mayHaveChanged: boolean): void {
    if (this.#isComparing && this.#isAsItWas(ino)) return
    this.#pending.put(ino, this.#seq, mayHaveChanged, Date.now())
  }

  #isAsItWas(ino: number): boolean {
    const inode = this.#store.inodes.get(ino)
    const paths = inode === undefined ? [] : this.#shownPaths(inode)
    if (inode === undefined || paths.length === 0) return this.#document.get(ino) === undefined
    return this.#seen.isSame(inode) && this.#hasPaths(ino, paths)
  }

  #hasPaths(ino: number, paths: readonly Buffer[]): boolean {
    const indexed = this.#paths.all(ino).map(([path]) => path)
    return indexed.length === paths.length && paths.every((path, i) => indexed[i]?.equals(path) === true)
  }

  /** The paths under which a file is to be found; none: it is not indexed. */
  #shownPaths(inode: Inode): Buffer[] {
    if (!inode.isRegular || this.#store.sealing.isEncrypted(inode)) return []
    return this.#places.paths(inode.ino).filter((path) => this.#rules.reasonFor(path) === undefined)
  }

  /**
   * Reads files that are due and writes what it found. Returns in how many milliseconds there may be more to do; undefined:
   * not before something changes.
   */
  async work(): Promise<number | undefined> {
    const { quietMs, longestMs } = this.#options
    const nowMs = Date.now()
    const due = this.#pending
      .due({ nowMs, quietMs, longestMs, upTo: this.#wanted }, FILES + this.#slow.size)
      .filter(({ ino }) => !this.#slow.has(ino))
    const looks = due.length === 0 ? [] : this.#read(due)
    // Plain texts are there at once; the others come from a process of their own.
    await new Promise((resolve) => setImmediate(resolve))
    const ready = [...looks, ...this.#slow.values()].filter(({ extraction }) => extraction !== undefined)
    for (const look of looks) if (look.extraction === undefined) this.#slow.set(look.file.ino, look)
    this.#write(ready)
    for (const { file } of ready) this.#slow.delete(file.ino)
    if (this.#slow.size > 0) return ready.length > 0 ? 0 : SLOW_TICK_MS
    if (due.length > 0) return 0
    const next = this.#pending.nextMs(quietMs, longestMs)
    return next === undefined ? undefined : Math.max(0, next - Date.now())
  }

  /** Reads what has to be read of these files, all at one instant, and deals with those that have not. */
  #read(due: readonly PendingFile[]): Look[] {
    return this.#store.view(() => {
      this.#rules.begin()
      const looks: Look[] = []
      let bytes = 0
      this.#writer.transact(() => {
        for (const file of due) {
          if (bytes > BYTES || this.#slow.size + looks.length >= FILES + SLOW_FILES) break
          const look = this.#look(file)
          if (look === undefined) continue
          looks.push(look)
          bytes += look.inode.size
        }
      })
      return looks
    })
  }

  /** Undefined: its contents are as they were, or it is not indexed; that has been written. */
  #look(file: PendingFile): Look | undefined {
    const { ino } = file
    const inode = this.#store.inodes.get(ino)
    const paths = inode === undefined ? [] : this.#shownPaths(inode)
    const [path] = paths
    if (inode === undefined || path === undefined) {
      this.#forget(file)
      return undefined
    }
    const [known] = this.#document.get(ino) ?? []
    if (known !== undefined && !file.mayHaveChanged && this.#seen.isSame(inode)) {
      this.#rename(file, paths)
      return undefined
    }
    using content = new StoredContent(this.#store, inode)
    const readMs = Date.now()
    const name = basename(path.toString("latin1"))
    try {
      const hash = content.hash(extensionOf(name))
      if (known?.equals(hash) === true) {
        this.#rename(file, paths)
        this.#seen.put(inode, readMs)
        return undefined
      }
      return this.#extract(
        { file, inode: copyOf(inode), paths, hash, readMs, extraction: undefined },
        path,
        content,
      )
    } catch (thrown) {
      // A damaged file is told of by fsck, and whoever reads it gets EIO; the index goes on without it.
      if (!(thrown instanceof Fault)) throw thrown
      const extraction = refuse("broken", thrown.message)
      return { file, inode: copyOf(inode), paths, hash: UNREADABLE, readMs, extraction }
    }
  }

  #extract(look: Look, path: Buffer, content: StoredContent): Look {
    this.#extractor
      .extract(basename(path.toString()), content)
      .then((extraction) => (look.extraction = extraction))
      .catch((thrown: unknown) => {
        this.#log.error("a file could not be read", { inode: look.file.ino, reason: describe(thrown) })
        look.extraction = refuse("crashed", describe(thrown))
      })
    return look
  }

  #forget(file: PendingFile): void {
    if (this.#document.get(file.ino) !== undefined) this.#writer.removeDocument(file.ino)
    this.#seen.remove(file.ino)
    this.#pending.remove(file)
  }

  #rename(file: PendingFile, paths: readonly Buffer[]): void {
    if (!this.#hasPaths(file.ino, paths)) this.#writer.setPaths(file.ino, paths)
    this.#pending.remove(file)
  }

  #write(looks: readonly Look[]): void {
    if (looks.length === 0) return
    this.#writer.transact(() => {
      for (const look of looks) this.#put(look)
    })
  }

  #put({ file, inode, paths, hash, readMs, extraction }: Look): void {
    const { size, mtime, mtimeNanos } = inode
    const result = present(extraction, "what was found in a file")
    const refused = isRefusal(result)
    const indexed = { ino: file.ino, hash, size, mtime, mtimeNanos }
    if (refused)
      this.#writer.replaceDocument(
        { ...indexed, state: STATES[result.state], error: `${result.state}: ${result.reason}` },
        undefined,
        [],
      )
    else this.#writer.replaceDocument({ ...indexed, state: "indexed", error: "" }, result, chunksOf(result))
    if (!this.#hasPaths(file.ino, paths)) this.#writer.setPaths(file.ino, paths)
    this.#seen.put(inode, readMs)
    this.#pending.remove(file)
  }
}

/** What waits for the extractor's process is looked after so often. */
const SLOW_TICK_MS = 20
/** Of a file that could not be read: no content has it. */
const UNREADABLE = Buffer.alloc(32)

const STATES: Readonly<Record<RefusalState, DocumentState>> = {
  binary: "skipped",
  "too-large": "skipped",
  "encrypted-document": "skipped",
  ignored: "skipped",
  broken: "failed",
  "timed-out": "failed",
  crashed: "failed",
}

/** Inodes belong to their store, which forgets them. */
function copyOf(inode: Inode): Inode {
  return Object.assign(Object.create(Object.getPrototypeOf(inode) as object), inode) as Inode
}

function extensionOf(name: string): string {
  const dot = name.lastIndexOf(".")
  return dot <= 0 ? name : name.slice(dot)
}

function appliedOf(db: Database): { epoch: string; sequence: number } {
  const meta = db.query<[string], [string | number]>("SELECT value FROM meta WHERE key = ?")
  return { epoch: String(meta.get("epoch")?.[0] ?? ""), sequence: Number(meta.get("applied")?.[0] ?? 0) }
}
