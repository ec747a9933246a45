/**
 * The change feed's promise: whatever is different between two states of a store, later rows of the feed say so, as they
 * are committed with the changes. Every state is compared with earlier ones as a reader would that had read up to them.
 */
import type { Commit } from "../../clawfs/store/feed.ts"
import type { Store } from "../../clawfs/store/store.ts"
import type { NodeId } from "../../clawfs/core/brand.ts"
import { digest } from "./history.ts"

/** What a reader may have seen of a state. */
interface Look {
  readonly epoch: number
  readonly last: number
  /** Everything that the feed says. */
  readonly commits: readonly Commit[]
  /** "parent cookie" → inode. */
  readonly names: ReadonlyMap<string, number>
  /** Inode → mode and contents, of regular files. */
  readonly files: ReadonlyMap<number, string>
}

const EVERYTHING = 1_000_000
const KEPT = 8

export class FeedCheck {
  readonly #looks: Look[] = []

  /** Tells what differs from another state without a row that says so: the later one has those of the time between. */
  check(store: Store): string[] {
    const look = lookAt(store)
    const missing = this.#looks.flatMap((other) => {
      if (other.epoch !== look.epoch) return []
      return other.last <= look.last ? unsaid(other, look) : unsaid(look, other)
    })
    this.#looks.push(look)
    // The newest, and some that are long ago.
    if (this.#looks.length > KEPT) this.#looks.splice(look.last % (KEPT - 1), 1)
    return missing.slice(0, 3)
  }
}

function unsaid(before: Look, now: Look): string[] {
  const [names, inodes] = [new Set<string>(), new Set<number>()]
  for (const { seq, changes } of now.commits) {
    if (seq <= before.last) continue
    for (const { ino, parent, cookie } of changes) {
      names.add(`${parent} ${cookie}`)
      inodes.add(ino)
    }
  }
  const where = `between ${before.last} and ${now.last}`
  const isNew = (name: string): boolean => before.names.get(name) !== now.names.get(name)
  const lostNames = [...new Set([...before.names.keys(), ...now.names.keys()])].filter(
    (name) => isNew(name) && !names.has(name),
  )
  const lostFiles = [...now.files].filter(([ino, what]) => before.files.get(ino) !== what && !inodes.has(ino))
  return [
    ...lostNames.map((name) => `the feed does not say that the name ${name} changed ${where}`),
    ...lostFiles.map(([ino]) => `the feed does not say that file ${ino} changed ${where}`),
  ]
}

/** Without the snapshots, of which the feed says nothing. */
function lookAt(store: Store): Look {
  const [names, files] = [new Map<string, number>(), new Map<number, string>()]
  const walk = (directory: NodeId): void => {
    for (const { name, ino, cookie } of store.dentries.list(directory, 0, 10_000)) {
      if (directory === store.root().ino && name.toString() === ".snapshots") continue
      names.set(`${directory} ${cookie}`, ino)
      const inode = store.inodes.get(ino)
      if (inode?.isDirectory === true) walk(ino)
      if (inode?.isRegular !== true) continue
      const bytes = Buffer.alloc(inode.size)
      store.contents.read(inode, 0, inode.size, bytes, 0)
      files.set(ino, `${inode.mode} ${digest(bytes)}`)
    }
  }
  walk(store.root().ino)
  const { epoch, last } = store.feed.position
  return { epoch, last, commits: store.feed.behind(0, EVERYTHING), names, files }
}
