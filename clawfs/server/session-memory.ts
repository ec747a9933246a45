/**
 * What belongs to one FUSE connection and must outlive a killed server: the agreement of INIT, lookup counts, requests
 * that wait for an answer, progress counters. The supervisor makes it, every server maps it; the threads of a server
 * share it too. Layout: one page of words, then the lookup tables.
 */
import { SharedMapping, createSharedMemory } from "../sys/shared-memory.ts"
import { LOOKUP_BYTES, type LookupHeader } from "../fs/lookups.ts"
import type { LastFlush } from "./gathering.ts"
import type { CountedMark } from "../fs/environment.ts"
import { LISTING_WORDS } from "../fs/listings.ts"
import type { Agreement } from "../fuse/session.ts"

const PAGE = 4096
export const LOOKUP_BASE = PAGE

const Word = {
  AGREED: 0,
  MINOR: 1,
  FLAGS_LOW: 2,
  FLAGS_HIGH: 3,
  WRITEBACK: 4,
  OPEN_IS_ASKED: 5,
  COUNTED_LOW: 8,
  COUNTED_HIGH: 9,
  LOOKUP_LOG: 10,
  LOOKUP_USED: 11,
  ANSWERED: 16,
  COMMITS: 17,
  ORPHANS: 20,
  REPLAYED: 21,
  /** Doubles, which take two words each. */
  INODES: 24,
  BYTES: 26,
  LOG_END: 28,
  LOG_SYNCED: 30,
  LOG_LIVE: 32,
  LOG_DEAD: 34,
  /** Words again. */
  CLEANED: 36,
  IN_DOUBT: 37,
  /** A double. */
  FREE_BYTES: 38,
  /** A double: seconds of the monotonic clock. */
  HELD_UNTIL: 40,
  /** Words again. */
  FLUSHING: 42,
  FSYNCS_WAIT: 43,
  FLUSH_ANSWERED: 44,
  FLUSH_CAME: 45,
  /** Doubles: seconds, the first of the monotonic clock. */
  FLUSH_ENDED: 46,
  FLUSH_SECONDS: 48,
  OPCODES: 64,
  IN_FLIGHT: 256,
  LISTINGS: 768,
} as const

const OPCODE_SLOTS = 64
/** Slot 0 is the request that the serving thread works on; the others wait for the sync worker. */
const IN_FLIGHT_SLOTS = 256
/** What the newest counts in the mean of how long flushes take. */
const NEW_FLUSH = 1 / 8

export function createSessionMemory(): number {
  return createSharedMemory("clawfs-session", LOOKUP_BASE + LOOKUP_BYTES)
}

export class SessionMemory implements Disposable {
  readonly fd: number
  readonly #mapping: SharedMapping
  readonly #words: Uint32Array
  readonly #doubles: Float64Array

  constructor(fd: number) {
    this.fd = fd
    this.#mapping = new SharedMapping(fd, 0, PAGE)
    this.#words = this.#mapping.words
    this.#doubles = new Float64Array(this.#words.buffer)
  }

