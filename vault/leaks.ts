/**
 * Finds values of secrets in a stream of bytes without having them. Of each form of a value it knows its length, a keyed hash and
 * a keyed MAC of the whole, and 20 bits of a keyed hash of each of its first four windows. The stream is looked at in words of
 * four bytes, of which one begins in the first four bytes of a form wherever that lies (S. Wu, U. Manber, "A fast algorithm for
 * multi-pattern searching", 1994, skips in that way). A word that fits is looked at byte by byte: of a form, four windows in a row
 * fit. What is left is confirmed by the MAC: nothing else is ever taken for a leak.
 *
 * It does not find forms shorter than the window, values that were encrypted, hashed, compressed or otherwise computed with, and
 * encodings that are broken into lines. Who could read this process's memory could work the first eleven bytes of a value out of
 * those hashes, by some 2^44 tries; that is root alone.
 */
import { randomBytes } from "node:crypto"
import { hmac, sameBytes } from "../keyring/primitives.ts"
import { ENCODERS } from "./encodings.ts"

/** Two words: shorter forms are not looked for. */
export const WINDOW = 8
const WORD = 4
/** So many windows of a form are known, each a byte behind the one before. */
const KNOWN = WORD
/** From here on there are two whole words within a form wherever it begins. */
const LONG = WINDOW + WORD - 1
const TABLE_BITS = 20
const SHIFT = 32 - TABLE_BITS
const MAC_BYTES = 16

interface Fingerprint {
  readonly name: string
  readonly length: number
  readonly hash: number
  readonly mac: Buffer
}

/** A form has this place so many bytes behind its beginning. */
interface Candidate {
  readonly form: Fingerprint
  readonly behind: number
}

export interface Leak {
  readonly name: string
  /** Where it begins, and how long it is. */
  readonly at: number
  readonly length: number
}

export interface Search {
  /** In order, none within another. */
  readonly leaks: readonly Leak[]
  /** What begins before can't become a leak any more by what follows. */
  readonly settled: number
}

/** Which windows may be of a form: one bit each, and the forms that gave it. */
class Windows {
  bits = new Int32Array(1)
  readonly #forms = new Map<number, Candidate[]>()

  add(key: number, candidate: Candidate): void {
    // Most scanners have no short forms.
    if (this.#forms.size === 0) this.bits = new Int32Array(1 << (TABLE_BITS - 5))
    const place = key >>> SHIFT
    this.bits[place >>> 5] = (this.bits[place >>> 5] ?? 0) | (1 << (place & 31))
    this.#forms.set(place, [...(this.#forms.get(place) ?? []), candidate])
  }

  has(key: number): boolean {
    const place = key >>> SHIFT
    return ((this.bits[place >>> 5] ?? 0) & (1 << (place & 31))) !== 0
  }

  of(key: number): readonly Candidate[] {
    return this.#forms.get(key >>> SHIFT) ?? []
  }

  get size(): number {
    return this.#forms.size
  }
}

export class LeakScanner {
  readonly #key = randomBytes(32)
  readonly #first = randomBytes(4).readInt32LE()
  /** Odd, so that no bit is lost. */
  readonly #odd = randomBytes(4).readInt32LE() | 1
  readonly #odder = randomBytes(4).readInt32LE() | 1
  readonly #long = new Windows()
  readonly #short = new Windows()
  #longest = 0
  #hasNewline = false

  /** Bytes of the longest form. */
  get longest(): number {
    return this.#longest
  }

  /**
   * Learns a value, what is left of it without the white space around it, and its lines: programs print keys of several lines
   * one by one, and read values without the newline at their end. `room`: `MOST_EXPANSION` (`encodings.ts`) times the value's
   * length of secret memory.
   */
  add(name: string, value: Uint8Array, room: Buffer): void {
    this.#addForms(name, value, room)
    const [start, end] = trimmed(value)
    if (end - start < value.length) this.#addForms(name, value.subarray(start, end), room)
    for (let at = start; at < end;) {
      const newline = value.indexOf(NEWLINE, at)
      const stop = newline < 0 || newline > end ? end : newline
      const isPart = at > start || stop < end
      if (isPart && stop - at >= LEAST_LINE) this.#addForms(name, value.subarray(at, stop), room)
      at = stop + 1
    }
  }

