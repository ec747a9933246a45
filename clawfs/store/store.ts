/**
 * A store: the directory with `meta.db` and `segments/`. Composes the tables, and is the only place where a transaction
 * begins and ends. What `transact` has returned from survives the process, so a killed server loses nothing that it
 * acknowledged. docs/FORMAT.md describes the files.
 */
import { statfsSync, statSync } from "node:fs"
import { join } from "node:path"
import { ROOT_NODE, type NodeId } from "../core/brand.ts"
import { present } from "../core/assert.ts"
import { Fault } from "../core/fault.ts"
import { APPLICATION_ID, SCHEMA_VERSION } from "../../migrations/sqlite/steps.ts"
import { pinClock, pinClockWhenRead } from "../sys/clock.ts"
import { Burial } from "./burial.ts"
import { Cleaner } from "./cleaner.ts"
import { Compression, compressedCoding, compressedRecoding } from "./compression.ts"
import { Contents } from "./contents.ts"
import { Copies } from "./copies.ts"
import { damagedRow } from "./checksum.ts"
import { Counters } from "./counters.ts"
import { Database } from "./database.ts"
import { Dentries } from "./dentries.ts"
import { Feed } from "./feed.ts"
import { FreePages } from "./free-pages.ts"
import { Garbage } from "./garbage.ts"
import { identityOf } from "./identity.ts"
import { Inode } from "./inode.ts"
import { Inodes } from "./inodes.ts"
import { Keys } from "./keys.ts"
import { emptyVoidJournal } from "./journal-header.ts"
import { Journal } from "./journal.ts"
import { segmentOf } from "./log-position.ts"
import type { FileKey } from "../../keyring/file-key.ts"
import type { TreeKey } from "../../keyring/tree-key.ts"
import { migrate } from "./migrate.ts"
import { makeStore } from "./initialise.ts"
import { newInode } from "./new-inode.ts"
import { META, SEGMENTS, requireStore } from "./place.ts"
import { requireWritableFormat } from "./recognise.ts"
import { recoverFromPowerCut } from "./recovery.ts"
import { Sealing } from "./sealing.ts"
import { sealedCoding, sealedRecoding } from "./sealed-coding.ts"
import { Reserve, openOnFullDisk } from "./reserve.ts"
import { requireWholeWal } from "./rewrite.ts"
import { Schedules } from "./schedules.ts"
import { Segments } from "./segments.ts"
import { Snapshots } from "./snapshots.ts"
import type { RequestId, Space, StoreOptions } from "./store-options.ts"
import { Subtrees } from "./subtrees.ts"
import { Trees } from "./trees.ts"
import { Transactions, type Participant } from "./transactions.ts"
import { Symlinks, Xattrs } from "./xattrs.ts"

export { META, SEGMENTS, newInode }
export type { RequestId, Space, StoreOptions }

/** A WAL this long is folded back by the serving thread: the worker's passive checkpoints can't reset it. */
const WAL_LIMIT_BYTES = 64 * 1024 * 1024
/** On a full disk it must not eat up the room that is left; and one that stays so long after cleaning is cut. */
const TIGHT_WAL_BYTES = 4 * 1024 * 1024
/** Programs are told of a full disk otherwise. */
const CUT_PATIENCE_MS = 500
const COMMITS_BETWEEN_CHECKS = 32
/** So many unlinked inodes wait at most. */
const BURY_AT = 512
const UNIQUE_HIGH_MASK = 0x7fff_ffff

export class Store implements Disposable {
  readonly directory: string
  readonly uuid: Buffer
  readonly inodes: Inodes
  readonly dentries: Dentries
  readonly xattrs: Xattrs
  readonly symlinks: Symlinks
  readonly contents: Contents
  readonly counters: Counters
  readonly feed: Feed
  readonly trees: Trees
  readonly keys: Keys
  readonly sealing: Sealing
  readonly copies: Copies
  readonly snapshots: Snapshots
  readonly schedules: Schedules
  readonly subtrees: Subtrees
  readonly garbage: Garbage
  readonly readOnly: boolean
  readonly #db: Database
  readonly #segments: Segments
  readonly #transactions: Transactions
  readonly #reserve: Reserve
  readonly #logSynced: () => number
  readonly #onLogEnd: (end: number) => void
  readonly #onFailedSync: () => void
  readonly #freePages: FreePages
  #journal: Journal | undefined
  /** A new epoch of the feed is due. */
  #renewsFeed = false
  readonly #deadSegments: number[] = []
  /** Emptied in the transaction that is not committed yet. */
  readonly #emptied: number[] = []
  readonly #burial: Burial
  #commits = 0

