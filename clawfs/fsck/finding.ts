/** What a check has found: one rule of docs/FORMAT.md that is broken, where, and whether it can be or was mended. */
import { Fault } from "../core/fault.ts"

export type FindingKind =
  /** SQLite's own structure is damaged. */
  | "database"
  /** The rows `store` and `state`. */
  | "state"
  /** Answered requests that are not in the database. */
  | "journal"
  /** A row, or a set of rows, that is not as it was written. */
  | "checksum"
  /** A column of an inode. */
  | "inode"
  /** A directory entry. */
  | "name"
  | "links"
  /** An inode or a directory that no name leads to. */
  | "lost"
  | "symlink"
  | "xattr"
  | "key"
  | "inline"
  | "extent"
  /** How many inodes have the same contents. */
  | "shared"
  /** A directory with properties of its own, or what is in it. */
  | "tree"
  /** What is listed of the snapshots, and what is there. */
  | "snapshot"
  /** Bytes of a file that can't be read. */
  | "contents"
  | "segment"
  /** Something that belongs to nothing any more. */
  | "leftover"
  /** Unlinked while it was open; the next mount removes it. */
  | "orphan"

/** An error breaks a rule; a note costs space at most. */
export type Severity = "error" | "note"

export interface Finding {
  readonly kind: FindingKind
  readonly severity: Severity
  /** From the root of the filesystem, as `printable` writes it; missing when no name leads there. */
  readonly path?: string
  readonly ino?: number
  /** Bytes of the file. */
  readonly range?: { readonly offset: number; readonly length: number }
  readonly message: string
  readonly repairable: boolean
  readonly repaired: boolean
}

/** A finding as the checks state it. */
export interface Draft {
  readonly kind: FindingKind
  readonly severity?: Severity
  readonly ino?: number
  /** The directory entry that it is about; its path is the finding's. */
  readonly entry?: { readonly parent: number; readonly name: Buffer }
  readonly range?: { readonly offset: number; readonly length: number }
  readonly message: string
  /** Mends the database, inside of the repair's transaction. */
  readonly repair?: () => void
  /** Mends a file of the store, after that transaction. */
  readonly repairFile?: () => void
}

/** So many are kept with all their words; the others are only counted. */
const KEPT = 10_000

interface Kept {
  readonly draft: Draft
  path: string | undefined
  isRepaired: boolean
}

export interface Counts {
  /** Not mended. */
  readonly errors: number
  readonly notes: number
  readonly repaired: number
}

export interface PathFinder {
  pathOf(ino: number): string | undefined
  pathOfEntry(parent: number, name: Buffer): string | undefined
}

export class Findings {
  readonly #paths: PathFinder
  readonly #isRepairing: boolean
  readonly #kept: Kept[] = []
  #areNamesKnown = false
  /** Findings that are not kept, by what became of them. */
  readonly #omitted = { errors: 0, notes: 0, repaired: 0 }
  /** Mended in the transaction that runs. */
  repairs = 0
  /** That a transaction could mend. */
  repairable = 0

  constructor(paths: PathFinder, isRepairing: boolean) {
    this.#paths = paths
    this.#isRepairing = isRepairing
  }

  /** Takes a finding down, and mends it if that is wanted and possible. Returns whether it was mended. */
  add(draft: Draft): boolean {
    if (draft.repair !== undefined) this.repairable += 1
    const isRepaired = this.#isRepairing && draft.repair !== undefined && succeeds(draft.repair)
    if (isRepaired) this.repairs += 1
    if (this.#kept.length < KEPT) {
      const kept = { draft, path: undefined, isRepaired }
      this.#kept.push(kept)
      if (this.#areNamesKnown) this.#resolve(kept)
    } else if (isRepaired) this.#omitted.repaired += 1
    else this.#omitted[draft.severity === "note" ? "notes" : "errors"] += 1
    return isRepaired
  }

  /** Every directory entry has been seen: from now on inodes have paths, and those of earlier findings are looked up. */
  namesAreKnown(): void {
    this.#areNamesKnown = true
    for (const kept of this.#kept) this.#resolve(kept)
  }

  #resolve(kept: Kept): void {
    const { entry, ino } = kept.draft
    if (entry !== undefined) kept.path = this.#paths.pathOfEntry(entry.parent, entry.name)
    else if (ino !== undefined) kept.path = this.#paths.pathOf(ino)
  }

  /** Inodes may have got other names since; `paths` knows them. */
  resolveAgain(paths: PathFinder): void {
    for (const kept of this.#kept)
      if (kept.draft.ino !== undefined && kept.draft.entry === undefined)
        kept.path = paths.pathOf(kept.draft.ino) ?? kept.path
  }

  /** Mends the files of the store that findings of this severity are about. */
  repairFiles(severity: Severity): void {
    for (const kept of this.#kept) {
      if (kept.draft.repairFile === undefined || (kept.draft.severity ?? "error") !== severity) continue
      kept.draft.repairFile()
      kept.isRepaired = true
    }
  }

  /** So many have been added. */
  get count(): number {
    const { errors, notes, repaired } = this.#omitted
    return this.#kept.length + errors + notes + repaired
  }

  get hasFileRepairs(): boolean {
    return this.#kept.some(({ draft }) => draft.repairFile !== undefined)
  }

  /** Findings that are not in the list. */
  get omitted(): Counts {
    return { ...this.#omitted }
  }

  get list(): Finding[] {
    return this.#kept.map(({ draft, path, isRepaired }) => ({
      kind: draft.kind,
      severity: draft.severity ?? "error",
      ...(path === undefined ? {} : { path }),
      ...(draft.ino === undefined ? {} : { ino: draft.ino }),
      ...(draft.range === undefined ? {} : { range: draft.range }),
      message: draft.message,
      repairable: draft.repair !== undefined || draft.repairFile !== undefined,
      repaired: isRepaired,
    }))
  }
}

/** What the damage makes impossible stays as it is; a full disk ends the repair. */
function succeeds(repair: () => void): boolean {
  try {
    repair()
    return true
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.kind === "invalid") return false
    throw thrown
  }
}

/** Bytes of a name as text that is safe to show: what is not UTF-8, and what a terminal would obey, as \xNN. */
export function printable(name: Buffer): string {
  const text = name.toString("utf8")
  const isUtf8 = Buffer.from(text, "utf8").equals(name)
  const hex = (code: number): string => `\\x${code.toString(16).padStart(2, "0")}`
  if (!isUtf8) {
    return [...name]
      .map((byte) => (byte >= 0x20 && byte < 0x7f && byte !== 0x5c ? String.fromCharCode(byte) : hex(byte)))
      .join("")
  }
  return text.replace(/[\u0000-\u001f\u007f-\u009f\\\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (character) =>
    [...Buffer.from(character, "utf8")].map(hex).join(""),
  )
}
