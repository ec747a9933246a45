/**
 * What is different between two directories of which one is a copy of the other, or both of a third: by the rows alone, so
 * that no byte of a file is read. Contents are the same where the body is, and an inode is the same where its lineage is:
 * the number of the inode that it was copied from.
 */
import type { Database, Query } from "./database.ts"
import { S_IFDIR, S_IFMT, S_IFREG } from "./inode.ts"

export interface Difference {
  readonly kind: "added" | "removed" | "changed" | "attributes" | "renamed"
  /** Names below the directory; of what was removed in the first one, of everything else in the second. */
  readonly path: readonly Buffer[]
  /** Renamed: the names in the first directory. */
  readonly from?: readonly Buffer[]
  readonly isDirectory: boolean
}

interface Entry {
  readonly path: readonly Buffer[]
  readonly ino: number
  readonly parent: Entry | undefined
  readonly lineage: number
  readonly mode: number
  /** Owner, mode, size, times as one text. */
  readonly attributes: string
}

type Row = [
  name: Buffer,
  ino: number,
  lineage: number,
  mode: number,
  uid: number,
  gid: number,
  mtime: number,
  mtimeNanos: number,
  target: Buffer | null,
]

const LIST = `SELECT d.name, i.ino, CASE i.body WHEN 0 THEN i.ino ELSE i.body END, i.mode, i.uid, i.gid, i.mtime, i.mtime_nanos,
    s.target
  FROM dentry d JOIN inode i ON i.ino = d.ino LEFT JOIN symlink s ON s.ino = i.ino WHERE d.parent = ? AND d.ino != ?`

export class TreeDiff {
  readonly #list: Query<[number, number], Row>
  readonly #except: number
  readonly #removed: Entry[] = []
  readonly #added: Entry[] = []
  readonly #differences: Difference[] = []

  /** `except`: a directory that is left out wherever it is; 0: none. */
  constructor(db: Database, except: number) {
    this.#list = db.query(LIST)
    this.#except = except
  }

  /** From the directory with inode number `first` to the one with `second`; parts of a path come before what is in them. */
  compare(first: number, second: number): Difference[] {
    this.#pair(entry([], first), entry([], second))
    this.#match()
    return this.#differences.sort((a, b) => comparePaths(a.path, b.path))
  }

  #entries(directory: Entry): Map<string, Entry> {
    const entries = new Map<string, Entry>()
    for (const [name, ino, lineage, mode, uid, gid, mtime, nanos, target] of this.#list.all(
      directory.ino,
      this.#except,
    )) {
      const isDirectory = (mode & S_IFMT) === S_IFDIR
      const times = isDirectory ? "" : `${mtime}.${nanos}`
      const attributes = [mode, uid, gid, times, target?.toString("hex")].join(" ")
      const path = [...directory.path, name]
      entries.set(name.toString("latin1"), { path, ino, parent: directory, lineage, mode, attributes })
    }
    return entries
  }

  #pair(first: Entry, second: Entry): void {
    const [before, after] = [this.#entries(first), this.#entries(second)]
    for (const [name, old] of before) {
      const now = after.get(name)
      if (now === undefined || typeOf(now) !== typeOf(old)) this.#expand(old, this.#removed)
      else this.#compare(old, now)
    }
    for (const [name, now] of after) {
      const old = before.get(name)
      if (old === undefined || typeOf(now) !== typeOf(old)) this.#expand(now, this.#added)
    }
  }

  /** Of one name, or of two that stand for one inode. */
  #compare(old: Entry, now: Entry): void {
    const isDirectory = typeOf(now) === S_IFDIR
    if (typeOf(now) === S_IFREG && old.lineage !== now.lineage)
      this.#differences.push({ kind: "changed", path: now.path, isDirectory })
    else if (old.attributes !== now.attributes)
      this.#differences.push({ kind: "attributes", path: now.path, isDirectory })
    if (isDirectory) this.#pair(old, now)
  }

  #expand(top: Entry, into: Entry[]): void {
    into.push(top)
    if (typeOf(top) === S_IFDIR) for (const below of this.#entries(top).values()) this.#expand(below, into)
  }

  /** What is gone here and has come there is one thing that was moved, where it has one lineage. */
  #match(): void {
    const gone = new Map<number, Entry>()
    for (const old of this.#removed) gone.set(old.lineage, old)
    const pairs = new Map<Entry, Entry>()
    for (const now of this.#added) {
      const old = gone.get(now.lineage)
      if (old === undefined || typeOf(old) !== typeOf(now)) continue
      gone.delete(now.lineage)
      pairs.set(now, old)
    }
    const moved = new Set(pairs.values())
    for (const now of this.#added) {
      const old = pairs.get(now)
      const isDirectory = typeOf(now) === S_IFDIR
      if (old === undefined) this.#differences.push({ kind: "added", path: now.path, isDirectory })
      else this.#renamed(old, now, pairs)
    }
    for (const old of this.#removed)
      if (!moved.has(old))
        this.#differences.push({ kind: "removed", path: old.path, isDirectory: typeOf(old) === S_IFDIR })
  }

  /** What only went along with its directory is not renamed itself. */
  #renamed(old: Entry, now: Entry, pairs: ReadonlyMap<Entry, Entry>): void {
    const isDirectory = typeOf(now) === S_IFDIR
    const wentAlong =
      now.parent !== undefined && pairs.get(now.parent) === old.parent && sameName(old.path, now.path)
    if (!wentAlong) this.#differences.push({ kind: "renamed", path: now.path, from: old.path, isDirectory })
    if (old.attributes !== now.attributes)
      this.#differences.push({ kind: "attributes", path: now.path, isDirectory })
  }
}

function entry(path: readonly Buffer[], ino: number): Entry {
  return { path, ino, parent: undefined, lineage: ino, mode: S_IFDIR, attributes: "" }
}

function typeOf({ mode }: Entry): number {
  return mode & S_IFMT
}

function sameName(a: readonly Buffer[], b: readonly Buffer[]): boolean {
  return a.at(-1)?.equals(b.at(-1) ?? Buffer.alloc(0)) === true
}

function comparePaths(a: readonly Buffer[], b: readonly Buffer[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i += 1) {
    const order = Buffer.compare(a[i] ?? Buffer.alloc(0), b[i] ?? Buffer.alloc(0))
    if (order !== 0) return order
  }
  return a.length - b.length
}
