/**
 * The tree as it is now, for one caller: whether what the index has found is still there, under which name, and whether
 * the caller may read it. So nothing that is gone, or hidden from the caller, gets into an answer, however old the index is.
 */
import { ROOT_NODE } from "../../core/brand.ts"
import type { Inode } from "../../store/inode.ts"
import type { Store } from "../../store/store.ts"
import { ENTER, READ, may, type Caller } from "./permissions.ts"

const SLASH = 0x2f

export class LiveTree implements Disposable {
  readonly #store: Store
  readonly #caller: Caller
  readonly #view: Disposable
  /** Directories by path; undefined: not there, or not to be entered by the caller. */
  readonly #directories = new Map<string, Inode | undefined>()

  constructor(store: Store, caller: Caller) {
    this.#store = store
    this.#caller = caller
    this.#view = store.openView()
  }

  /** The inode at a path, if the caller may read it. */
  readable(path: Buffer): Inode | undefined {
    const inode = this.#at(path)
    if (inode === undefined || this.#store.sealing.isEncrypted(inode)) return undefined
    return may(this.#store, inode, this.#caller, READ) ? inode : undefined
  }

  #at(path: Buffer): Inode | undefined {
    const slash = path.lastIndexOf(SLASH)
    const directory = this.#directory(path.subarray(0, Math.max(0, slash)))
    if (directory === undefined) return undefined
    const entry = this.#store.dentries.find(directory.ino, path.subarray(slash + 1))
    return entry === undefined ? undefined : this.#store.inodes.get(entry.ino)
  }

  #directory(path: Buffer): Inode | undefined {
    const key = path.toString("latin1")
    if (this.#directories.has(key)) return this.#directories.get(key)
    const inode = path.length === 0 ? this.#store.inodes.get(ROOT_NODE) : this.#at(path)
    const isOpen =
      inode?.isDirectory === true &&
      !this.#store.sealing.isEncrypted(inode) &&
      may(this.#store, inode, this.#caller, ENTER)
    this.#directories.set(key, isOpen ? inode : undefined)
    return this.#directories.get(key)
  }

  /** The bytes of a file from the start, up to `most`. */
  read(inode: Inode, most: number): Buffer {
    const bytes = Buffer.allocUnsafeSlow(Math.min(inode.size, most))
    this.#store.contents.read(inode, 0, bytes.length, bytes, 0)
    return bytes
  }

  [Symbol.dispose](): void {
    this.#view[Symbol.dispose]()
  }
}
