/**
 * Which key what an inode has is encrypted under, and whether that is at hand. A tree's key is here from `unlock` to
 * `lock`; the keys of its files are unwrapped when they are wanted and kept for a while.
 *
 * What a request says of an encrypted tree is plaintext, so it must not get into the journal as it is. `enter` notes that the
 * present request is about one: then it is sealed for the journal, with the randomness that it drew. Where the key would not
 * outlive this process, nobody could open that again, so `Store.transact` commits the request on its own.
 */
import { bug } from "../core/assert.ts"
import { Fault } from "../core/fault.ts"
import type { FileKey } from "../../keyring/file-key.ts"
import { primitives } from "../../keyring/primitives.ts"
import { JournalKey } from "../../keyring/journal-key.ts"
import { wipe } from "../../keyring/secret.ts"
import { FILE_KEY_DRAW, type KeyIdentity, type TreeKey } from "../../keyring/tree-key.ts"
import { damagedRow } from "./checksum.ts"
import type { Inode } from "./inode.ts"
import type { JournalEntry } from "./journal.ts"
import { Draws, EntryOpener, sealEntry, type SealEntry } from "./journal-sealing.ts"
import type { FileKeyRow, Keys } from "./keys.ts"
import type { Trees } from "./trees.ts"

/** About 1 KiB each. */
const FILE_KEYS = 1024
/** The present request is about trees of several keys, and changes none of them. */
const SEVERAL = -1

interface Unlocked {
  readonly current: TreeKey
  /** While the tree is being re-keyed: what wraps the file keys that have not been wrapped anew. */
  previous: TreeKey | undefined
  /** Seals what the journal has of requests; undefined: the key would not outlive this process. */
  journal: JournalKey | undefined
}

