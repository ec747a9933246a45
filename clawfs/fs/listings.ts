/**
 * Which open directories may fill and use the kernel's cache of their listing (FOPEN_CACHE_DIR).
 *
 * Only one at a time may: the kernel (6.18, fs/fuse/readdir.c) notes the directory's version when a listing starts with an
 * empty cache. Where two start before one has filled it, the second notes a newer version for what the first read earlier,
 * and a name made in between is lost to everybody (found by test/mount/concurrency.test.ts). The others are answered by
 * the server, entry by entry.
 *
 * The slots lie in the session's shared memory, as the open directories outlive the server. What a handle says: slot + 1
 * in the lowest byte, above it the OPENDIR request's number, so that a RELEASEDIR that comes twice frees nothing else.
 */
import type { InHeader } from "../fuse/abi.ts"

const SLOT_WORDS = 4
const TWO_32 = 0x1_0000_0000
/** Handles of at most this many directories; any further ones are not cached. */
export const LISTING_SLOTS = 48
export const LISTING_WORDS = LISTING_SLOTS * SLOT_WORDS

/** The handle of a directory that is open without the cache. */
export const NO_HANDLE = 0

export class Listings {
  readonly #words: Uint32Array

  /** `words`: `LISTING_WORDS` words of zeroes, or what an earlier server left there. */
  constructor(words: Uint32Array) {
    this.#words = words
  }

  /** The handle for an OPENDIR: `NO_HANDLE` when another one has the directory's cache, or too many are open. */
  open(request: InHeader): number {
    const [low, high] = [request.node % TWO_32, Math.floor(request.node / TWO_32)]
    const w = this.#words
    let free: number | undefined
    for (let at = 0; at < LISTING_WORDS; at += SLOT_WORDS) {
      if (w[at + 3] === 0) free ??= at
      // A request that comes again after a kill gets what it got.
      else if (w[at] === low && w[at + 1] === high)
        return w[at + 2] === request.uniqueLow ? handleOf(at, request.uniqueLow) : NO_HANDLE
    }
    if (free === undefined) return NO_HANDLE
    w[free] = low
    w[free + 1] = high
    w[free + 2] = request.uniqueLow
    w[free + 3] = 1
    return handleOf(free, request.uniqueLow)
  }

  close(handle: number): void {
    if (handle === NO_HANDLE) return
    const at = ((handle % 256) - 1) * SLOT_WORDS
    if (this.#words[at + 2] === Math.floor(handle / 256)) this.#words[at + 3] = 0
  }

  /** How many directories are open with the cache. */
  get count(): number {
    let count = 0
    for (let at = 3; at < LISTING_WORDS; at += SLOT_WORDS) count += this.#words[at] ?? 0
    return count
  }
}

function handleOf(at: number, uniqueLow: number): number {
  return uniqueLow * 256 + at / SLOT_WORDS + 1
}
