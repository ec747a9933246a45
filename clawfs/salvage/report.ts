/** What a salvage has brought back. */
import { printable } from "../fsck/finding.ts"
import type { Recovered } from "./contents.ts"

/** What is known of a file besides its contents: all, all but its extended attributes, nothing. */
export type Metadata = "whole" | "without attributes" | "lost"

/** Of a file that is not whole. */
export interface Entry {
  /** From the root of the new store, as `printable` writes it. */
  readonly path: string
  /** "part": some bytes are lost or uncertain; "lost": only the name is known. */
  readonly status: "part" | "lost"
  readonly metadata: Metadata
  /** The number that it had. */
  readonly ino: number
  /** Ranges that read as zeroes now, and bytes whose place the log alone tells. */
  readonly lost: readonly { readonly offset: number; readonly length: number }[]
  readonly uncertainBytes: number
}

export interface Counts {
  /** Files, links and the like, whole as the newest database has them. */
  whole: number
  /** As an older copy of the database has them, with what was written since. */
  older: number
  part: number
  lost: number
  directories: number
  /** Of those above: without a name, now in /lost+found. */
  nameless: number
  /** Contents in the new store. */
  bytes: number
}

/** So many entries are kept, and so many ranges of one. */
const MOST_ENTRIES = 10_000
const MOST_RANGES = 100

export class Report {
  readonly counts: Counts = { whole: 0, older: 0, part: 0, lost: 0, directories: 0, nameless: 0, bytes: 0 }
  readonly #entries: Entry[] = []

  /** Takes down a file. `isOlder`: an older copy of the database told of it. */
  file(
    path: Buffer,
    ino: number,
    recovered: Recovered | undefined,
    isOlder: boolean,
    metadata: Metadata,
  ): void {
    const lost = recovered?.lost ?? []
    const uncertainBytes = recovered?.uncertainBytes ?? 0
    if (lost.length === 0 && uncertainBytes === 0 && metadata === "whole") {
      this.counts[isOlder ? "older" : "whole"] += 1
      return
    }
    this.counts.part += 1
    const ranges = lost
      .slice(0, MOST_RANGES)
      .map(({ start, end }) => ({ offset: start, length: end - start }))
    this.#add({ path: printable(path), status: "part", metadata, ino, lost: ranges, uncertainBytes })
  }

  directory(path: Buffer, ino: number, metadata: Metadata): void {
    this.counts.directories += 1
    if (metadata !== "whole") this.file(path, ino, undefined, false, metadata)
  }

  /** Takes down a name whose file is gone. */
  lost(path: Buffer, ino: number): void {
    this.counts.lost += 1
    this.#add({ path: printable(path), status: "lost", metadata: "lost", ino, lost: [], uncertainBytes: 0 })
  }

  #add(entry: Entry): void {
    if (this.#entries.length < MOST_ENTRIES) this.#entries.push(entry)
  }

  /** What is not whole, by path. */
  get entries(): Entry[] {
    return this.#entries.toSorted((a, b) => (a.path < b.path ? -1 : 1))
  }

  /** Not whole, and not in `entries`. */
  get omitted(): number {
    return this.counts.part + this.counts.lost - this.#entries.length
  }
}
