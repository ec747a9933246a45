/**
 * The segments of a generation. Segments only ever grow, so one that the generation before has is shared with it through
 * a hard link; what is in a finished generation never changes.
 */
import { linkSync, readdirSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import type { BackupSegment } from "../../schema/backup-manifest.ts"
import { Fault } from "../core/fault.ts"
import { segmentPath } from "../store/segment-files.ts"
import { OpenFile, writeDurably } from "./files.ts"
import type { Generation } from "./place.ts"
import type { Verifier } from "./verify.ts"

/** No filesystem of links, or too many of them: the file is written once more. */
const NO_LINKS = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "EMLINK", "EXDEV", "ENOSYS"]

export interface SegmentSource {
  /** The store's own segments. */
  readonly directory: string
  /** Where the copies go. */
  readonly target: string
  readonly previous: Generation | undefined
  readonly verifier: Verifier
  /** Reads everything, here and there, instead of trusting that what has not changed is still what was copied. */
  readonly readsAll: boolean
}

/** What came of a segment. */
export interface CopiedSegment {
  readonly entry: BackupSegment
  /** Bytes that were written; 0 for one that an earlier backup had. */
  readonly written: number
}

export class SegmentCopier {
  readonly #source: SegmentSource
  readonly #previous: ReadonlyMap<number, BackupSegment>

  constructor(source: SegmentSource) {
    this.#source = source
    this.#previous = new Map(source.previous?.manifest.segments.map((entry) => [entry.id, entry]))
  }

  /**
   * Puts the first `length` bytes of segment `id` (all of them: Infinity) into the backup. Undefined when the store has no
   * such segment, and the generation before has none either.
   */
  copy(id: number, length: number): CopiedSegment | undefined {
    using file = OpenFile.open(segmentPath(this.#source.directory, id))
    const before = this.#previous.get(id)
    if (file === undefined) return this.#copyOfLost(id, before)
    const bytes = Math.min(length, file.size)
    const { inode, changed } = file.identity
    if (before?.bytes === bytes && before.damaged === 0 && !this.#source.readsAll) {
      const isSame = before.source.inode === inode && before.source.changed === changed
      if (isSame && this.#share(id, bytes)) return { entry: before, written: 0 }
    }
    return this.#copyOf(id, file, bytes)
  }

  /** Lost in the store, but not in the backup. */
  #copyOfLost(id: number, before: BackupSegment | undefined): CopiedSegment | undefined {
    if (before === undefined || !this.#share(id, before.bytes)) return undefined
    return { entry: before, written: 0 }
  }

  #copyOf(id: number, file: OpenFile, length: number): CopiedSegment {
    const { verifier } = this.#source
    const bytes = file.read(length)
    const problems = verifier.problemsOf(id, bytes)
    const entry = { id, bytes: bytes.length, damaged: problems.size, source: file.identity }
    const earlier = this.#earlierCopy(id, bytes.length)
    if (earlier?.equals(bytes) === true && this.#share(id, bytes.length)) {
      verifier.note(id, problems)
      return { entry, written: 0 }
    }
    // What was damaged since the last backup is whole there.
    const isEarlierBetter =
      earlier !== undefined && problems.size > 0 && verifier.problemsOf(id, earlier).size === 0
    if (isEarlierBetter && this.#share(id, earlier.length))
      return { entry: { ...entry, damaged: 0, source: { inode: "0", changed: "0" } }, written: 0 }
    verifier.note(id, problems)
    const target = segmentPath(this.#source.target, id)
    using partial = OpenFile.open(target)
    if (partial?.size === bytes.length && partial.read().equals(bytes)) return { entry, written: 0 }
    writeDurably(target, bytes)
    return { entry, written: bytes.length }
  }

  /** The bytes that the generation before has of it, if they are so many. */
  #earlierCopy(id: number, length: number): Buffer | undefined {
    const { previous } = this.#source
    if (previous === undefined || this.#previous.get(id)?.bytes !== length) return undefined
    using file = OpenFile.open(segmentPath(join(previous.path, SEGMENTS), id))
    return file?.size === length ? file.read() : undefined
  }

  /** Gives the file of the generation before a second name; false when it is not there or can't get one. */
  #share(id: number, length: number): boolean {
    const { previous, target } = this.#source
    if (previous === undefined) return false
    const from = segmentPath(join(previous.path, SEGMENTS), id)
    const to = segmentPath(target, id)
    const [mine, other] = [from, to].map((path) => statSync(path, { throwIfNoEntry: false }))
    if (mine?.size !== length) return false
    if (other?.ino === mine.ino) return true
    try {
      rmSync(to, { force: true })
      linkSync(from, to)
      return true
    } catch (thrown) {
      if (NO_LINKS.includes((thrown as NodeJS.ErrnoException).code ?? "")) return false
      throw thrown
    }
  }

  /** Removes what an interrupted backup has left in the target and this one does not need. */
  keepOnly(entries: readonly BackupSegment[]): void {
    const { target } = this.#source
    const names = new Set(entries.map(({ id }) => segmentPath(target, id)))
    for (const name of readdirSync(target)) {
      const path = join(target, name)
      if (!names.has(path)) rmSync(path, { recursive: true, force: true })
    }
  }
}

/** As in a store. */
export const SEGMENTS = "segments"

/** A full disk below the backup, said so that one sees which disk is meant, and what is still there. */
export function fullDisk(path: string, thrown: unknown): unknown {
  const { code } = thrown as NodeJS.ErrnoException
  const isFull =
    code === "ENOSPC" || code === "EDQUOT" || (thrown instanceof Fault && thrown.kind === "no-space")
  if (!isFull) return thrown
  return new Fault("no-space", `the disk of ${path} is full`, {
    cause: thrown,
    hint: "free some space there and run this again: it goes on where it stopped; earlier backups are whole",
  })
}
