/**
 * How many lookups of each inode the kernel holds: an unlinked inode must stay until the kernel has given the last one
 * back. The counts live in shared memory, so that a restarted server still knows them; they are changed before the
 * reply is sent. A kill between any two stores can only leave a count too high, which keeps an unlinked inode until the
 * next mount and nothing worse.
 *
 * An open-addressing hash table with linear probing: entries of four words (inode low, inode high, count, used). It
 * doubles into a fresh region of the same memory file when it is 60 % full, and halves when it is nearly empty.
 */
import { releaseSharedRange, SharedMapping } from "../sys/shared-memory.ts"

const ENTRY_WORDS = 4
const ENTRY_BYTES = 16
const MIN_LOG = 12
const MAX_LOG = 26
const TWO_32 = 0x1_0000_0000

/** Bytes of the region that the tables of all sizes need together, behind `base`. */
export const LOOKUP_BYTES = ENTRY_BYTES * (2 ** (MAX_LOG + 1) - 2 ** MIN_LOG)

/** The two words of shared memory that outlive the table's mapping. */
export interface LookupHeader {
  /** log2 of the current table's entries; 0 before first use. */
  log: number
  used: number
}

export class Lookups implements Disposable {
  readonly #fd: number
  readonly #base: number
  readonly #header: LookupHeader
  #mapping: SharedMapping
  #words: Uint32Array
  #mask: number

  constructor(fd: number, base: number, header: LookupHeader) {
    this.#fd = fd
    this.#base = base
    this.#header = header
    if (header.log === 0) header.log = MIN_LOG
    this.#mapping = this.#map(header.log)
    this.#words = this.#mapping.words
    this.#mask = 2 ** header.log - 1
    header.used = this.#countUsed()
    if (this.#hasStrays()) this.#resize(header.log < MAX_LOG ? header.log + 1 : header.log - 1)
  }

  /** A kill in the middle of a removal leaves an entry twice, or where its probing does not lead. */
  #hasStrays(): boolean {
    const w = this.#words
    for (let at = 0; at < w.length; at += ENTRY_WORDS) {
      if (w[at + 3] === 1 && this.#find((w[at + 1] ?? 0) * TWO_32 + (w[at] ?? 0)) !== at) return true
    }
    return false
  }

  #offset(log: number): number {
    return this.#base + ENTRY_BYTES * (2 ** log - 2 ** MIN_LOG)
  }

  #map(log: number): SharedMapping {
    return new SharedMapping(this.#fd, this.#offset(log), ENTRY_BYTES * 2 ** log)
  }

  /** A server that was killed may have left the count one off. */
  #countUsed(): number {
    let used = 0
    for (let at = 3; at < this.#words.length; at += ENTRY_WORDS) used += this.#words[at] === 1 ? 1 : 0
    return used
  }

  /** Inodes that the kernel holds. */
  get size(): number {
    return this.#header.used
  }

  get(ino: number): number {
    const at = this.#find(ino)
    return this.#words[at + 3] === 1 ? (this.#words[at + 2] ?? 0) : 0
  }

  /** Every inode that the kernel holds. */
  *held(): Generator<number> {
    const w = this.#words
    for (let at = 0; at < w.length; at += ENTRY_WORDS)
      if (w[at + 3] === 1) yield (w[at + 1] ?? 0) * TWO_32 + (w[at] ?? 0)
  }

  /** One more lookup of `ino` is about to be handed out. */
  add(ino: number): void {
    const at = this.#find(ino)
    const w = this.#words
    if (w[at + 3] === 1) {
      w[at + 2] = (w[at + 2] ?? 0) + 1
      return
    }
    fill(w, at, ino % TWO_32, Math.floor(ino / TWO_32), 1)
    this.#header.used += 1
    if (this.#header.used > 0.6 * (this.#mask + 1) && this.#header.log < MAX_LOG)
      this.#resize(this.#header.log + 1)
  }

  /** The kernel gives `count` lookups back; returns how many it still holds. */
  subtract(ino: number, count: number): number {
    const at = this.#find(ino)
    const w = this.#words
    if (w[at + 3] !== 1) return 0
    const left = Math.max(0, (w[at + 2] ?? 0) - count)
    w[at + 2] = left
    if (left === 0) this.#remove(at)
    return left
  }

  /** The entry of `ino`, or the free one where it belongs. */
  #find(ino: number): number {
    const low = ino % TWO_32
    const high = Math.floor(ino / TWO_32)
    const w = this.#words
    for (let slot = this.#home(low, high); ; slot = (slot + 1) & this.#mask) {
      const at = slot * ENTRY_WORDS
      if (w[at + 3] !== 1 || (w[at] === low && w[at + 1] === high)) return at
    }
  }

  #home(low: number, high: number): number {
    const h = Math.imul(low ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b)
    return (h ^ (h >>> 15)) & this.#mask
  }

  /** Backward-shift deletion: later entries of the same run move up, so that probing never needs tombstones. */
  #remove(at: number): void {
    const w = this.#words
    let hole = at / ENTRY_WORDS
    for (
      let slot = (hole + 1) & this.#mask;
      w[slot * ENTRY_WORDS + 3] === 1;
      slot = (slot + 1) & this.#mask
    ) {
      const from = slot * ENTRY_WORDS
      const [low, high, count] = [w[from] ?? 0, w[from + 1] ?? 0, w[from + 2] ?? 0]
      const home = this.#home(low, high)
      const reachable = ((slot - home) & this.#mask) >= ((slot - hole) & this.#mask)
      if (!reachable) continue
      fill(w, hole * ENTRY_WORDS, low, high, count)
      hole = slot
    }
    w[hole * ENTRY_WORDS + 3] = 0
    this.#header.used -= 1
    if (this.#header.used < 0.1 * (this.#mask + 1) && this.#header.log > MIN_LOG)
      this.#resize(this.#header.log - 1)
  }

  /** The new table is complete before the header names it; the old one's memory goes back to the system. */
  #resize(log: number): void {
    const [old, oldMapping, oldLog] = [this.#words, this.#mapping, this.#header.log]
    releaseSharedRange(this.#fd, this.#offset(log), ENTRY_BYTES * 2 ** log)
    this.#mapping = this.#map(log)
    this.#words = this.#mapping.words
    this.#mask = 2 ** log - 1
    let used = 0
    for (let at = 0; at < old.length; at += ENTRY_WORDS) {
      const [low, high, count] = [old[at] ?? 0, old[at + 1] ?? 0, old[at + 2] ?? 0]
      if (old[at + 3] !== 1 || count === 0) continue
      const target = this.#find(high * TWO_32 + low)
      const isNew = this.#words[target + 3] !== 1
      used += isNew ? 1 : 0
      fill(this.#words, target, low, high, isNew ? count : Math.max(count, this.#words[target + 2] ?? 0))
    }
    this.#header.used = used
    this.#header.log = log
    oldMapping[Symbol.dispose]()
    releaseSharedRange(this.#fd, this.#offset(oldLog), ENTRY_BYTES * 2 ** oldLog)
  }

  [Symbol.dispose](): void {
    this.#mapping[Symbol.dispose]()
  }
}

/**
 * The word that makes an entry valid is stored last, and the count before the key: where a key is taken over by another
 * one (backward shift), that one never has a count that is too low.
 */
function fill(words: Uint32Array, at: number, low: number, high: number, count: number): void {
  words[at + 2] = count
  words[at + 1] = high
  words[at] = low
  words[at + 3] = 1
}