  private constructor(directory: string, db: Database, options: StoreOptions) {
    this.directory = directory
    this.#logSynced = options.logSynced ?? ((): number => 0)
    this.#onLogEnd = options.onLogEnd ?? ((): void => undefined)
    this.#onFailedSync = options.onFailedSync ?? ((): void => undefined)
    this.readOnly = options.readOnly ?? false
    this.#db = db
    const { uuid, seedA, seedB } = identityOf(db)
    this.uuid = uuid
    this.#freePages = new FreePages(db)
    this.counters = new Counters(db)
    this.trees = new Trees(db)
    this.keys = new Keys(db)
    this.sealing = new Sealing(uuid, this.trees, this.keys, () => this.#transactions.isNoted)
    const keyOf = (inode: Inode | undefined): FileKey | undefined => this.sealing.keyOf(inode)
    this.inodes = new Inodes(db, this.counters, this.trees)
    this.feed = new Feed(db, this.counters)
    const directories = {
      get: (ino: NodeId) => this.inodes.get(ino),
      isEncrypted: (directory: Inode) => this.sealing.isEncrypted(directory),
      keyOf,
    }
    this.dentries = new Dentries(db, seedA, seedB, directories, (...name) => this.feed.note(...name))
    this.subtrees = new Subtrees(db, this.inodes, this.dentries, this.trees)
    this.xattrs = new Xattrs(db, keyOf)
    this.symlinks = new Symlinks(db, keyOf)
    this.#segments = new Segments(db, join(directory, SEGMENTS), uuid, this.counters, this.readOnly)
    this.#reserve = new Reserve(directory, () => this.#segments.largest)
    const coding = sealedCoding(this.sealing, compressedCoding(new Compression(this.trees)))
    this.contents = new Contents(db, this.#segments, this.counters, this.trees, coding)
    this.copies = new Copies(db, this.counters, this.inodes, this.trees)
    this.snapshots = new Snapshots(db, this.counters)
    this.schedules = new Schedules(db, this.counters)
    this.#burial = new Burial(this, options.log)
    const recodingOf = sealedRecoding(this.sealing, compressedRecoding)
    const cleaner = new Cleaner(db, this.#segments, recodingOf, options.log)
    this.garbage = new Garbage(cleaner, this.#freePages, this.#reserve, () => this.isTight)
    this.#transactions = new Transactions(db, this.#participant(), options.onMoment ?? (() => undefined))
  }

  /** Opens an existing store; one of an older version is migrated, with a backup beside it. */
  static open(directory: string, options: StoreOptions = {}): Store {
    requireStore(directory)
    if (options.readOnly === true) return Store.#opened(directory, options)
    requireWritableFormat(join(directory, META))
    emptyVoidJournal(directory)
    recoverFromPowerCut(directory, options.log)
    return openOnFullDisk(directory, () => Store.#opened(directory, options))
  }

  static #opened(directory: string, options: StoreOptions): Store {
    const db = new Database(join(directory, META), { readonly: options.readOnly ?? false })
    try {
      migrate(db, { readOnly: options.readOnly ?? false })
      // Beside a server, what is read must be of one commit: a row and the sum of another would look like damage.
      if (options.readOnly === true) db.begin()
      const store = new Store(directory, db, options)
      if (store.inodes.get(ROOT_NODE) === undefined) throw damagedRow("the root directory")
      db.rollback()
      store.#adoptLog()
      return store
    } catch (thrown) {
      db[Symbol.dispose]()
      throw thrown
    }
  }

  /** A store of format 1 does not say what of its log is on the disk: all of it is, from now on. */
  #adoptLog(): void {
    if (this.readOnly || this.counters.logEnd > 0 || this.#segments.end === 0) return
    this.#segments.syncAll()
    this.counters.logSynced = this.#segments.end
  }

  /** Makes a new store in an empty or missing directory, with a root directory that `root` describes. */
  static create(directory: string, root: { mode: number; uid: number; gid: number }): Store {
    makeStore(directory, root)
    return Store.open(directory)
  }

  /**
   * Lets requests share transactions from now on (docs/ARCHITECTURE.md, "Answered, committed, durable"). `execute` runs a
   * request of the journal again; what an earlier server had answered and not committed is done again before this
   * returns. `flags` are the protocol's, kept with the journal. Returns the number of requests that were done again.
   */
  beginBatching(execute: (request: Buffer, flags: bigint) => void): number {
    const journal = Journal.open(this.directory)
    this.#journal = journal
    const isSameBoot = journal.flags !== undefined
    const again = this.#transactions.batch({
      journal,
      reserve: this.#reserve,
      execute: (entry) => this.sealing.replay(entry, (request) => execute(request, journal.flags ?? 0n)),
    })
    // What was read of the feed may have been lost with the power: its reader begins anew.
    this.#renewsFeed = !isSameBoot || this.counters.feedEpoch === 0
    return again
  }

  /** The protocol's flags for the requests that will be noted. */
  armJournal(flags: bigint): void {
    this.commit()
    this.#journal?.arm(flags, this.counters.batch + 1)
  }

  /** Tells which request the next changes belong to: `length` bytes that must not change until `endRequest`. */
  beginRequest(bytes: Buffer, length: number): void {
    pinClockWhenRead()
    this.sealing.beginRequest()
    this.#transactions.beginRequest(bytes, length)
  }

  endRequest(): void {
    this.#transactions.endRequest()
    this.sealing.beginRequest()
    pinClock(undefined)
  }

  /** A request of an earlier server is being executed again: what it told the kernel must not be told twice. */
  get isReplaying(): boolean {
    return this.#transactions.isReplaying
  }

  /**
   * Runs `change`; when this returns, it survives the process. With `request`, remembers that this request was executed
   * and what its answer needs (`value`: the inode it made, or a count). If `change` throws, nothing of it is kept.
   */
  transact<T>(change: () => T, request?: RequestId, value?: (result: T) => number): T {
    if (!this.sealing.isSecret) return this.#transactions.run(() => this.#remembered(change, request, value))
    // What the request says is plaintext: the journal must not have it as it is.
    const seal = this.sealing.sealOfRequest()
    if (seal === undefined) return this.transactAlone(change, request, value)
    return this.#transactions.run(() => this.#remembered(change, request, value), seal)
  }

  /** As `transact`, for a change whose outcome depends on more than the store and the clock. */
  transactAlone<T>(change: () => T, request?: RequestId, value?: (result: T) => number): T {
    return this.#transactions.runAlone(() => this.#remembered(change, request, value))
  }

  #remembered<T>(change: () => T, request?: RequestId, value?: (result: T) => number): T {
    const result = change()
    if (request !== undefined) this.#record(request, value?.(result) ?? 0)
    return result
  }

  /** A change that belongs to no request: it rides along, and may get lost with a server, to be done again some time. */
  housekeep(change: () => void): void {
    this.#transactions.runHousekeeping(change)
  }

  /** To be called before a change that takes room. Throws "no-space" while the room that there is is kept for deleting. */
  requireRoom(): void {
    this.#transactions.requireRoom()
  }

  /** The disk is full: what room there is is kept for deleting. */
  get isTight(): boolean {
    return this.#transactions.isTight
  }

  /** See `Transactions.catchUp`. */
  catchUp(): void {
    this.#transactions.catchUp()
  }

  /** Commits what requests have answered so far. */
  commit(): void {
    this.#transactions.commit()
  }

  #record(request: RequestId, value: number): void {
    this.counters.reply = {
      uniqueLow: request.uniqueLow,
      uniqueHigh: request.uniqueHigh & UNIQUE_HIGH_MASK,
      value,
    }
  }

