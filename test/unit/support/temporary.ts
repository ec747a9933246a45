/** Directories and stores for one test. In memory where the machine offers that: no unit test is about the disk. */
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Store, type StoreOptions } from "../../../clawfs/store/store.ts"

export interface Temporary extends Disposable {
  readonly path: string
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** Where temporary directories are made. */
export const memory = isWritable("/dev/shm") ? "/dev/shm" : tmpdir()

/** An empty directory that goes when it is disposed. */
export function temporary(parent = memory): Temporary {
  const path = mkdtempSync(join(parent, "clawfs-unit-"))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

export interface TemporaryStore extends Disposable {
  readonly directory: string
  readonly store: Store
  /** Closes the store and opens it again. */
  reopen(options?: StoreOptions): Store
}

/** A new store, whose root belongs to root. */
export function temporaryStore(): TemporaryStore {
  const place = temporary()
  const directory = join(place.path, "store")
  let store = Store.create(directory, { mode: 0o755, uid: 0, gid: 0 })
  return {
    directory,
    get store() {
      return store
    },
    reopen(options) {
      store[Symbol.dispose]()
      store = Store.open(directory, options)
      return store
    },
    [Symbol.dispose]() {
      store[Symbol.dispose]()
      place[Symbol.dispose]()
    },
  }
}
