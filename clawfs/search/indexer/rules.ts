/** Which files are indexed, by the rule files and attributes that the store has at this instant. */
import { ROOT_NODE } from "../../core/brand.ts"
import { InodeFlag, type Inode } from "../../store/inode.ts"
import type { Store } from "../../store/store.ts"
import { INDEX_ATTRIBUTE, IgnoreRules, RULE_FILE, type IgnoreReason } from "../extract/ignore-rules.ts"

/** A rule file is read so far. */
const RULES_MAX = 64 * 1024
const ATTRIBUTE = Buffer.from(INDEX_ATTRIBUTE)
const FILE = Buffer.from(RULE_FILE)

export interface Rules {
  /** What the store says has changed. */
  begin(): void
  /** Why a file is left out; undefined: it is indexed. `path` from the root, without a slash in front. */
  reasonFor(path: Buffer): IgnoreReason | undefined
}

/** Names and rules are compared as bytes: each is one character (Latin-1), so that none is lost that is not UTF-8. */
export class StoreRules implements Rules {
  readonly #store: Store
  readonly #rules: IgnoreRules
  readonly #directories = new Map<string, Inode | undefined>()

  constructor(store: Store) {
    this.#store = store
    this.#rules = new IgnoreRules({
      rulesOf: (directory) => this.#rulesOf(directory),
      attributeOf: (directory) => this.#attributeOf(directory),
    })
  }

  begin(): void {
    this.#rules.forget()
    this.#directories.clear()
  }

  reasonFor(path: Buffer): IgnoreReason | undefined {
    return this.#rules.reasonFor(path.toString("latin1"))
  }

  #rulesOf(path: string): string | undefined {
    const directory = this.#directory(path)
    const entry = directory === undefined ? undefined : this.#store.dentries.find(directory.ino, FILE)
    const inode = entry === undefined ? undefined : this.#store.inodes.get(entry.ino)
    if (inode?.isRegular !== true || this.#store.sealing.isEncrypted(inode)) return undefined
    const bytes = Buffer.alloc(Math.min(RULES_MAX, inode.size))
    this.#store.contents.read(inode, 0, bytes.length, bytes, 0)
    return bytes.toString("latin1")
  }

  #attributeOf(path: string): string | undefined {
    const directory = this.#directory(path)
    if (directory?.has(InodeFlag.HAS_XATTR) !== true) return undefined
    return this.#store.xattrs.get(directory, ATTRIBUTE)?.toString("latin1")
  }

  /** Undefined: there is none with this path, or what is in it is not to be read. */
  #directory(path: string): Inode | undefined {
    if (this.#directories.has(path)) return this.#directories.get(path)
    const found = this.#find(path)
    const directory =
      found?.isDirectory === true && !this.#store.sealing.isEncrypted(found) ? found : undefined
    this.#directories.set(path, directory)
    return directory
  }

  #find(path: string): Inode | undefined {
    if (path === "") return this.#store.inodes.get(ROOT_NODE)
    const slash = path.lastIndexOf("/")
    const above = this.#directory(path.slice(0, Math.max(0, slash)))
    if (above === undefined) return undefined
    const entry = this.#store.dentries.find(above.ino, Buffer.from(path.slice(slash + 1), "latin1"))
    return entry === undefined ? undefined : this.#store.inodes.get(entry.ino)
  }
}