  /** Whether `request` was executed already; then the value that was remembered with it. */
  replyOf(request: RequestId): number | undefined {
    const { uniqueLow, uniqueHigh, value } = this.counters.reply
    const same = uniqueLow === request.uniqueLow && uniqueHigh === (request.uniqueHigh & UNIQUE_HIGH_MASK)
    return same && (uniqueLow !== 0 || uniqueHigh !== 0) ? value : undefined
  }

  /** Request numbers start again with every mount. */
  clearReply(): void {
    this.transact(() => {
      this.counters.reply = { uniqueLow: 0, uniqueHigh: 0, value: 0 }
    })
  }

  #participant(): Participant {
    return {
      batch: () => this.counters.batch,
      flush: (batch) => this.#flush(batch),
      reload: () => this.#reload(),
      committed: () => {
        this.#burial.committed()
        this.#deadSegments.push(...this.#emptied.splice(0))
        this.#commits += 1
      },
      debt: () => Math.max(0, this.#freePages.databaseBytes - statSync(join(this.directory, META)).size),
      cutWal: () => {
        if (this.#walBytes > TIGHT_WAL_BYTES) this.checkpointInline("TRUNCATE", CUT_PATIENCE_MS)
      },
    }
  }

  #flush(batch: number): void {
    this.#burial.bury()
    this.contents.flush()
    this.feed.flush(this.inodes.changedFiles())
    this.inodes.flush()
    if (this.trees.flush()) this.keys.dropUnused()
    this.#emptied.push(...this.#segments.save())
    this.counters.batch = batch
    this.counters.logEnd = this.#segments.end
    this.#onLogEnd(this.counters.logEnd)
    this.counters.logSynced = Math.max(this.counters.logSynced, this.#logSynced())
    this.counters.save()
  }

  #reload(): void {
    this.inodes.clear()
    this.feed.clear()
    this.sealing.clear()
    this.trees.reload()
    this.dentries.clearCache()
    this.contents.clearCaches()
    this.#segments.reload()
    this.counters.load()
    this.#emptied.length = 0
    this.#burial.rolledBack()
  }

