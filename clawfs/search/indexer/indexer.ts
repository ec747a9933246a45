/**
 * Keeps the index as the files are: follows the change feed, waits until a file is quiet, reads it as it is at one instant,
 * and writes what was found. Each step is one transaction of `index.db`, and each can be repeated: killed anywhere, the
 * next indexer goes on and ends with the same index.
 */
import { basename } from "node:path"
import { Fault } from "../../core/fault.ts"
import type { Log } from "../../core/log.ts"
import type { Database, Query } from "../../store/database.ts"
import type { Store } from "../../store/store.ts"
import type { Inode } from "../../store/inode.ts"
import { refuse, type RefusalState } from "../extract/extraction.ts"
import { Follower } from "../feed/follower.ts"
import { Places } from "../feed/places.ts"
import type { DocumentState, IndexWriter } from "../index/writer.ts"
import { hashOf, StoredContent } from "./content.ts"
import type { Prepared, Preparer } from "./preparer.ts"
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
/** Files that are read at once, unless they have more bytes than that together; so much may be on its way besides. */
const FILES = 512
const BYTES = 8 * 1024 * 1024
/**
 * What has been prepared is written when it was so much text, or has waited so long, or nothing more is on its way. With twice as much a
 * transaction FTS5's table of words does not fit into the processor's cache: a tenth slower.
 */
const WRITE_BYTES = 2 * 1024 * 1024
const WRITE_MS = 50
/** What is being prepared is waited for so long at once. */
const TICK_MS = 20

/** A file that was read. */
interface Look {
  readonly file: PendingFile
  readonly inode: Inode
  readonly paths: readonly Buffer[]
  readonly hash: Buffer
  readonly readMs: number
  /** Bytes that were read. */
  readonly bytes: number
}

interface PreparedLook extends Look {
  readonly prepared: Prepared
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
  readonly #preparer: Preparer
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
  /** Being prepared, by inode. */
  readonly #inFlight = new Map<number, Look>()
  #inFlightBytes = 0
  /** Prepared and not written yet, and since when. */
  #ready: PreparedLook[] = []
  #readyMs = 0
  #onReady: (() => void) | undefined

