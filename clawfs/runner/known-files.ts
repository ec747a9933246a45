/** What was made of files, as long as they are what they were: a file's change time tells of everything that is written. */
import { statSync } from "node:fs"

const MOST_KNOWN = 256

interface Known {
  readonly identity: string
  readonly value: unknown
}

export class KnownFiles {
  readonly #known = new Map<string, Known>()

  /**
   * What `read` makes of the file at `path`, which may be missing; asked again when the file is another one, has changed, or
   * `also` is not the same. What throws is not kept.
   */
  get<T>(path: string, read: () => T, also = ""): T {
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
    const identity =
      stat === undefined ? also : `${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs} ${also}`
    const known = this.#known.get(path)
    if (known?.identity === identity) return known.value as T
    const value = read()
    if (this.#known.size >= MOST_KNOWN) this.#known.clear()
    // Read after its identity was: what changes in between is read again.
    this.#known.set(path, { identity, value })
    return value
  }
}