  #get(word: number): number {
    return this.#words[word] ?? 0
  }

  /** Undefined until a server has answered INIT. */
  get agreement(): Agreement | undefined {
    if (this.#get(Word.AGREED) === 0) return undefined
    const flags = BigInt(this.#get(Word.FLAGS_LOW)) | (BigInt(this.#get(Word.FLAGS_HIGH)) << 32n)
    return {
      minor: this.#get(Word.MINOR),
      flags,
      writeback: this.#get(Word.WRITEBACK) === 1,
      openIsAsked: this.#get(Word.OPEN_IS_ASKED) === 1,
    }
  }

  setAgreement(agreement: Agreement): void {
    const w = this.#words
    w[Word.MINOR] = agreement.minor
    w[Word.FLAGS_LOW] = Number(agreement.flags & 0xffff_ffffn)
    w[Word.FLAGS_HIGH] = Number(agreement.flags >> 32n)
    w[Word.WRITEBACK] = agreement.writeback ? 1 : 0
    w[Word.OPEN_IS_ASKED] = agreement.openIsAsked ? 1 : 0
    w[Word.AGREED] = 1
  }

  get lookupHeader(): LookupHeader {
    const w = this.#words
    return {
      get log(): number {
        return w[Word.LOOKUP_LOG] ?? 0
      },
      set log(value: number) {
        w[Word.LOOKUP_LOG] = value
      },
      get used(): number {
        return w[Word.LOOKUP_USED] ?? 0
      },
      set used(value: number) {
        w[Word.LOOKUP_USED] = value
      },
    }
  }

  get counted(): CountedMark {
    const w = this.#words
    return {
      get uniqueLow(): number {
        return w[Word.COUNTED_LOW] ?? 0
      },
      set uniqueLow(value: number) {
        w[Word.COUNTED_LOW] = value
      },
      get uniqueHigh(): number {
        return w[Word.COUNTED_HIGH] ?? 0
      },
      set uniqueHigh(value: number) {
        w[Word.COUNTED_HIGH] = value
      },
    }
  }

  /** For `Listings`. */
  get listings(): Uint32Array {
    return this.#words.subarray(Word.LISTINGS, Word.LISTINGS + LISTING_WORDS)
  }

  get lookups(): number {
    return this.#get(Word.LOOKUP_USED)
  }

  /** Requests answered since the mount, modulo 2^32: the supervisor tells progress from a crash loop by it. */
  get answered(): number {
    return this.#get(Word.ANSWERED)
  }

  countAnswer(opcode: number): void {
    this.#words[Word.ANSWERED] = this.#get(Word.ANSWERED) + 1
    const slot = Word.OPCODES + Math.min(opcode, OPCODE_SLOTS - 1)
    this.#words[slot] = this.#get(slot) + 1
  }

  /** Requests by opcode, modulo 2^32. */
  opcodeCounts(): Map<number, number> {
    const counts = new Map<number, number>()
    for (let opcode = 0; opcode < OPCODE_SLOTS; opcode += 1) {
      const count = this.#get(Word.OPCODES + opcode)
      if (count > 0) counts.set(opcode, count)
    }
    return counts
  }

  /** Commits so far, modulo 2^32; the sync worker compares it to know whether anything waits for the disk. */
  get commits(): number {
    return Atomics.load(this.#words, Word.COMMITS)
  }

  /** Tells the other threads how the store stands after a commit. */
  publish(store: { counters: { inodes: number; bytes: number } }): void {
    this.#doubles[Word.INODES / 2] = store.counters.inodes
    this.#doubles[Word.BYTES / 2] = store.counters.bytes
    Atomics.add(this.#words, Word.COMMITS, 1)
  }

  /** Totals as of the last commit. */
  get totals(): { inodes: number; bytes: number } {
    return { inodes: this.#doubles[Word.INODES / 2] ?? 0, bytes: this.#doubles[Word.BYTES / 2] ?? 0 }
  }

  /** Where the log ends that commits rest on, the one that is being made included (`store/log-position.ts`). */
  get logEnd(): number {
    return this.#doubles[Word.LOG_END / 2] ?? 0
  }

  set logEnd(value: number) {
    this.#doubles[Word.LOG_END / 2] = value
  }

  /** Up to where the log is on the disk. */
  get logSynced(): number {
    return this.#doubles[Word.LOG_SYNCED / 2] ?? 0
  }

  set logSynced(value: number) {
    this.#doubles[Word.LOG_SYNCED / 2] = value
  }

  /** Of complete segments, as of the last look (`store/cleaner.ts`). */
  get logSpace(): { live: number; dead: number } {
    return { live: this.#doubles[Word.LOG_LIVE / 2] ?? 0, dead: this.#doubles[Word.LOG_DEAD / 2] ?? 0 }
  }

  setLogSpace(space: { live: number; dead: number }): void {
    this.#doubles[Word.LOG_LIVE / 2] = space.live
    this.#doubles[Word.LOG_DEAD / 2] = space.dead
  }

  /** Bytes of the database that hold nothing, as of the last look. */
  get freeBytes(): number {
    return this.#doubles[Word.FREE_BYTES / 2] ?? 0
  }

  set freeBytes(value: number) {
    this.#doubles[Word.FREE_BYTES / 2] = value
  }

  /** How many orders to clean the log have been carried out, modulo 2^32. */
  get cleaned(): number {
    return this.#get(Word.CLEANED)
  }

  countCleaned(): void {
    this.#words[Word.CLEANED] = this.cleaned + 1
  }

  /**
   * A sync has failed, and what it was for has not been written again since: no fsync may succeed. Outlives the server, as the
   * kernel's page cache does.
   */
  get isInDoubt(): boolean {
    return Atomics.load(this.#words, Word.IN_DOUBT) === 1
  }

  set isInDoubt(value: boolean) {
    Atomics.store(this.#words, Word.IN_DOUBT, value ? 1 : 0)
  }

  /** The disk is busy with fsyncs: those that come now wait for it to have ended, and share a commit and a flush. */
  get isFlushing(): boolean {
    return Atomics.load(this.#words, Word.FLUSHING) === 1
  }

  set isFlushing(value: boolean) {
    Atomics.store(this.#words, Word.FLUSHING, value ? 1 : 0)
  }

  /** How many do; the serving thread is to be woken for them. */
  get fsyncsWait(): number {
    return Atomics.load(this.#words, Word.FSYNCS_WAIT)
  }

  set fsyncsWait(count: number) {
    Atomics.store(this.#words, Word.FSYNCS_WAIT, count)
  }

  /** A flush has ended that began at `begun` of the monotonic clock and answers so many fsyncs. Before `isFlushing` says so. */
  noteFlush(begun: number, answered: number): void {
    const now = monotonicSeconds()
    const [took, before] = [now - begun, this.#doubles[Word.FLUSH_SECONDS / 2] ?? 0]
    this.#doubles[Word.FLUSH_SECONDS / 2] = before === 0 ? took : before + (took - before) * NEW_FLUSH
    this.#words[Word.FLUSH_ANSWERED] = answered
    this.#words[Word.FLUSH_CAME] = this.fsyncsWait
    this.#doubles[Word.FLUSH_ENDED / 2] = now
  }

  get lastFlush(): LastFlush {
    return {
      endedAt: this.#doubles[Word.FLUSH_ENDED / 2] ?? 0,
      seconds: this.#doubles[Word.FLUSH_SECONDS / 2] ?? 0,
      answered: this.#get(Word.FLUSH_ANSWERED),
      came: this.#get(Word.FLUSH_CAME),
    }
  }

  /** Whether somebody copies segments, a backup: until then none is deleted, by this server or the next one. */
  get isHeld(): boolean {
    return (this.#doubles[Word.HELD_UNTIL / 2] ?? 0) > monotonicSeconds()
  }

  /** No segment is deleted for so many seconds from now on. */
  hold(seconds: number): void {
    const until = monotonicSeconds() + seconds
    this.#doubles[Word.HELD_UNTIL / 2] = Math.max(this.#doubles[Word.HELD_UNTIL / 2] ?? 0, until)
  }

  get orphans(): number {
    return this.#get(Word.ORPHANS)
  }

  set orphans(value: number) {
    this.#words[Word.ORPHANS] = value
  }

  get replayed(): number {
    return this.#get(Word.REPLAYED)
  }

  countReplay(): void {
    this.#words[Word.REPLAYED] = this.replayed + 1
  }

  /** Notes a request that is being worked on. A `unique` is never 0. */
  begin(slot: number, uniqueLow: number, uniqueHigh: number): void {
    this.#words[Word.IN_FLIGHT + 2 * slot] = uniqueLow
    this.#words[Word.IN_FLIGHT + 2 * slot + 1] = uniqueHigh
  }

  end(slot: number): void {
    this.begin(slot, 0, 0)
  }

  /** A free slot for a request that another thread will answer; undefined when all are taken. */
  freeSlot(): number | undefined {
    for (let slot = 1; slot < IN_FLIGHT_SLOTS; slot += 1) {
      const at = Word.IN_FLIGHT + 2 * slot
      if (this.#get(at) === 0 && this.#get(at + 1) === 0) return slot
    }
    return undefined
  }

  /** What a killed server owed, oldest slots first; the slots are free afterwards. */
  takeInFlight(): { uniqueLow: number; uniqueHigh: number }[] {
    const owed: { uniqueLow: number; uniqueHigh: number }[] = []
    for (let slot = 0; slot < IN_FLIGHT_SLOTS; slot += 1) {
      const at = Word.IN_FLIGHT + 2 * slot
      const [uniqueLow, uniqueHigh] = [this.#get(at), this.#get(at + 1)]
      if (uniqueLow !== 0 || uniqueHigh !== 0) owed.push({ uniqueLow, uniqueHigh })
      this.end(slot)
    }
    return owed
  }

  [Symbol.dispose](): void {
    this.#mapping[Symbol.dispose]()
  }
}

/** The same clock in every process of the machine, and nobody can set it. */
export function monotonicSeconds(): number {
  const [seconds, nanos] = process.hrtime()
  return seconds + nanos / 1e9
}
