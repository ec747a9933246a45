/**
 * Finds values of secrets in a stream of bytes without having them: of each form of a value it knows a keyed hash of the first
 * bytes, its length and a keyed MAC of the whole. A rolling hash goes over the stream (R. M. Karp, M. O. Rabin, "Efficient
 * randomized pattern-matching algorithms", 1987); what fits is confirmed by the MAC, so nothing else is ever taken for a leak.
 *
 * It does not find forms shorter than the window, values that were encrypted, hashed, compressed or otherwise computed with.
 */
import { randomBytes } from "node:crypto"
import { hmac, sameBytes } from "../keyring/primitives.ts"
import { ENCODERS } from "./encodings.ts"

/** Bytes under the rolling hash: shorter forms are not looked for. */
export const WINDOW = 8
const BITS = 1 << 20
const MAC_BYTES = 16

interface Fingerprint {
  readonly name: string
  readonly length: number
  readonly mac: Buffer
}

export interface Leak {
  readonly name: string
  /** Where it begins, and how long it is. */
  readonly at: number
  readonly length: number
}

export class LeakScanner {
  readonly #key = randomBytes(32)
  /** Odd, so that no byte's contribution is lost. */
  readonly #multiplier = (randomBytes(4).readUInt32LE() | 1) >>> 0
  readonly #oldest: number
  readonly #maybe = new Uint8Array(BITS)
  readonly #known = new Map<number, Fingerprint[]>()
  #longest = 0

  constructor() {
    let oldest = 1
    for (let i = 1; i < WINDOW; i += 1) oldest = Math.imul(oldest, this.#multiplier)
    this.#oldest = oldest
  }

  /** Bytes of the longest form: what a stream must keep back to find it across the border of two chunks. */
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
      const form = room.subarray(0, encode(value, room))
      if (form.length < WINDOW) continue
      const mac = this.#mac(form)
      const tag = `${form.length}:${mac.toString("hex")}`
      if (seen.has(tag)) continue
      seen.add(tag)
      const hash = this.#hash(form, 0)
      this.#maybe[hash & (BITS - 1)] = 1
      this.#known.set(hash, [...(this.#known.get(hash) ?? []), { name, length: form.length, mac }])
      this.#longest = Math.max(this.#longest, form.length)
    }
    room.fill(0)
  }

  #mac(form: Uint8Array): Buffer {
    return hmac(this.#key, form).subarray(0, MAC_BYTES)
  }

  #hash(bytes: Uint8Array, at: number): number {
    let hash = 0
    for (let i = 0; i < WINDOW; i += 1) hash = (Math.imul(hash, this.#multiplier) + (bytes[at + i] ?? 0)) | 0
    return hash
  }

  /** The leaks in `bytes`, in order, none within another. */
  scan(bytes: Uint8Array): Leak[] {
    const leaks: Leak[] = []
    if (bytes.length < WINDOW || this.#known.size === 0) return leaks
    const [maybe, multiplier, oldest] = [this.#maybe, this.#multiplier, this.#oldest]
    const last = bytes.length - WINDOW
    let hash = this.#hash(bytes, 0)
    let free = 0
    for (let at = 0; ; at += 1) {
      if (maybe[hash & (BITS - 1)] === 1 && at >= free) {
        const leak = this.#confirmed(hash, bytes, at)
        if (leak !== undefined) {
          leaks.push(leak)
          free = at + leak.length
        }
      }
      if (at === last) return leaks
      const out = bytes[at] ?? 0
      hash = (Math.imul((hash - Math.imul(out, oldest)) | 0, multiplier) + (bytes[at + WINDOW] ?? 0)) | 0
    }
  }

  #confirmed(hash: number, bytes: Uint8Array, at: number): Leak | undefined {
    const fits = (this.#known.get(hash) ?? []).filter(
      ({ length, mac }) =>
        at + length <= bytes.length && sameBytes(this.#mac(bytes.subarray(at, at + length)), mac),
    )
    const [longest] = fits.sort((a, b) => b.length - a.length)
    return longest === undefined ? undefined : { name: longest.name, at, length: longest.length }
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
 * A stream without the leaks: each is replaced by `[secret NAME]`. The last bytes are kept back until it is clear that they do
 * not begin a leak that the next chunk ends, or until the stream ends.
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
    const bytes = Buffer.concat([this.#held, chunk])
    this.#held.fill(0)
    chunk.fill(0)
    return this.#through(bytes, Math.max(0, bytes.length - this.#scanner.longest + 1))
  }

  /** The rest, at the end of the stream. */
  end(): Buffer {
    const bytes = this.#held
    this.#held = Buffer.alloc(0)
    return this.#through(bytes, bytes.length)
  }

  /** Passes what begins before `until`; the rest is held. */
  #through(bytes: Buffer, until: number): Buffer {
    const parts: Buffer[] = []
    let done = 0
    for (const { name, at, length } of this.#scanner.scan(bytes)) {
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