export class Sealing {
  readonly #uuid: Buffer
  readonly #trees: Trees
  readonly #keys: Keys
  readonly #isNoted: () => boolean
  readonly #unlocked = new Map<number, Unlocked>()
  /** By body, the least recently used first. */
  readonly #files = new Map<number, FileKey>()
  readonly #draws = new Draws()
  readonly #opener = new EntryOpener((id, generation) => {
    const unlocked = this.#unlocked.get(id)
    return [unlocked?.current, unlocked?.previous].find((key) => key?.identity.generation === generation)
  })
  /** The key of the tree that the present request is about. */
  #secret = 0

  /** `isNoted`: whether the present change will be in the journal. */
  constructor(uuid: Buffer, trees: Trees, keys: Keys, isNoted: () => boolean) {
    this.#uuid = uuid
    this.#trees = trees
    this.#keys = keys
    this.#isNoted = isNoted
  }

  /** The number of the key that an inode of `tree` is encrypted under; 0: none. Quotas in an encrypted tree change nothing. */
  keyOfTree(tree: number): number {
    if (tree === 0) return 0
    for (const { key } of this.#trees.around(tree)) if (key !== 0) return key
    return 0
  }

  isEncrypted(inode: Inode): boolean {
    return this.keyOfTree(inode.tree) !== 0
  }

  isLocked(inode: Inode): boolean {
    const key = this.keyOfTree(inode.tree)
    return key !== 0 && !this.#unlocked.has(key)
  }

  /** The present request is about `inode`; false when its tree is locked. */
  enter(inode: Inode): boolean {
    const key = this.keyOfTree(inode.tree)
    if (key === 0) return true
    this.#secret = this.#secret === 0 || this.#secret === key ? key : SEVERAL
    return this.#unlocked.has(key)
  }

  /** Whether the request so far is about an encrypted tree. */
  get isSecret(): boolean {
    return this.#secret !== 0
  }

  beginRequest(): void {
    this.#secret = 0
    this.#draws.begin(false)
  }

  /** Seals the present request for the journal, which is about to begin its change; undefined: the journal can't have it. */
  sealOfRequest(): SealEntry | undefined {
    const key = this.#unlocked.get(this.#secret)?.journal
    if (key === undefined) return undefined
    this.#draws.begin(true)
    return (place, request, length) => sealEntry(key, this.#draws.drawn, place, request, length)
  }

  /**
   * Has `execute` do again what an entry of the journal says. Throws `Fault("locked")` for a sealed one without its key. What
   * was known of a request in whose midst this happens stays.
   */
  replay({ request, place }: JournalEntry, execute: (request: Buffer) => void): void {
    if (place === undefined) {
      execute(request)
      return
    }
    const opened = this.#opener.open(place, request)
    const secret = this.#secret
    try {
      this.#draws.again(opened.drawn, () => execute(opened.request))
    } finally {
      this.#secret = secret
      wipe(opened.drawn, opened.request)
    }
  }

  /**
   * Whether the key of a tree outlives this process. Only then may the journal have requests about it. To be called between
   * requests, with nothing of the tree in the journal when it is to be false.
   */
  setKept(id: number, isKept: boolean): void {
    const unlocked = this.#unlocked.get(id)
    if (unlocked === undefined || isKept === (unlocked.journal !== undefined)) return
    unlocked.journal?.[Symbol.dispose]()
    unlocked.journal = isKept ? JournalKey.fresh(unlocked.current) : undefined
  }

  /** The key of an inode; undefined: it is in the clear. Throws `Fault("locked")`. */
  keyOf(inode: Inode | undefined): FileKey | undefined {
    if (inode === undefined) return undefined
    const key = this.keyOfTree(inode.tree)
    return key === 0 ? undefined : this.keyOfBody(key, inode.body)
  }

  keyOfBody(key: number, body: number): FileKey {
    if (this.#secret === 0 && this.#isNoted())
      bug("what belongs to an encrypted tree would get into the journal")
    const unlocked = this.#unlockedOf(key)
    const known = this.#files.get(body)
    if (known !== undefined) {
      this.#files.delete(body)
      this.#files.set(body, known)
      return known
    }
    const row = this.#keys.fileKey(body)
    if (row.key !== key) throw new Fault("corrupt", `the key of body ${body} is of another tree`)
    const file = this.#wrapperOf(unlocked, row.generation).open(row)
    this.#remember(body, file)
    return file
  }

  #unlockedOf(key: number): Unlocked {
    const unlocked = this.#unlocked.get(key)
    if (unlocked === undefined) throw new Fault("locked", "the encrypted tree is locked", { isClean: true })
    return unlocked
  }

  #wrapperOf({ current, previous }: Unlocked, generation: number): TreeKey {
    const found = [current, previous].find((each) => each?.identity.generation === generation)
    if (found === undefined) throw new Fault("corrupt", "a file's key is of a generation that is gone")
    return found
  }

  #remember(body: number, file: FileKey): void {
    this.#files.set(body, file)
    if (this.#files.size <= FILE_KEYS) return
    const [oldest] = this.#files
    if (oldest !== undefined) this.forgetBody(oldest[0])
  }

  /** A rollback has taken a body away, or it is deleted. */
  forgetBody(body: number): void {
    this.#files.get(body)?.[Symbol.dispose]()
    this.#files.delete(body)
  }

  /** After a rollback. */
  clear(): void {
    for (const file of this.#files.values()) file[Symbol.dispose]()
    this.#files.clear()
  }

  /** An inode is born into its tree: if that is encrypted, it gets a key. */
  welcome(inode: Inode): void {
    const key = this.keyOfTree(inode.tree)
    if (key === 0) return
    const { current } = this.#unlockedOf(key)
    const drawn = this.#draws.take(FILE_KEY_DRAW)
    const { wrapped, file } = current.newFileKey(drawn)
    wipe(drawn)
    this.#keys.putFileKey(inode.body, { ...wrapped, key, generation: current.identity.generation })
    // It is written to next.
    this.#remember(inode.body, file)
  }

  /** An inode that has its contents to itself from now on goes on with the same key. */
  follow(inode: Inode, from: number): void {
    if (this.isEncrypted(inode)) this.#keys.copyFileKey(from, inode.body)
  }

  /** An inode goes. */
  bury(inode: Inode): void {
    if (!this.isEncrypted(inode)) return
    this.forgetBody(inode.body)
    // A file that goes has its contents to itself (`Contents.removeAll`), whatever the tables still say of others.
    if (inode.isRegular) this.#keys.dropOwnFileKey(inode.body)
    else this.#keys.dropFileKey(inode.body, inode.ino)
  }

  /** Which key opens the trees that have key `id`. Throws `Fault("corrupt")` when the row is lost. */
  identityOf(id: number): KeyIdentity {
    const row = this.#keys.get(id)
    if (row === undefined) throw damagedRow(`the row of key ${id}`)
    return { uuid: this.#uuid, id, generation: row.generation }
  }

  isUnlocked(id: number): boolean {
    return this.#unlocked.has(id)
  }

  /** Takes a tree key over. Throws `Fault("denied")` for one that is not that of its row. */
  unlock(key: TreeKey): void {
    const { id, generation } = key.identity
    const row = this.#keys.get(id)
    if (row?.generation !== generation || !key.isRight(row.checkValue)) {
      key[Symbol.dispose]()
      throw new Fault("denied", "this is not the key of the tree")
    }
    const previous = row.previous === undefined ? undefined : key.openPrevious(row.previous)
    this.#drop(id)
    this.#unlocked.set(id, { current: key, previous, journal: undefined })
  }

  /** A file key that the generation before wraps, wrapped by the present one. */
  rewrapped(id: number, row: FileKeyRow): FileKeyRow {
    const unlocked = this.#unlockedOf(id)
    const { current } = unlocked
    const wrapped = this.#wrapperOf(unlocked, row.generation).rewrap(row, current)
    return { ...wrapped, key: id, generation: current.identity.generation }
  }

  /** No file key is wrapped by the earlier generation any more. */
  endRekey(id: number): void {
    const unlocked = this.#unlocked.get(id)
    unlocked?.previous?.[Symbol.dispose]()
    if (unlocked !== undefined) unlocked.previous = undefined
  }

  /** Wipes the key and those of all files. The caller has committed, and clears what it keeps decrypted. */
  lock(id: number): void {
    this.#drop(id)
    this.clear()
    this.#draws.begin(false)
    this.#opener[Symbol.dispose]()
    primitives().forget()
  }

  #drop(id: number): void {
    const unlocked = this.#unlocked.get(id)
    unlocked?.current[Symbol.dispose]()
    unlocked?.previous?.[Symbol.dispose]()
    unlocked?.journal?.[Symbol.dispose]()
    this.#unlocked.delete(id)
  }

  [Symbol.dispose](): void {
    for (const id of [...this.#unlocked.keys()]) this.lock(id)
  }
}
