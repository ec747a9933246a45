/**
 * Brings the index's copy of the names (`places.ts`) up to what the store says, and tells which files must be looked at:
 * those that changed, and those whose paths did. It trusts nothing but the store: a change only says where to look, so one
 * that comes twice, or late, does no harm.
 */
import type { NodeId } from "../../core/brand.ts"
import type { Change } from "../../store/feed.ts"
import type { Dentry } from "../../store/dentries.ts"
import type { Store } from "../../store/store.ts"
import type { Place, Places } from "./places.ts"

const ROOT = 1
/** Types in a directory entry. */
const DIRECTORY = 4
const REGULAR = 8
/** Names that are read at once. */
const PAGE = 1024
/** Not followed: what is there is indexed where it came from. */
const SNAPSHOTS = Buffer.from(".snapshots")
/** Decides about everything below its directory. */
export const IGNORE_FILE = Buffer.from(".clawfsignore")

/**
 * A file to be looked at. `mayHaveChanged`: its contents too; otherwise what the index has of it is right, if its times
 * and size are.
 */
export type Touch = (ino: number, mayHaveChanged: boolean) => void

export class Follower {
  readonly #store: Store
  readonly #places: Places
  readonly #touch: Touch
  /** Directories to be walked, and those that were, in this call. */
  #queue: number[] = []
  readonly #walked = new Set<number>()

  constructor(store: Store, places: Places, touch: Touch) {
    this.#store = store
    this.#places = places
    this.#touch = touch
  }

  /** Follows changes; within `Store.view` and a transaction of the index. */
  follow(changes: readonly Change[]): void {
    for (const { ino, parent, cookie } of changes) {
      if (parent === 0) this.#attributes(ino)
      else this.#name(ino, parent, cookie)
    }
    this.#settle()
  }

  /** Compares all names with those of the store, and has all files looked at. */
  compareAll(): void {
    this.#walk(ROOT)
    this.#settle()
  }

  #attributes(ino: number): void {
    const inode = this.#store.inodes.get(ino)
    if (inode?.isDirectory === true) {
      if (this.#places.isKnown(ino)) this.#walk(ino)
      return
    }
    this.#touch(ino, true)
    for (const { parent, name } of this.#places.of(ino)) if (name.equals(IGNORE_FILE)) this.#walk(parent)
  }

  #name(ino: number, parent: number, cookie: number): void {
    const isFollowed = this.#places.isKnown(parent) && this.#isOpen(parent)
    const now = isFollowed ? this.#store.dentries.at(parent as NodeId, cookie) : undefined
    const before = this.#places.at(parent, cookie)
    if (before !== undefined && !isSame(before, now)) this.#gone(before)
    if (now !== undefined && !isSame(before, now)) this.#came(parent, now)
    // Its contents may have changed with its name: a file that is new has one row.
    if (!this.#isDirectory(ino)) this.#touch(ino, true)
  }

  /** Whether the names in a directory may be read and shown. */
  #isOpen(directory: number): boolean {
    const inode = this.#store.inodes.get(directory)
    return inode?.isDirectory === true && !this.#store.sealing.isEncrypted(inode)
  }

  #isDirectory(ino: number): boolean {
    return this.#store.inodes.get(ino)?.isDirectory === true
  }

  #gone(place: Place): void {
    this.#places.remove(place)
    if (place.name.equals(IGNORE_FILE)) this.#walk(place.parent)
    if (place.type === DIRECTORY) this.#walk(place.ino)
    else this.#touch(place.ino, false)
  }

  #came(parent: number, { cookie, ino, type, name }: Dentry): void {
    if (parent === ROOT && name.equals(SNAPSHOTS)) return
    if (type !== DIRECTORY && type !== REGULAR) return
    this.#places.put({ parent, cookie, ino, type, name })
    if (name.equals(IGNORE_FILE)) this.#walk(parent)
    // Also one that has been left in this call, where it was before.
    if (type === DIRECTORY) {
      this.#walked.delete(ino)
      this.#walk(ino)
    } else this.#touch(ino, false)
  }

  #walk(directory: number): void {
    if (!this.#walked.has(directory)) this.#queue.push(directory)
  }

  /** Walks the directories that came, moved or went, and what is below them. */
  #settle(): void {
    // What is found on the way is put behind, and walked too.
    for (const directory of this.#queue) {
      if (this.#walked.has(directory)) continue
      this.#walked.add(directory)
      if (this.#places.isKnown(directory) && this.#isOpen(directory)) this.#compare(directory)
      else this.#leave(directory)
    }
    this.#queue = []
    this.#walked.clear()
  }

  /** The index does not follow this directory any more. */
  #leave(directory: number): void {
    for (;;) {
      const places = this.#places.below(directory, 0, PAGE)
      if (places.length === 0) return
      for (const place of places) this.#gone(place)
    }
  }

  /** Merges the names of a directory with those that the index has; both come in the order of their cookies. */
  #compare(directory: number): void {
    const known = this.#pages((cookie) => this.#places.below(directory, cookie, PAGE))
    const now = this.#pages((cookie) => this.#store.dentries.list(directory as NodeId, cookie, PAGE))
    let place = known.next().value
    for (const entry of now) {
      for (; place !== undefined && place.cookie < entry.cookie; place = known.next().value) this.#gone(place)
      if (place?.cookie !== entry.cookie) {
        this.#came(directory, entry)
        continue
      }
      if (isSame(place, entry)) this.#stayed(place)
      else {
        this.#gone(place)
        this.#came(directory, entry)
      }
      place = known.next().value
    }
    for (; place !== undefined; place = known.next().value) this.#gone(place)
  }

  /** Its path may be another one all the same. */
  #stayed(place: Place): void {
    if (place.type === DIRECTORY) this.#walk(place.ino)
    else this.#touch(place.ino, false)
  }

  *#pages<T extends { readonly cookie: number }>(read: (behind: number) => T[]): Generator<T, undefined> {
    for (let behind = 0; ;) {
      const page = read(behind)
      yield* page
      const last = page.at(-1)
      if (last === undefined) return undefined
      behind = last.cookie
    }
  }
}

function isSame(place: Place | undefined, entry: Dentry | undefined): boolean {
  if (place === undefined || entry === undefined) return place === entry
  return place.ino === entry.ino && place.type === entry.type && place.name.equals(entry.name)
}