  #addForms(name: string, value: Uint8Array, room: Buffer): void {
    const seen = new Set<string>()
    for (const encode of ENCODERS) {
      const bytes = room.subarray(0, encode(value, room))
      if (bytes.length < WINDOW) continue
      const mac = this.#mac(bytes)
      const tag = `${bytes.length}:${mac.toString("hex")}`
      if (seen.has(tag)) continue
      seen.add(tag)
      this.#addForm({ name, length: bytes.length, hash: this.#hash(bytes, 0, bytes.length), mac }, bytes)
    }
    room.fill(0)
  }

  #addForm(form: Fingerprint, bytes: Buffer): void {
    const isLong = bytes.length >= LONG
    for (let behind = 0; behind < KNOWN; behind += 1) {
      const mixed = this.#mixed(bytes.readInt32LE(behind))
      if (isLong) this.#long.add(this.#joined(mixed, bytes.readInt32LE(behind + WORD)), { form, behind })
      else this.#short.add(mixed, { form, behind })
    }
    this.#longest = Math.max(this.#longest, form.length)
    this.#hasNewline ||= bytes.includes(NEWLINE)
  }

  #mixed(word: number): number {
    const once = Math.imul(word ^ this.#first, this.#odd)
    return Math.imul(once ^ (once >>> 15), this.#odder)
  }

  #joined(mixed: number, next: number): number {
    const sum = (mixed + next) | 0
    return Math.imul(sum ^ (sum >>> 15), this.#odd)
  }

  #mac(form: Uint8Array): Buffer {
    return hmac(this.#key, form).subarray(0, MAC_BYTES)
  }

  #hash(bytes: Uint8Array, from: number, to: number): number {
    let hash = this.#first
    for (let at = from; at < to; at += 1)
      hash = Math.imul(hash ^ (bytes[at] ?? 0), this.#odder) ^ (hash >>> 15)
    return hash
  }

  /** The leaks in `bytes`, in order, none within another. */
  scan(bytes: Uint8Array): readonly Leak[] {
    return this.search(bytes).leaks
  }

  /** The same, and how far the bytes are settled whatever comes behind them. */
  search(bytes: Uint8Array): Search {
    const found = new Found(bytes)
    if (this.#longest === 0) return found.result(bytes.length)
    const words = this.#lookIn(found)
    // A form that begins behind the last window that is whole was not seen.
    const unseen = Math.max(0, WORD * (words - 2) + 1)
    const settled = Math.min(unseen, found.pending)
    // Within a line, unless a form goes over several.
    return found.result(this.#hasNewline ? settled : Math.max(settled, bytes.lastIndexOf(NEWLINE) + 1))
  }

  /** The leaks that have at least one of the bytes from `from` to before `to` in them. */
  touching(bytes: Uint8Array, from: number, to: number): readonly Leak[] {
    const found = new Found(bytes)
    if (this.#longest === 0) return []
    this.#lookIn(found)
    return found.result(bytes.length, ({ at, length }) => at < to && at + length > from).leaks
  }

  /** Returns how many words there are. */
  #lookIn(found: Found): number {
    const { bytes } = found
    const aligned = bytes.byteOffset % WORD === 0 ? bytes : Uint8Array.from(bytes)
    const words = new Int32Array(aligned.buffer, aligned.byteOffset, aligned.length >>> 2)
    this.#look(words, found)
    if (aligned !== bytes) aligned.fill(0)
    return words.length
  }

  /** The one loop that runs over all bytes: everything it needs is in locals. */
  #look(words: Int32Array, found: Found): void {
    const [first, odd, odder] = [this.#first, this.#odd, this.#odder]
    const [long, short] = [this.#long.bits, this.#short.bits]
    const hasShort = this.#short.size > 0
    let before = 0
    for (let i = 0; i < words.length; i += 1) {
      const word = words[i] ?? 0
      const sum = (before + word) | 0
      const key = Math.imul(sum ^ (sum >>> 15), odd)
      const place = key >>> SHIFT
      if (((long[place >>> 5] ?? 0) >>> (place & 31)) & 1 && i > 0)
        this.#confirm(this.#long, key, WORD * (i - 1), found)
      const once = Math.imul(word ^ first, odd)
      before = Math.imul(once ^ (once >>> 15), odder)
      if (!hasShort) continue
      const other = before >>> SHIFT
      if (((short[other >>> 5] ?? 0) >>> (other & 31)) & 1)
        this.#confirm(this.#short, before, WORD * i, found)
    }
  }

  /** Whether the window at `at` may be one of a form; what is not whole yet may. */
  #mayBe(windows: Windows, { bytes, view }: Found, at: number): boolean {
    const isLong = windows === this.#long
    if (at + (isLong ? 2 * WORD : WORD) > bytes.length) return true
    const mixed = this.#mixed(view.getInt32(at, true))
    return windows.has(isLong ? this.#joined(mixed, view.getInt32(at + WORD, true)) : mixed)
  }

  /** Looks at those forms that a window which fits, at `place`, is of. */
  #confirm(windows: Windows, key: number, place: number, found: Found): void {
    // With many secrets many windows fit by chance, and few have three neighbours that fit too.
    let run = 1
    for (let at = place + 1; at < place + KNOWN && this.#mayBe(windows, found, at); at += 1) run += 1
    for (let at = place - 1; run < KNOWN && at >= 0 && this.#mayBe(windows, found, at); at -= 1) run += 1
    if (run < KNOWN) return
    const { bytes } = found
    for (const { form, behind } of windows.of(key)) {
      const at = place - behind
      const end = at + form.length
      if (at < 0) continue
      if (end > bytes.length) found.pending = Math.min(found.pending, at)
      else if (
        this.#hash(bytes, at, end) === form.hash &&
        sameBytes(this.#mac(bytes.subarray(at, end)), form.mac)
      )
        found.leaks.push({ name: form.name, at, length: form.length })
    }
  }
}

/** What a search has come upon. */
class Found {
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly leaks: Leak[] = []
  /** Where the first begins that may go on behind the end. */
  pending = Infinity

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  /** Of those that overlap, the first counts, and of those that begin together the longest. */
  result(settled: number, counts: (leak: Leak) => boolean = () => true): Search {
    const leaks: Leak[] = []
    let free = 0
    for (const leak of this.leaks.filter(counts).sort((a, b) => a.at - b.at || b.length - a.length)) {
      if (leak.at < free) continue
      leaks.push(leak)
      free = leak.at + leak.length
    }
    return { leaks, settled }
  }
}

const NEWLINE = 0x0a
/** Shorter lines of a value are nothing special. */
const LEAST_LINE = 16

/** Where a value begins and ends without white space. */
function trimmed(value: Uint8Array): [start: number, end: number] {
  let [start, end] = [0, value.length]
  while (start < end && (value[start] ?? 0) <= 0x20) start += 1
  while (end > start && (value[end - 1] ?? 0) <= 0x20) end -= 1
  return [start, end]
}

/**
 * A stream without the leaks: each is replaced by `[secret NAME]`. Bytes at the end that may begin a leak are kept back until
 * it is clear, at the latest when the stream ends; whole lines are passed on at once unless a value goes over several.
 */
export class LeakFilter {
  readonly #scanner: LeakScanner
  #held: Buffer = Buffer.alloc(0)
  #count = 0
  readonly #names = new Set<string>()

  constructor(scanner: LeakScanner) {
    this.#scanner = scanner
  }

  get count(): number {
    return this.#count
  }

  get names(): string[] {
    return [...this.#names].sort()
  }

  /** What may be passed on after this chunk, which is wiped. */
  push(chunk: Buffer): Buffer {
    const bytes = Buffer.from(new ArrayBuffer(this.#held.length + chunk.length))
    bytes.set(this.#held)
    bytes.set(chunk, this.#held.length)
    this.#held.fill(0)
    chunk.fill(0)
    return this.#through(bytes, false)
  }

  /** The rest, at the end of the stream. */
  end(): Buffer {
    const bytes = this.#held
    this.#held = Buffer.alloc(0)
    return this.#through(bytes, true)
  }

  /** Passes what is settled; the rest is held, unless it is the end. */
  #through(bytes: Buffer, isEnd: boolean): Buffer {
    const parts: Buffer[] = []
    const { leaks, settled } = this.#scanner.search(bytes)
    const until = isEnd ? bytes.length : settled
    let done = 0
    for (const { name, at, length } of leaks) {
      if (at >= until) break
      parts.push(bytes.subarray(done, at), Buffer.from(`[secret ${name}]`))
      done = at + length
      this.#count += 1
      this.#names.add(name)
    }
    const end = Math.max(done, until)
    parts.push(bytes.subarray(done, end))
    const passed = Buffer.concat(parts)
    this.#held = Buffer.from(bytes.subarray(end))
    bytes.fill(0)
    return passed
  }
}

/** A text without the leaks in it. */
export function redacted(
  scanner: LeakScanner,
  text: string,
): { readonly text: string; readonly count: number } {
  const filter = new LeakFilter(scanner)
  const clean = Buffer.concat([filter.push(Buffer.from(text, "latin1")), filter.end()]).toString("latin1")
  return { text: clean, count: filter.count }
}
