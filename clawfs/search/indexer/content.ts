/** A file's bytes as the store has them at one instant, for as long as `Store.view` lasts. */
import { createHash } from "node:crypto"
import { bug } from "../../core/assert.ts"
import type { Inode } from "../../store/inode.ts"
import type { Store } from "../../store/store.ts"
import { detectBytes, firstOf } from "../extract/detect.ts"
import { Refused, type Refusal } from "../extract/extraction.ts"
import { tooLarge } from "../extract/extractor.ts"
import { DEFAULT_LIMITS, type Limits } from "../extract/limits.ts"
import type { ContentSource } from "../extract/source.ts"

/** What an extractor gets of a file. */
export interface Taken {
  /** Of the whole file. */
  readonly size: number
  /** All that an extractor would read, a buffer of its own; of a file that is refused its start. */
  readonly bytes: Buffer
  /** Why no extractor is to look at it. */
  readonly refusal: Refusal | undefined
}

export class StoredContent implements ContentSource, Disposable {
  readonly size: number
  readonly #store: Store
  readonly #inode: Inode
  #isOpen = true
  /** What was read last, from the start: it is asked for more than once. */
  #head = Buffer.alloc(0)

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
    if (position === 0) this.#head = bytes
    return bytes
  }

  /** Reads all that an extractor may want. */
  take(limits: Limits = DEFAULT_LIMITS): Taken {
    const { size } = this
    const head = firstOf(this)
    try {
      const format = detectBytes(this, head, limits)
      const refusal = format === "text" ? undefined : tooLarge(format, size, limits)
      if (refusal !== undefined) return { size, bytes: head, refusal }
      const most = format === "text" ? limits.maxTextBytes : limits.maxContainerBytes
      return { size, bytes: this.read(0, Math.min(size, most)), refusal: undefined }
    } catch (thrown) {
      if (!(thrown instanceof Refused)) throw thrown
      return { size, bytes: head, refusal: thrown.refusal }
    }
  }

  [Symbol.dispose](): void {
    this.#isOpen = false
  }
}

/** Of what was taken, and of `salt`: what else makes a difference to what is found in it. */
export function hashOf({ size, bytes, refusal }: Taken, salt: string): Buffer {
  const length = refusal === undefined ? bytes.length : size
  return createHash("sha256").update(`${salt}\0${length}\0`).update(bytes).digest()
}
