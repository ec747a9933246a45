/** Removes what was deleted as a whole, in slices between requests: depth first, every slice a consistent state. */
import { present } from "../core/assert.ts"
import { now } from "../sys/clock.ts"
import type { Found } from "../store/dentries.ts"
import type { Inode } from "../store/inode.ts"
import { dropName, reap } from "./directory.ts"
import type { Environment } from "./environment.ts"
import { trashOf } from "./snapshots.ts"

const BATCH = 256

export class Removal {
  readonly #env: Environment
  /** There may be something; looked at once after a start. */
  #mayHaveWork = true

  constructor(env: Environment) {
    this.#env = env
  }

  /** Something was deleted. */
  order(): void {
    this.#mayHaveWork = true
  }

  get mayHaveWork(): boolean {
    return this.#mayHaveWork && !this.#env.store.readOnly
  }

  /** Removes up to some `most` names, to be committed by the caller. Returns how many it were; 0: nothing is left. */
  slice(most: number): number {
    const [trash] = this.mayHaveWork ? trashOf(this.#env) : []
    if (trash === undefined) {
      this.#mayHaveWork = false
      return 0
    }
    const { home, cookie, ino } = trash
    const { store } = this.#env
    const gone: Inode[] = []
    // On its own: what is reaped below must not come back.
    store.transactAlone(() => {
      const top = present(store.inodes.get(ino), "top of what is removed")
      if (!this.#empty(top, most, gone)) return
      this.#unlink(home, { ino, cookie }, top, gone)
    })
    for (const inode of gone) reap(this.#env, inode)
    return gone.length
  }

  /** Removes names below `directory` until `most` are gone or none is left; true for the latter. */
  #empty(directory: Inode, most: number, gone: Inode[]): boolean {
    const { store } = this.#env
    for (;;) {
      const entries = store.dentries.places(directory.ino, BATCH)
      if (entries.length === 0) return true
      for (const { cookie, ino } of entries) {
        if (gone.length >= most) return false
        const inode = present(store.inodes.get(ino), "inode of a name")
        if (inode.isDirectory && !this.#empty(inode, most, gone)) return false
        this.#unlink(directory, { ino, cookie }, inode, gone)
      }
    }
  }

  #unlink(directory: Inode, entry: Found, inode: Inode, gone: Inode[]): void {
    const { store } = this.#env
    store.dentries.removeAt(directory.ino, entry)
    dropName(this.#env, inode)
    if (inode.isDirectory) directory.nlink -= 1
    directory.touchContents(now())
    store.inodes.save(directory)
    gone.push(inode)
  }
}
