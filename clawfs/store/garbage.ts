/**
 * What the store holds for nothing, and how it comes back: dead bytes of the log and free pages of the database. On a full
 * disk the reserve is for this: what is copied gives back more than it takes.
 */
import type { Cleaner, LogSpace } from "./cleaner.ts"
import type { FreePages } from "./free-pages.ts"
import type { Reserve } from "./reserve.ts"

export class Garbage {
  readonly #cleaner: Cleaner
  readonly #freePages: FreePages
  readonly #reserve: Reserve
  readonly #isTight: () => boolean

  /** `isTight`: the disk is full. */
  constructor(cleaner: Cleaner, freePages: FreePages, reserve: Reserve, isTight: () => boolean) {
    this.#cleaner = cleaner
    this.#freePages = freePages
    this.#reserve = reserve
    this.#isTight = isTight
  }

  /** Live and dead bytes of the log, complete segments only. */
  get logSpace(): LogSpace {
    return this.#cleaner.space()
  }

  /** The same with the segment that is being filled. */
  get wholeLogSpace(): LogSpace {
    return this.#cleaner.wholeSpace()
  }

  /** Bytes of the database that hold nothing. */
  get freeBytes(): number {
    return this.#freePages.bytes
  }

  /** Whether so much is there that `step` pays, or all of it was asked for. */
  get isDue(): boolean {
    return this.#cleaner.isDue(this.#room) || this.#freePages.isDue
  }

  /** When `step` has found nothing: whether it would with more room. Segments that are empty by now may still be to be deleted. */
  get hasMore(): boolean {
    return this.#cleaner.hasMore
  }

  /** Bytes that copies may take. */
  get #room(): number {
    return this.#isTight() ? this.#reserve.roomForCopies : Infinity
  }

  /** Every dead byte is to come back: `step` goes on until there is none that pays. */
  wantAll(): void {
    this.#cleaner.wantAll()
    this.#freePages.wantAll()
  }

  /** `step` has found nothing any more, as there was no room. It is to look again. */
  goOn(): void {
    this.#cleaner.goOn()
  }

  /** What could not be moved is tried again: a tree has been unlocked. */
  retry(): void {
    this.#cleaner.retry()
  }

  /**
   * Within a transaction of the caller's: moves up to `bytes` live bytes out of segments that are mostly dead, or moves pages.
   * Returns how many; 0: there was nothing to do.
   */
  step(bytes: number): number {
    const room = this.#room
    if (room !== Infinity && this.#cleaner.isDue(room)) this.#reserve.give()
    const moved = this.#cleaner.step(bytes, room)
    return moved > 0 ? moved : this.#freePages.step(bytes)
  }
}
