/** Paths of inodes, put together from their first names, one step up at a time. */
import { ROOT_NODE } from "../core/brand.ts"
import type { Database, Query } from "../store/database.ts"
import { printable, type PathFinder } from "./finding.ts"
import { standIn } from "./sealed.ts"
import type { InodeIndex } from "./inode-index.ts"

/** The kernel knows no longer paths; a cycle has no end. */
const DEEPEST = 4096

interface Place {
  readonly parent: number
  readonly cookie: number
}

export class Paths implements PathFinder {
  readonly #index: () => InodeIndex | undefined
  readonly #isSealed: (parent: number) => boolean
  readonly #name: Query<[number, number, number], [Buffer]>
  /** Inodes that were made since the index was. */
  readonly #made = new Map<number, Place>()

  constructor(db: Database, index: () => InodeIndex | undefined, isSealed: (parent: number) => boolean) {
    this.#index = index
    this.#isSealed = isSealed
    this.#name = db.query("SELECT name FROM dentry WHERE parent = ? AND cookie = ? AND ino = ?")
  }

  /** An inode that the index does not have. */
  note(ino: number, place: Place): void {
    this.#made.set(ino, place)
  }

  pathOf(ino: number): string | undefined {
    const names: string[] = []
    let at = ino
    while (at !== ROOT_NODE) {
      const place = this.#placeOf(at)
      const name = place === undefined ? undefined : this.#name.get(place.parent, place.cookie, at)?.[0]
      if (place === undefined || name === undefined || names.length === DEEPEST) return undefined
      names.push(printable(this.#isSealed(place.parent) ? standIn(name) : name))
      at = place.parent
    }
    return `/${names.reverse().join("/")}`
  }

  #placeOf(ino: number): Place | undefined {
    const index = this.#index()
    const at = index?.find(ino) ?? -1
    if (index === undefined || at < 0) return this.#made.get(ino)
    const [parent = 0, cookie = 0] = [index.nameParent[at], index.nameCookie[at]]
    return parent === 0 ? undefined : { parent, cookie }
  }

  pathOfEntry(parent: number, name: Buffer): string | undefined {
    const above = this.pathOf(parent)
    if (above === undefined) return undefined
    // A damaged name may have any byte.
    return `${above === "/" ? "" : above}/${printable(name).replaceAll("/", String.raw`\x2f`)}`
  }
}
