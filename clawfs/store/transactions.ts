/**
 * When a change becomes permanent. A single change is one SQLite transaction. With a journal, many requests share one:
 * each is answered when it is noted in the journal, and the batch is committed when it is large, when nothing more comes
 * in, or before anything that must find it committed (fsync, a request too large for the journal).
 *
 * Invariant: database as of the last commit + entries of the journal = everything that was answered.
 */
import { Fault, Rebuilt, kindOfThrown } from "../core/fault.ts"
import { now, pinClock } from "../sys/clock.ts"
import { beginData } from "./checksum.ts"
import type { Database, Query } from "./database.ts"
import type { Journal, JournalEntry } from "./journal.ts"
import type { SealEntry } from "./journal-sealing.ts"
import type { Reserve } from "./reserve.ts"

/** What takes part in every commit and rollback. */
export interface Participant {
  /** Writes what is kept in memory; the number is that of the batch being committed. */
  flush(batch: number): void
  /** Memory is as the last commit left it. */
  reload(): void
  /** Number of the last committed batch. */
  readonly batch: () => number
  readonly committed: () => void
  /** Bytes by which the database will grow when the WAL is folded back. */
  readonly debt: () => number
  /** Gives the disk back what the WAL takes of it, if that is much. Nothing is being changed. Throws what the disk says. */
  readonly cutWal: () => void
}

export interface Batching {
  readonly journal: Journal
  readonly reserve: Reserve
  /** Executes a request of the journal again. */
  readonly execute: (entry: JournalEntry) => void
}

/** Test hook: runs where a killed server would hurt most. */
export type Moment = "answered" | "committed"

const BATCH_OPERATIONS = 256
/** A disk that was full is looked at again after so many commits. */
const COMMITS_BETWEEN_LOOKS = 64

export class Transactions {
  readonly #db: Database
  /** Changes no row. */
  readonly #nothing: Query<[]>
  readonly #participant: Participant
  readonly #onMoment: (moment: Moment) => void
  #batching: Batching | undefined
  #request: Buffer | undefined
  #requestLength = 0
  /** SQLite is in a transaction. Without one every read would lock and unlock the database: four system calls. */
  #hasBegun = false
  /** It has changes. */
  #isOpen = false
  #isReplaying = false
  #isNoted = false
  #operations = 0
  /** Answered requests are in the journal alone. */
  #mustRedo = false
  /** How often memory was rebuilt from the last commit. */
  #redone = 0
  /**
   * The disk is full, the reserve perhaps given back: what room is left belongs to deleting. Every request is committed before its
   * answer, and none that takes room begins (`requireRoom`).
   */
  #isTight = false
  #commits = 0

  constructor(db: Database, participant: Participant, onMoment: (moment: Moment) => void) {
    this.#db = db
    this.#nothing = db.query("DELETE FROM state WHERE 0")
    this.#participant = participant
    this.#onMoment = onMoment
  }

