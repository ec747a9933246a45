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
 *   header, 4096 bytes: magic [8] · boot id [36] · protocol flags u64 · nonce u32
 *   entry: length u32 · number u32 · batch u64 · seconds i64 · nanos u32 · nonce u32 · request [length, padded to 8] ·
 *          batch u64 · number u32 · length u32
 */
import { randomInt } from "node:crypto"
import { closeSync, fstatSync, openSync, readFileSync, readSync, writeSync } from "node:fs"
import { join } from "node:path"
import { Reader } from "../core/bytes.ts"
import { Fault } from "../core/fault.ts"
import type { Timestamp } from "../sys/clock.ts"
import { sysFault } from "../sys/ffi.ts"
import { fallocate } from "../sys/libc.ts"
import { avoidCopyOnWrite } from "../sys/nocow.ts"
import { SharedMapping } from "../sys/shared-memory.ts"

const FILE = "journal"
const MAGIC = Buffer.from("CLAWJRN1", "latin1")
const HEADER = 4096
const ENTRY_HEAD = 32
const ENTRY_TAIL = 16
const BOOT_ID = 36
const FLAGS_AT = 8 + BOOT_ID
const NONCE_AT = FLAGS_AT + 8
const HEADER_FIELDS = NONCE_AT + 4

/** Reserved at once: a full disk must not keep an answered request from being noted. */
const CAPACITY = 4 * 1024 * 1024
/** Longer requests are committed on their own instead. */
export const JOURNAL_REQUEST_MAX = 64 * 1024
const TWO_32 = 2 ** 32

/** Whether the store was last served since this machine was booted: then all that was written to its files is in them. */
export function isOfThisBoot(directory: string): boolean {
  const header = Buffer.alloc(HEADER_FIELDS)
  try {
    const fd = openSync(join(directory, FILE), "r")
    try {
      readSync(fd, header, 0, header.length, 0)
    } finally {
      closeSync(fd)
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return false
    throw cause
  }
  return isOurs(header, bootId())
}

function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").slice(0, BOOT_ID)
}

function isOurs(header: Buffer, boot: string): boolean {
  return header.subarray(0, 8).equals(MAGIC) && header.toString("latin1", 8, FLAGS_AT) === boot
}

export interface JournalEntry {
  readonly time: Timestamp
  readonly request: Buffer
}

export class Journal implements Disposable {
  readonly #fd: number
  readonly #bootId: string
  readonly #mapping: SharedMapping
  readonly #bytes: Uint8Array
  #at = HEADER
  #number = 0
  /** Random, new with every boot: leftovers of an earlier one are never taken for entries. */
  #nonce = 0

  private constructor(fd: number) {
    this.#fd = fd
    reserve(fd)
    this.#mapping = new SharedMapping(fd, 0, CAPACITY)
    this.#bytes = new Uint8Array(this.#mapping.words.buffer)
    this.#bootId = bootId()
  }

  /** Opens the journal, making and reserving it if it is missing. */
  static open(directory: string): Journal {
    const fd = openSync(join(directory, FILE), "a+", 0o600)
    if (fstatSync(fd).size === 0) avoidCopyOnWrite(join(directory, FILE))
    closeSync(fd)
    const opened = openSync(join(directory, FILE), "r+")
    try {
      return new Journal(opened)
    } catch (thrown) {
      closeSync(opened)
      throw thrown
    }
  }

  #readHeader(): Buffer | undefined {
    const header = Buffer.alloc(HEADER_FIELDS)
    readSync(this.#fd, header, 0, header.length, 0)
    return isOurs(header, this.#bootId) ? header : undefined
  }

  /** The protocol flags that are in force for the entries; undefined when there are none of this boot. */
  get flags(): bigint | undefined {
    return this.#readHeader()?.readBigUInt64LE(FLAGS_AT)
  }

  /** Makes the entries from now on valid for this boot. */
  arm(flags: bigint): void {
    const known = this.#readHeader()
    this.#nonce = known?.readUInt32LE(NONCE_AT) ?? randomInt(2 ** 32)
    const header = Buffer.alloc(HEADER_FIELDS)
    MAGIC.copy(header)
    header.write(this.#bootId, 8, "latin1")
    header.writeBigUInt64LE(flags, FLAGS_AT)
    header.writeUInt32LE(this.#nonce, NONCE_AT)
    this.#bytes.set(header)
  }

  /** The entries of `batch`; appending goes on behind them. */
  entriesOf(batch: number): JournalEntry[] {
    this.restart()
    const header = this.#readHeader()
    if (header === undefined) return []
    this.#nonce = header.readUInt32LE(NONCE_AT)
    const bytes = Buffer.alloc(CAPACITY)
    const size = readSync(this.#fd, bytes, 0, CAPACITY, 0)
    const entries: JournalEntry[] = []
    for (;;) {
      const entry = this.#parse(bytes.subarray(0, size), batch)
      if (entry === undefined) return entries
      entries.push(entry)
      this.#number += 1
      this.#at += ENTRY_HEAD + padded(entry.request.length) + ENTRY_TAIL
    }
  }

  /** The next entry; bytes that are none, damaged ones included, end the journal. */
  #parse(bytes: Buffer, batch: number): JournalEntry | undefined {
    try {
      return parseEntry(bytes, this.#at, { batch, number: this.#number, nonce: this.#nonce })
    } catch (thrown) {
      if (thrown instanceof RangeError) return undefined
      throw thrown
    }
  }

  /** Whether a request of `length` bytes has room. */
  fits(length: number): boolean {
    return length <= JOURNAL_REQUEST_MAX && this.#at + ENTRY_HEAD + padded(length) + ENTRY_TAIL <= CAPACITY
  }

  /** Notes an executed request, which is the first `length` bytes of `request`. The entry counts once its last word is there. */
  append(batch: number, time: Timestamp, request: Buffer, length = request.length): void {
    const { words } = this.#mapping
    const end = this.#at + ENTRY_HEAD + padded(length)
    words.fill(0, end / 4 - 2, end / 4)
    let word = this.#at / 4
    words[word++] = length
    words[word++] = this.#number
    words[word++] = batch
    words[word++] = Math.floor(batch / TWO_32)
    words[word++] = time.seconds
    words[word++] = Math.floor(time.seconds / TWO_32)
    words[word++] = time.nanos
    words[word] = this.#nonce
    request.copy(this.#bytes, this.#at + ENTRY_HEAD, 0, length)
    word = end / 4
    words[word++] = batch
    words[word++] = Math.floor(batch / TWO_32)
    words[word++] = this.#number
    words[word] = length
    this.#at = end + ENTRY_TAIL
    this.#number += 1
  }

  /** The batch is committed: the next one overwrites its entries. */
  restart(): void {
    this.#at = HEADER
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

function padded(length: number): number {
  return (length + 7) & -8
}

function parseEntry(
  bytes: Buffer,
  at: number,
  want: { batch: number; number: number; nonce: number },
): JournalEntry | undefined {
  const head = new Reader(bytes)
  head.rewind(at, bytes.length)
  const length = head.u32()
  if (head.u32() !== want.number || head.u53() !== want.batch || length > JOURNAL_REQUEST_MAX)
    return undefined
  const time = { seconds: head.i53(), nanos: head.u32() }
  if (head.u32() !== want.nonce) return undefined
  const request = head.bytes(padded(length)).subarray(0, length)
  if (head.u53() !== want.batch || head.u32() !== want.number || head.u32() !== length) return undefined
  return { time, request }
}