  constructor(
    parts: {
      readonly store: Store
      readonly writer: IndexWriter
      readonly preparer: Preparer
      readonly rules: Rules
      readonly log: Log
    },
    options: IndexerOptions = DEFAULT_OPTIONS,
  ) {
    ;({ store: this.#store, writer: this.#writer, preparer: this.#preparer, rules: this.#rules } = parts)
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
    this.#retry()
  }

  /** What went wrong in reading a file, and may not again. */
  #retry(): void {
    const failed = this.#writer.db
      .query<[], [number]>("SELECT ino FROM document WHERE state = 'failed' AND length(hash) = 0")
      .all()
    this.#writer.transact(() => {
      for (const [ino] of failed) this.#pending.put(ino, this.#followed, true, Date.now())
    })
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
   * Reads files that are due, has them prepared, and writes what was found. Returns in how many milliseconds there may be more
   * to do; undefined: not before something changes.
   */
  async work(): Promise<number | undefined> {
    const hasRead = this.#inFlightBytes < BYTES && this.#readDue()
    // Results and orders come through the event loop.
    await new Promise((resolve) => setImmediate(resolve))
    const isWaiting = !hasRead && this.#inFlight.size > 0
    if (isWaiting && this.#ready.length === 0) await this.#waitUntilReady()
    const hasWritten = this.#writeReady(!hasRead && this.#inFlight.size === 0)
    if (hasRead || hasWritten || this.#ready.length > 0) return 0
    if (this.#inFlight.size > 0) return TICK_MS
    const { quietMs, longestMs } = this.#options
    const next = this.#pending.nextMs(quietMs, longestMs)
    return next === undefined ? undefined : Math.max(0, next - Date.now())
  }

  #waitUntilReady(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, TICK_MS)
      this.#onReady = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** Larger transactions cost less: FTS5 writes out what it has gathered at the end of each. */
  #writeReady(isLast: boolean): boolean {
    const ready = this.#ready
    if (ready.length === 0) return false
    const bytes = ready.reduce((sum, look) => sum + look.bytes, 0)
    if (!isLast && bytes < WRITE_BYTES && Date.now() - this.#readyMs < WRITE_MS) return false
    this.#ready = []
    this.#write(ready)
    for (const { file } of ready) this.#inFlight.delete(file.ino)
    return true
  }

  /** Reads what has to be read of files that are due, all at one instant, and deals with those that have not; false: none is. */
  #readDue(): boolean {
    const { quietMs, longestMs } = this.#options
    const due = this.#pending
      .due({ nowMs: Date.now(), quietMs, longestMs, upTo: this.#wanted }, FILES + this.#inFlight.size)
      .filter(({ ino }) => !this.#inFlight.has(ino))
    if (due.length === 0) return false
    this.#store.view(() => {
      this.#rules.begin()
      this.#writer.transact(() => {
        let bytes = 0
        for (const file of due) {
          if (bytes > BYTES) break
          bytes += this.#look(file)
        }
      })
    })
    return true
  }

  /** Has a file prepared; one whose contents are as they were, or that is not indexed, is dealt with. Returns the bytes read. */
  #look(file: PendingFile): number {
    const { ino } = file
    const inode = this.#store.inodes.get(ino)
    const paths = inode === undefined ? [] : this.#shownPaths(inode)
    const [path] = paths
    if (inode === undefined || path === undefined) {
      this.#forget(file)
      return 0
    }
    const [known] = this.#document.get(ino) ?? []
    if (known !== undefined && !file.mayHaveChanged && this.#seen.isSame(inode)) {
      this.#rename(file, paths)
      return 0
    }
    using content = new StoredContent(this.#store, inode)
    const readMs = Date.now()
    const name = basename(path.toString("latin1"))
    try {
      const taken = content.take()
      const { size, bytes, refusal } = taken
      const hash = hashOf(taken, extensionOf(name))
      if (known?.equals(hash) === true) {
        this.#rename(file, paths)
        this.#seen.put(inode, readMs)
        return bytes.length
      }
      const look: Look = { file, inode: copyOf(inode), paths, hash, readMs, bytes: bytes.length }
      this.#begin(look)
      if (refusal !== undefined) this.#finish(look, refusal)
      else
        void this.#preparer
          .prepare(basename(path.toString()), size, bytes)
          .then((prepared) => this.#finish(look, prepared))
      return bytes.length
    } catch (thrown) {
      // A damaged file is told of by fsck, and whoever reads it gets EIO; the index goes on without it.
      if (!(thrown instanceof Fault)) throw thrown
      const look: Look = { file, inode: copyOf(inode), paths, hash: UNREADABLE, readMs, bytes: 0 }
      this.#begin(look)
      this.#finish(look, refuse("broken", thrown.message))
      return 0
    }
  }

  #begin(look: Look): void {
    this.#inFlight.set(look.file.ino, look)
    this.#inFlightBytes += look.bytes
  }

  #finish(look: Look, prepared: Prepared): void {
    this.#inFlightBytes -= look.bytes
    if (this.#ready.length === 0) this.#readyMs = Date.now()
    this.#ready.push({ ...look, prepared })
    this.#onReady?.()
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

  #write(looks: readonly PreparedLook[]): void {
    this.#writer.transact(() => {
      for (const look of looks) this.#put(look)
    })
  }

  #put({ file, inode, paths, hash, readMs, prepared: result }: PreparedLook): void {
    const { size, mtime, mtimeNanos } = inode
    // A busy machine, or a bug that is mended by now: it is read again when it is looked at next, at the latest by the next indexer.
    const isFinal = !("state" in result) || !PASSING.includes(result.state)
    const indexed = { ino: file.ino, hash: isFinal ? hash : NO_HASH, size, mtime, mtimeNanos }
    if ("state" in result) {
      const error = `${result.state}: ${result.reason}`
      this.#writer.replaceDocument({ ...indexed, state: STATES[result.state], error }, undefined)
    } else this.#writer.replaceDocument({ ...indexed, state: "indexed", error: "" }, result)
    if (!this.#hasPaths(file.ino, paths)) this.#writer.setPaths(file.ino, paths)
    if (isFinal) this.#seen.put(inode, readMs)
    else this.#seen.remove(inode.ino)
    this.#pending.remove(file)
  }
}

/** Of a file that is to be read again, whatever is in it. */
const NO_HASH = Buffer.alloc(0)
/** Of a file that could not be read: no content has it. */
const UNREADABLE = Buffer.alloc(32)

const PASSING: readonly RefusalState[] = ["timed-out", "crashed"]

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