  /** From now on requests share transactions. First, what an earlier server had answered and not committed is done again. */
  batch(batching: Batching): number {
    this.#batching = batching
    this.#isTight = !batching.reserve.take()
    const entries = batching.journal.entriesOf(this.#participant.batch() + 1)
    this.#replay(entries, batching)
    this.commit()
    return entries.length
  }

  get isReplaying(): boolean {
    return this.#isReplaying
  }

  /** Whether the change that is being made will be in the journal, as the request that asked for it. */
  get isNoted(): boolean {
    return this.#isNoted
  }

  /** See `#isTight`. */
  get isTight(): boolean {
    return this.#isTight
  }

  /** To be called before a change that takes room: throws "no-space" while what room there is is kept for deleting. */
  requireRoom(): void {
    if (!this.#isTight || this.#isReplaying) return
    if (this.#batching?.reserve.takeIfThereIsRoom(this.#participant.debt()) !== true)
      throw new Fault("no-space", "the disk below the store is full", { isClean: true })
    this.#isTight = false
  }

  /** The request that the next changes belong to: `length` bytes that must stay as they are until `endRequest`. */
  beginRequest(bytes: Buffer, length: number): void {
    beginData(bytes.buffer)
    this.#request = bytes
    this.#requestLength = length
    this.#begin()
  }

  endRequest(): void {
    this.#request = undefined
    beginData(undefined)
  }

  /**
   * Runs `change`; when this returns, it survives the process. If it throws, nothing of it is kept. `seal`: the journal may
   * have the request only as this makes it.
   */
  run<T>(change: () => T, seal?: SealEntry): T {
    if (this.#isReplaying) return change()
    if (this.#catchUp()) throw new Rebuilt("the batch was done again")
    const batching = this.#batching
    const request = this.#request
    if (batching === undefined || this.#isTight) return this.runAlone(change)
    if (request === undefined) return this.runHousekeeping(change)
    const length = this.#requestLength
    if (!batching.journal.fits(length)) {
      this.#commitBefore()
      if (!batching.journal.fits(length)) return this.#single(change)
    }
    const result = this.#shared(() => {
      this.#isNoted = true
      try {
        const outcome = change()
        batching.journal.append(this.#participant.batch() + 1, now(), request, length, seal)
        return outcome
      } finally {
        this.#isNoted = false
      }
    }, batching)
    this.#operations += 1
    this.#onMoment("answered")
    if (this.#operations >= BATCH_OPERATIONS) this.#commitAfter()
    return result
  }

  /** A change whose outcome depends on more than the store and the clock: it must not be left to a second execution. */
  runAlone<T>(change: () => T): T {
    if (this.#isReplaying) return change()
    if (this.#catchUp()) throw new Rebuilt("the batch was done again")
    this.#commitBefore()
    return this.#single(change)
  }

  /**
   * Commits a batch that is large enough. The request that filled it is noted and will be kept: a full disk is the next
   * one's to hear of.
   */
  #commitAfter(): void {
    try {
      this.commit()
    } catch (thrown) {
      if (!(thrown instanceof Fault && thrown.kind === "no-space")) throw thrown
      this.#isTight = true
    }
  }

  /** Commits the batch on behalf of a request that has begun. If that took a redo, the request must begin again. */
  #commitBefore(): void {
    const redone = this.#redone
    this.commit()
    if (this.#redone !== redone) throw new Rebuilt("the batch was done again")
  }

  /** Commits the batch, and what waits to be committed with it, on behalf of a request that has not changed anything. */
  commitEarly(): void {
    if (this.#isReplaying) return
    this.#open()
    this.#commitBefore()
  }

  /** A change of no request: rides along with the batch, and is done again some other time if that is lost. */
  runHousekeeping<T>(change: () => T): T {
    if (this.#isReplaying) return change()
    // It has looked nothing up yet that a redo would make stale.
    this.#catchUp()
    if (this.#batching === undefined || this.#isTight) {
      this.commit()
      return this.#single(change)
    }
    const result = this.#shared(change, this.#batching)
    this.#operations += 1
    return result
  }

  #single<T>(change: () => T): T {
    this.#open()
    try {
      const result = change()
      this.#participant.flush(this.#participant.batch() + 1)
      this.#db.commit()
      this.#afterCommit()
      return result
    } catch (thrown) {
      this.#rollback()
      throw thrown
    }
  }

  #shared<T>(change: () => T, batching: Batching): T {
    this.#open()
    try {
      return change()
    } catch (thrown) {
      if (thrown instanceof Fault && thrown.isClean) throw thrown
      this.#redo(batching)
      throw thrown
    }
  }

  #begin(): void {
    if (this.#hasBegun) return
    this.#db.begin()
    this.#hasBegun = true
  }

  #open(): void {
    if (this.#isOpen) return
    this.#begin()
    this.#db.startWriting(this.#nothing)
    this.#isOpen = true
  }

  /** Ends a transaction that has only read, so that checkpoints can go on behind it. */
  #endReading(): void {
    if (this.#hasBegun) this.#db.rollback()
    this.#hasBegun = false
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Commits the batch. A full disk gets the reserve; if that does not help either, answered requests can't be kept. */
  commit(): void {
    this.#catchUp()
    if (this.#isReplaying) return
    if (!this.#isOpen) {
      this.#endReading()
      return
    }
    const batching = this.#batching
    try {
      this.#participant.flush(this.#participant.batch() + 1)
      this.#db.commit()
    } catch (thrown) {
      if (batching === undefined) {
        this.#rollback()
        throw thrown
      }
      this.#redo(batching)
      batching.reserve.give()
      this.#isTight = true
      this.#retryCommit(batching)
    }
    this.#afterCommit()
  }

  #retryCommit(batching: Batching): void {
    this.#open()
    try {
      this.#participant.flush(this.#participant.batch() + 1)
      this.#db.commit()
    } catch (thrown) {
      // What was answered stays in the journal and, done again, in memory: the next commit may succeed.
      this.#redo(batching)
      throw thrown
    }
  }

  #afterCommit(): void {
    this.#hasBegun = false
    this.#isOpen = false
    this.#operations = 0
    this.#onMoment("committed")
    this.#batching?.journal.restart(this.#participant.batch() + 1)
    this.#participant.committed()
    this.#commits += 1
    if (this.#batching !== undefined) this.#lookForRoom(this.#batching.reserve)
  }

  #lookForRoom(reserve: Reserve): void {
    if (this.#isTight && this.#commits % COMMITS_BETWEEN_LOOKS === 0)
      this.#isTight = !reserve.takeIfThereIsRoom(this.#participant.debt())
    else if (!this.#isTight) {
      // Folding the WAL back takes room too. Once it can't be, nothing is ever given back.
      this.#isTight = reserve.isShort(this.#participant.debt) && !this.#cutsWal(reserve)
      if (!this.#isTight) reserve.grow(this.#participant.debt)
    }
  }

  /** Whether there is room once the WAL has been cut. */
  #cutsWal(reserve: Reserve): boolean {
    try {
      this.#participant.cutWal()
    } catch (thrown) {
      // It has been committed. What ails the disk is told by the next checkpoint, which is tried again and again.
      if (kindOfThrown(thrown) === "bug") throw thrown
      return false
    }
    return !reserve.isShort(this.#participant.debt)
  }

  #rollback(): void {
    this.#db.rollback()
    this.#hasBegun = false
    this.#isOpen = false
    this.#operations = 0
    this.#participant.reload()
  }

  /**
   * Takes back what failed, and with it the batch; then executes the answered requests of the batch again. If there is no
   * room even for that, they stay in the journal, and nothing else is done before they are.
   */
  #redo(batching: Batching): void {
    this.#redone += 1
    this.#mustRedo = true
    this.#rollback()
    const entries = batching.journal.entriesOf(this.#participant.batch() + 1)
    try {
      this.#replay(entries, batching)
    } catch (thrown) {
      this.#rollback()
      if (!(thrown instanceof Fault && thrown.kind === "no-space")) throw thrown
      // What was answered goes before what is asked now: the reserve is for this.
      batching.reserve.give()
      this.#isTight = true
      this.#replayOrLeave(entries, batching)
    }
    this.#mustRedo = false
  }

  #replayOrLeave(entries: readonly JournalEntry[], batching: Batching): void {
    try {
      this.#replay(entries, batching)
    } catch (thrown) {
      this.#rollback()
      throw thrown
    }
  }

  /**
   * After a disk that was too full for it: does again what was answered, before anything is answered from a state that
   * lacks it. Throws "no-space" while there is no room.
   */
  catchUp(): void {
    this.#catchUp()
  }

  /** Does again what could not be done again so far; true if there was something. */
  #catchUp(): boolean {
    if (!this.#mustRedo || this.#isReplaying || this.#batching === undefined) return false
    this.#redo(this.#batching)
    return true
  }

  #replay(entries: readonly JournalEntry[], batching: Batching): void {
    if (entries.length === 0) return
    this.#open()
    this.#isReplaying = true
    const request = this.#request
    // A redo in the middle of a request: what that has stamped already, and what it will, has one time.
    const time = request === undefined ? undefined : now()
    try {
      for (const entry of entries) {
        pinClock(entry.time)
        batching.execute(entry)
      }
    } finally {
      this.#isReplaying = false
      this.#request = request
      pinClock(time)
    }
    this.#operations = entries.length
  }
}
