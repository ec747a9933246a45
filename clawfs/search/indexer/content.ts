/** A file's bytes as the store has them at one instant, for as long as `Store.view` lasts. */
import { createHash } from "node:crypto"
import { bug } from "../../core/assert.ts"
import type { Inode } from "../../store/inode.ts"
import type { Store } from "../../store/store.ts"
import { detectBytes, firstOf } from "../extract/detect.ts"
import { Refused } from "../extract/extraction.ts"
import { DEFAULT_LIMITS, type Limits } from "../extract/limits.ts"
import type { ContentSource } from "../extract/source.ts"

const PIECE = 1024 * 1024

export class StoredContent implements ContentSource, Disposable {
  readonly size: number
  readonly #store: Store
  readonly #inode: Inode
  #isOpen = true
  /** What was read last, from the start: it is asked for more than once. */
  #head = Buffer.alloc(0)
  /** Bytes that were read. */
  bytesRead = 0

  constructor(store: Store, inode: Inode) {
    this.#store = store
    this.#inode = inode
    this.size = inode.size
  }

  read(position: number, length: number): Buffer {
    if (!this.#isOpen) bug("a content is read after its instant")
    const end = Math.min(this.size, position + length)
    if (end <= this.#head.length) return this.#head.subarray(position, Math.max(position, end))
    const bytes = Buffer.allocUnsafeSlow(Math.max(0, end - position))
    this.#store.contents.read(this.#inode, position, bytes.length, bytes, 0)
    this.bytesRead += bytes.length
    if (position === 0) this.#head = bytes
    return bytes
  }

  /** Of all bytes that an extractor may read, and of `salt`: what else makes a difference to what it finds in them. */
  hash(salt: string, limits = DEFAULT_LIMITS): Buffer {
    const most = this.#readable(limits)
    const hash = createHash("sha256").update(`${salt}\0${Math.min(this.size, most)}\0`)
    const end = Math.min(this.size, most)
    if (end <= this.#head.length) return hash.update(this.#head.subarray(0, end)).digest()
    for (let at = 0; at < end; at += PIECE) hash.update(this.read(at, Math.min(PIECE, end - at)))
    return hash.digest()
  }

  /** How many bytes an extractor would read at most. */
  #readable(limits: Limits): number {
    const head = firstOf(this)
    try {
      return detectBytes(this, head, limits) === "text" ? limits.maxTextBytes : limits.maxContainerBytes
    } catch (thrown) {
      // Its head says that there is no text in it.
      if (thrown instanceof Refused) return head.length
      throw thrown
    }
  }

  [Symbol.dispose](): void {
    this.#isOpen = false
  }
}
