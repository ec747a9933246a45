/**
 * `STORE/journal`: the requests of the batch that is not committed yet, as the kernel sent them. A commit costs more than
 * most operations, so the server answers before it commits, and makes up for it here: what it answered is in the page
 * cache of this file, which outlives every process. It gets there through a mapping, as a system call costs more than the
 * rest of a small operation (measured: 5 us). The next server executes the batch's requests again, in order, with
 * the same clock, on the database as the last commit left it: the result is the same.
 *
 * It is no protection against a power cut (nothing here is synced; fsync commits the batch first). After a reboot the
 * entries are ignored: the boot id in the header tells.
 *
 *   header, 4096 bytes (`journal-header.ts`)
 *   entry: length u32 · number u32 · batch u64 · seconds i64 · nanos u32 · nonce u32 · request [length, padded to 8] ·
 *          batch u64 · checksum u32 · length u32
 *
 * The highest bit of a length says that the request is sealed (`journal-sealing.ts`).
 */
import { randomInt } from "node:crypto"
import { closeSync, existsSync, fstatSync, fsyncSync, openSync, writeSync } from "node:fs"
import { join } from "node:path"
import { bug } from "../core/assert.ts"
import { Reader } from "../core/bytes.ts"
import { Fault } from "../core/fault.ts"
import { sumOfData, sumOfWords } from "./checksum.ts"
import type { Timestamp } from "../sys/clock.ts"
import { sysFault } from "../sys/ffi.ts"
import { fallocate } from "../sys/libc.ts"
import { avoidCopyOnWrite } from "../sys/nocow.ts"
import { SharedMapping } from "../sys/shared-memory.ts"
import {
  JOURNAL,
  JOURNAL_HEADER,
  JOURNAL_HINT,
  WITNESS_AT,
  contradiction,
  currentBootId,
  encodeJournalHeader,
  readJournalHeader,
  witnessOf,
  type JournalHeader,
} from "./journal-header.ts"
import { SEALED_ROOM, type SealEntry } from "./journal-sealing.ts"
import { syncDirectory } from "./segment-files.ts"

const ENTRY_HEAD = 32
const ENTRY_TAIL = 16

/** Reserved at once: a full disk must not keep an answered request from being noted. */
const CAPACITY = 4 * 1024 * 1024
/** Longer requests are committed on their own instead. */
export const JOURNAL_REQUEST_MAX = 64 * 1024
const TWO_32 = 2 ** 32
const SEALED = 0x8000_0000
/** What a sealed request is bound to: the entry's head but for its first word. */
const PLACE_AT = 4

export interface JournalEntry {
  readonly time: Timestamp
  /** As the kernel sent it; or sealed, for `place`. */
  readonly request: Buffer
  readonly place: Buffer | undefined
}

export class Journal implements Disposable {
  readonly #fd: number
  readonly #directory: string
  readonly #bootId = currentBootId()
  readonly #mapping: SharedMapping
  readonly #bytes: Buffer
  #at = JOURNAL_HEADER
  #number = 0
  /** Random, new with every boot: leftovers of an earlier one are never taken for entries. */
  #nonce = 0
  /** The header is one of this boot. Before that nothing is written behind it. */
  #isArmed = false

  private constructor(directory: string, fd: number, isNew: boolean) {
    this.#directory = directory
    this.#fd = fd
    // Before it gets its length: by that a journal that was cut is known.
    if (!isNew) readJournalHeader(fd, directory)
    reserve(fd)
    this.#mapping = new SharedMapping(fd, 0, CAPACITY)
    this.#bytes = Buffer.from(this.#mapping.words.buffer)
  }

  /**
   * Opens the journal, making and reserving it if it is missing. Throws `Fault("corrupt")` when its header is damaged and
   * the store was not unmounted.
   */
  static open(directory: string): Journal {
    const path = join(directory, JOURNAL)
    const isNew = !existsSync(path)
    closeSync(openSync(path, "a+", 0o600))
    if (isNew) avoidCopyOnWrite(path)
    const opened = openSync(path, "r+")
    try {
      return new Journal(directory, opened, isNew)
    } catch (thrown) {
      closeSync(opened)
      throw thrown
    }
  }