  /**
   * Runs `look` on the store as the last commit left it, all of it at one instant: for a store that is opened read-only
   * beside the server that writes it. What was cached before is forgotten.
   */
  view<T>(look: () => T): T {
    using _ = this.openView()
    return look()
  }

  /** As `view`, until what it returns is disposed. */
  openView(): Disposable {
    this.#db.begin()
    try {
      this.#reload()
    } catch (thrown) {
      this.#db.rollback()
      throw thrown
    }
    return { [Symbol.dispose]: () => this.#db.rollback() }
  }

  /** Takes a tree's key over; from now on it can be read and written. Throws `Fault("denied")` for a wrong one. */
  unlockTree(key: TreeKey): void {
    this.sealing.unlock(key)
    this.garbage.retry()
  }

  /**
   * Gives up a tree's key, and whatever was decrypted with it. Commits first. What the kernel has is for the caller to
   * take back.
   */
  lockTree(key: number): void {
    this.commit()
    this.sealing.lock(key)
    this.dentries.clearCache()
    this.contents.wipeCaches()
  }

  /** Takes an inode that neither a name nor the kernel holds. Its rows go with the next commit. */
  release(ino: NodeId): void {
    this.#burial.add(ino)
  }

  /** So many are waiting that a commit is due: between requests, where a failure concerns none. */
  get hasManyReleased(): boolean {
    return this.#burial.waiting >= BURY_AT
  }

  /**
   * Gives back what released inodes hold, for a request that needs it and has not changed anything; false when there are
   * none. May throw `Rebuilt`.
   */
  reclaim(): boolean {
    if (this.#burial.waiting === 0 || this.isReplaying) return false
    this.#transactions.commitEarly()
    return true
  }

  get hasWork(): boolean {
    return this.#burial.waiting > 0 || this.#renewsFeed || this.#transactions.isOpen
  }

  /** Commits everything, with the rows of released inodes. */
  settle(): void {
    if (this.#burial.waiting > 0) this.housekeep(() => undefined)
    if (this.#renewsFeed && !this.isTight) {
      this.housekeep(() => this.feed.renew())
      this.#renewsFeed = false
    }
    this.commit()
  }

  /** Housekeeping between requests: bounds the caches, and the WAL under steady load. Commits. */
  tidy(): void {
    this.settle()
    if (this.feed.isTooLong) this.#renewsFeed = true
    this.inodes.trim()
    if (this.#commits < COMMITS_BETWEEN_CHECKS && !this.isTight) return
    this.#commits = 0
    if (this.#walBytes > (this.isTight ? TIGHT_WAL_BYTES : WAL_LIMIT_BYTES)) this.checkpointInline()
  }

  /**
   * Folds the WAL into the database and lets it start again; data goes to the disk before what points to it. Readers, such as
   * another checkpoint, are waited for `patience` milliseconds.
   */
  checkpointInline(mode: "RESTART" | "TRUNCATE" = this.isTight ? "TRUNCATE" : "RESTART", patience = 0): void {
    try {
      this.#segments.syncAll(segmentOf(this.#logSynced()))
      // A long reader (fsck, a backup) must not keep programs waiting: the WAL grows on, and it is tried again.
      this.#db.waitingAtMost(patience, () => this.#db.checkpoint(mode))
    } catch (thrown) {
      // Without room for its pages the database has not been synced, and the WAL is as it was.
      if (!(thrown instanceof Fault && (thrown.kind === "no-space" || thrown.kind === "busy")))
        this.#onFailedSync()
      throw thrown
    }
  }

  /**
   * After a failed sync: what the disk may not have is written once more, from the page cache, and synced. A failed sync marks
   * pages as clean, so the next one would claim success for bytes that are on no disk. Throws while the disk still fails, or
   * when the bytes are not whole any more; then nothing that was not synced before may be called durable.
   */
  makeGood(): void {
    this.settle()
    this.#segments.rewrite(this.#logSynced(), this.logEnd)
    requireWholeWal(this.#db)
    // What the WAL holds gets into the database, which is synced itself.
    if (this.#db.waitingAtMost(0, () => this.#db.checkpoint("TRUNCATE")).isBusy)
      throw new Fault("busy", "a reader keeps the WAL from being folded back")
  }

  /** Moves up to `bytes` out of what is mostly garbage; 0: there was nothing to do. Then `commit`. */
  clean(bytes: number): number {
    let moved = 0
    this.housekeep(() => {
      moved = this.garbage.step(bytes)
    })
    return moved
  }

  /** Cuts the files of the database to what they hold, if the WAL is long. Commits, and may wait for the disk. */
  shrinkFiles(): void {
    this.settle()
    if (this.#walBytes > TIGHT_WAL_BYTES) this.checkpointInline("TRUNCATE")
  }

  get #walBytes(): number {
    return statSync(`${this.#db.path}-wal`, { throwIfNoEntry: false })?.size ?? 0
  }

  /** Segments that commits have emptied, to be deleted once those commits are durable; each is told once. */
  takeDeadSegments(): number[] {
    for (const id of this.#deadSegments) this.#segments.close(id)
    return this.#deadSegments.splice(0)
  }

  /**
   * Closes the segments, which are opened again when they are read. A reader beside the server must not have them open for
   * long: one that the server deletes takes its room until then.
   */
  closeSegments(): void {
    this.#segments.closeAll()
  }

  /** Where the log ends: records before it may not be on the disk yet. */
  get logEnd(): number {
    return this.#segments.end
  }

  /** Up to where the log was known to be on the disk when the last commit was made. */
  get logSynced(): number {
    return this.counters.logSynced
  }

  space(): Space {
    const disk = statfsSync(this.directory)
    return {
      usedBytes: this.counters.bytes,
      availableBytes: Math.max(0, disk.bavail * disk.bsize - (this.isTight ? this.#reserve.bytes : 0)),
      totalBytes: disk.blocks * disk.bsize,
      inodes: this.counters.inodes,
    }
  }

  root(): Inode {
    return present(this.inodes.get(ROOT_NODE), "root inode")
  }

  [Symbol.dispose](): void {
    this.#journal?.[Symbol.dispose]()
    this.#segments[Symbol.dispose]()
    this.#reserve[Symbol.dispose]()
    this.sealing[Symbol.dispose]()
    this.#db[Symbol.dispose]()
  }
}

/** For messages: which version this program reads and writes. */
export const STORE_VERSION = { application: APPLICATION_ID, schema: SCHEMA_VERSION } as const
