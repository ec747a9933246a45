/**
 * The serving thread's part in guarded directories (`fs/guarding.ts`): what is written there is looked through by the vault's
 * process before it is stored, together with what lies beside it in the file, so that a secret is also seen when several writes
 * make it up. The request is put aside meanwhile and comes again with the answer: nobody else waits.
 */
import { E, OK, type Status } from "../core/errno.ts"
import type { GuardedWrite } from "../fs/environment.ts"
import type { InHeader } from "../fuse/abi.ts"
import { LATER } from "../fuse/operations.ts"
import type { Inode } from "../store/inode.ts"
import type { Store } from "../store/store.ts"
import type { Looked, WantedLook } from "./messages.ts"

/** So much on either side, until the vault tells how long its longest form of a secret is. */
const FIRST_REACH = 4096

/** A write that waits for its answer, or has it. */
interface Look {
  readonly key: number
  readonly ino: number
  /** What was looked at, in the file. */
  readonly start: number
  readonly end: number
  /** Something else was written there meanwhile. */
  isStale: boolean
  looked?: Looked
}

export class WriteGuard {
  readonly #store: Store
  readonly #ask: (wanted: WantedLook) => void
  readonly #forgetPages: (node: Inode["ino"]) => void
  /** By the request. */
  readonly #looks = new Map<string, Look>()
  #reach = FIRST_REACH
  #next = 1
  #awaited: number | undefined

  /** `ask` has somebody look; `forgetPages` has the kernel forget what was refused and is in its cache. */
  constructor(store: Store, ask: (wanted: WantedLook) => void, forgetPages: (node: Inode["ino"]) => void) {
    this.#store = store
    this.#ask = ask
    this.#forgetPages = forgetPages
  }

  /** Whether the write may be done: OK, LATER, EPERM for one with a secret in it, EACCES when nobody can look. */
  check({ uniqueLow, uniqueHigh, uid, pid }: InHeader, write: GuardedWrite): Status | typeof LATER {
    const id = `${uniqueHigh}:${uniqueLow}`
    const look = this.#looks.get(id)
    if (look?.looked === undefined || look.isStale || this.#isShort(look, write)) {
      const writer = write.isFromCache ? { uid: write.inode.uid, pid: 0 } : { uid, pid }
      return this.#begin(id, write, writer)
    }
    this.#looks.delete(id)
    const refusal = refusalOf(write, look.looked)
    if (refusal === undefined) {
      this.#written(write)
      return OK
    }
    if (write.isFromCache) this.#forgetPages(write.inode.ino)
    return refusal
  }

  #begin(id: string, write: GuardedWrite, writer: WantedLook["writer"]): typeof LATER {
    const { inode, offset, data, action } = write
    const [start, end] = this.#range(write)
    const bytes = Buffer.from(new ArrayBuffer(end - start))
    const written = offset + data.length
    this.#read(inode, start, offset, bytes, 0)
    data.copy(bytes, offset - start)
    this.#read(inode, written, end, bytes, written - start)
    const key = this.#next
    this.#next += 1
    this.#looks.set(id, { key, ino: inode.ino, start, end, isStale: false })
    this.#awaited = key
    this.#ask({ key, action, bytes, from: offset - start, to: written - start, ino: inode.ino, writer })
    return LATER
  }

  /** The bytes of the write, and as many beside it as could be part of a secret that is in both. */
  #range({ inode, offset, data, isText }: GuardedWrite): [start: number, end: number] {
    if (isText === true) return [0, data.length]
    const end = offset + data.length
    return [Math.max(0, offset - this.#reach), Math.max(end, Math.min(inode.size, end + this.#reach))]
  }

  /** The vault knows of longer forms than were looked for, or the file has grown. */
  #isShort(look: Look, write: GuardedWrite): boolean {
    const [start, end] = this.#range(write)
    return start < look.start || end > look.end
  }

  #read(inode: Inode, from: number, to: number, into: Buffer, at: number): void {
    const length = Math.min(to, inode.size) - from
    if (length > 0) this.#store.contents.read(inode, from, length, into, at)
  }

  /** What is being looked at beside this write was not looked at together with it. */
  #written({ inode, offset, data, isText }: GuardedWrite): void {
    if (isText === true) return
    for (const look of this.#looks.values())
      if (look.ino === inode.ino && look.start < offset + data.length && look.end > offset)
        look.isStale = true
  }

  /** The look that the request which has just been handled waits for. */
  takeAwaited(): number | undefined {
    const awaited = this.#awaited
    this.#awaited = undefined
    return awaited
  }

  get isWaiting(): boolean {
    return this.#looks.size > 0
  }

  /** What came of a look; then `serve` has its request come again. */
  answer(looked: Looked, serve: (key: number) => void): void {
    for (const look of this.#looks.values()) if (look.key === looked.key) look.looked = looked
    if (looked.longest !== undefined) this.#reach = Math.max(FIRST_REACH, looked.longest)
    serve(looked.key)
    // The file may be gone: then nobody has taken it.
    for (const [id, { key }] of this.#looks) if (key === looked.key) this.#looks.delete(id)
  }
}

function refusalOf({ action }: GuardedWrite, { leaks }: Looked): Status | undefined {
  if (action === "alert" || leaks === 0) return undefined
  return leaks === undefined ? E.EACCES : E.EPERM
}