  /** Undefined when the entries are none of this boot. */
  #readHeader(): JournalHeader | undefined {
    const header = readJournalHeader(this.#fd, this.#directory)
    return header?.bootId === this.#bootId ? header : undefined
  }

  /** The protocol flags that are in force for the entries; undefined when there are none of this boot. */
  get flags(): bigint | undefined {
    return this.#readHeader()?.flags
  }

  /** Makes the entries from now on, the first of them in batch `batch`, valid for this boot. */
  arm(flags: bigint, batch: number): void {
    const known = this.#readHeader()?.nonce
    this.#nonce = known ?? randomInt(2 ** 32)
    this.#bytes.set(encodeJournalHeader({ bootId: this.#bootId, flags, nonce: this.#nonce }))
    this.#isArmed = true
    this.restart(batch)
    if (known !== undefined) return
    fsyncSync(this.#fd)
    syncDirectory(this.#directory)
  }

  /**
   * The entries of `batch`; appending goes on behind them. Throws `Fault("corrupt")` when there were more, or when the
   * database has lost commits that entries of this journal came after.
   */
  entriesOf(batch: number): JournalEntry[] {
    const header = this.#readHeader()
    if (header === undefined) {
      this.#rewind()
      return []
    }
    const entries = this.#scan(header, batch)
    const problem = contradiction(this.#witness, batch, entries.length)
    if (problem !== undefined) throw new Fault("corrupt", problem, { hint: JOURNAL_HINT })
    return entries
  }

  /**
   * For a repair: what follows the whole entries of `batch`, or the first `most` of them, was never noted. False when entries
   * of a later batch are there.
   */
  forgetRest(batch: number, most = Infinity): boolean {
    const header = this.#readHeader()
    if (header === undefined) return true
    const entries = this.#scan(header, batch, most)
    if (contradiction(this.#witness, batch, Infinity) !== undefined) return false
    this.#bytes.fill(0, this.#at, Math.min(CAPACITY, this.#at + ENTRY_HEAD))
    this.#witness = witnessOf(batch, entries.length)
    return true
  }

  #scan(header: JournalHeader, batch: number, most = Infinity): JournalEntry[] {
    this.#rewind()
    this.#isArmed = true
    this.#nonce = header.nonce
    const entries: JournalEntry[] = []
    while (entries.length < most) {
      const entry = this.#parse(batch)
      if (entry === undefined) break
      entries.push(entry)
      this.#number += 1
      this.#at += ENTRY_HEAD + padded(entry.request.length) + ENTRY_TAIL
    }
    return entries
  }

  get #witness(): number {
    return this.#mapping.words[WITNESS_AT / 4] ?? 0
  }

  set #witness(value: number) {
    this.#mapping.words[WITNESS_AT / 4] = value
  }

  /** The next entry; bytes that are none, damaged ones included, end the journal. */
  #parse(batch: number): JournalEntry | undefined {
    const want = { batch, number: this.#number, nonce: this.#nonce }
    try {
      return parseEntry(this.#bytes, this.#mapping.words, this.#at, want)
    } catch (thrown) {
      if (thrown instanceof RangeError) return undefined
      throw thrown
    }
  }

  /** Whether a request of `length` bytes has room, sealed or not. */
  fits(length: number): boolean {
    const most = ENTRY_HEAD + padded(length + SEALED_ROOM) + ENTRY_TAIL
    return length <= JOURNAL_REQUEST_MAX && this.#at + most <= CAPACITY
  }

  /**
   * Notes an executed request, which is the first `length` bytes of `request`; with `seal`, what that makes of it. The entry
   * counts once its last word is there.
   */
  append(batch: number, time: Timestamp, request: Buffer, length = request.length, seal?: SealEntry): void {
    if (!this.#isArmed) return
    this.#writeHead(batch, time)
    if (seal === undefined) {
      this.#write(batch, request, length, length)
      return
    }
    const place = this.#bytes.subarray(this.#at + PLACE_AT, this.#at + ENTRY_HEAD)
    const sealed = seal(place, request, length)
    if (sealed.length > length + SEALED_ROOM) bug("a sealed request is longer than it may be")
    this.#write(batch, sealed, sealed.length, (sealed.length | SEALED) >>> 0)
  }

  /** All but the length. */
  #writeHead(batch: number, time: Timestamp): void {
    const { words } = this.#mapping
    let word = this.#at / 4 + 1
    words[word++] = this.#number
    words[word++] = batch
    words[word++] = Math.floor(batch / TWO_32)
    words[word++] = time.seconds
    words[word++] = Math.floor(time.seconds / TWO_32)
    words[word++] = time.nanos
    words[word] = this.#nonce
  }

  #write(batch: number, bytes: Buffer, length: number, marked: number): void {
    const { words } = this.#mapping
    const end = this.#at + ENTRY_HEAD + padded(length)
    words[this.#at / 4] = marked
    words.fill(0, end / 4 - 2, end / 4)
    bytes.copy(this.#bytes, this.#at + ENTRY_HEAD, 0, length)
    let word = end / 4
    words[word++] = batch
    words[word++] = Math.floor(batch / TWO_32)
    words[word++] = sumOfEntry(words, this.#at, bytes, length)
    words[word] = marked
    this.#at = end + ENTRY_TAIL
    this.#number += 1
    this.#witness = witnessOf(batch, this.#number)
  }

  /** A batch is committed: `batch`, the next one, overwrites its entries. */
  restart(batch: number): void {
    this.#rewind()
    if (this.#isArmed) this.#witness = witnessOf(batch, 0)
  }

  #rewind(): void {
    this.#at = JOURNAL_HEADER
    this.#number = 0
  }

  get isEmpty(): boolean {
    return this.#number === 0
  }

  [Symbol.dispose](): void {
    this.#mapping[Symbol.dispose]()
    closeSync(this.#fd)
  }
}

/** Gives the file all of its bytes: a store to a mapped page that the disk has no room for would end the process. */
function reserve(fd: number): void {
  const { blocks, size } = fstatSync(fd)
  if (size >= CAPACITY && blocks * 512 >= CAPACITY) return
  if (fallocate(fd, 0, 0, CAPACITY) === 0) return
  const failure = sysFault("fallocate")
  if (failure.kind === "no-space")
    throw new Fault("no-space", "the disk below the store is full: the journal needs 4 MiB", {
      cause: failure,
    })
  // Filesystems without fallocate (some network and overlay ones) have the bytes written instead.
  if (failure.kind !== "unsupported") throw failure
  const zeroes = Buffer.alloc(1 << 16)
  for (let at = 0; at < CAPACITY; at += zeroes.length) writeSync(fd, zeroes, 0, zeroes.length, at)
}

/** Of longer requests the data have a sum of their own, which is made once for all that want it (`sumOfData`). */
const SHORT = 512
/** What stands before a WRITE request's data: two headers. */
const DATA_AT = 80

/** The checksum of the entry at `at` in the mapping, but for its tail; `request` has the same bytes as stand there. */
function sumOfEntry(words: Uint32Array, at: number, request: Buffer, length: number): number {
  const bytes = length <= SHORT ? padded(length) : DATA_AT
  const first = sumOfWords(words, at / 4, (at + ENTRY_HEAD + bytes) / 4)
  return length <= SHORT ? first : first ^ sumOfData(request.subarray(DATA_AT, length))
}

function padded(length: number): number {
  return (length + 7) & -8
}

function parseEntry(
  bytes: Buffer,
  words: Uint32Array,
  at: number,
  want: { batch: number; number: number; nonce: number },
): JournalEntry | undefined {
  const head = new Reader(bytes)
  head.rewind(at, bytes.length)
  const marked = head.u32()
  const isSealed = (marked & SEALED) !== 0
  const length = (marked & ~SEALED) >>> 0
  const most = isSealed ? JOURNAL_REQUEST_MAX + SEALED_ROOM : JOURNAL_REQUEST_MAX
  if (head.u32() !== want.number || head.u53() !== want.batch || length > most) return undefined
  const time = { seconds: head.i53(), nanos: head.u32() }
  if (head.u32() !== want.nonce) return undefined
  // A copy: the next entries are written where this one lies.
  const request = Buffer.from(head.bytes(padded(length)).subarray(0, length))
  const sum = sumOfEntry(words, at, request, length) >>> 0
  if (head.u53() !== want.batch || head.u32() !== sum || head.u32() !== marked) return undefined
  const place = isSealed ? Buffer.from(bytes.subarray(at + PLACE_AT, at + ENTRY_HEAD)) : undefined
  return { time, request, place }
}
