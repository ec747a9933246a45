/**
 * What is different between two directories of which one is a copy of the other, or both of a third: by the rows alone, so
 * that no byte of a file is read. Contents are the same where the body is, and an inode is the same where its lineage is:
 * the number of the inode that it was copied from.
 *
 * A copy has its names under the cookies of the original, so SQLite merges both directories and hands out only what is
 * different, and the directories in them. Inodes don't know who has changed below them: each pair of names is looked at,
 * some 2 µs, and of a directory with the sum and ctime of its copy nothing else.
 */
import type { Database, Query } from "./database.ts"
import { damagedRow } from "./checksum.ts"
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "./inode.ts"
import { matchMoved, type Entry } from "./moved-entries.ts"

export interface Difference {
  readonly kind: "added" | "removed" | "changed" | "attributes" | "renamed"
  /** Names below the directory; of what was removed in the first one, of everything else in the second. */
  readonly path: readonly Buffer[]
  /** Renamed: the names in the first directory. */
  readonly from?: readonly Buffer[]
  readonly isDirectory: boolean
}

type Columns = [
  ino: number,
  lineage: number,
  mode: number,
  uid: number,
  gid: number,
  mtime: number,
  mtimeNanos: number,
  ctime: number,
  ctimeNanos: number,
  btime: number,
  btimeNanos: number,
  partSum: number | null,
  target: Buffer | null,
]
const WIDTH = 13

const columns = (i: string): string => `${i}.ino, ${lineage(i)}, ${i}.mode, ${i}.uid, ${i}.gid, ${i}.mtime,
  ${i}.mtime_nanos, ${i}.ctime, ${i}.ctime_nanos, ${i}.btime, ${i}.btime_nanos, ${i}.part_sum,
  CASE ${i}.mode & ${S_IFMT} WHEN ${S_IFLNK} THEN (SELECT target FROM symlink WHERE ino = ${i}.ino) END`
const lineage = (i: string): string => `CASE ${i}.body WHEN 0 THEN ${i}.ino ELSE ${i}.body END`

/** All names of a directory. */
const LIST = `SELECT d.name, ${columns("i")} FROM dentry d JOIN inode i ON i.ino = d.ino WHERE d.parent = ? AND d.ino != ?`
/** Those that another directory does not have in the same place. */
const ALONE = `${LIST} AND NOT EXISTS
  (SELECT 1 FROM dentry e WHERE e.parent = ? AND e.cookie = d.cookie AND e.name = d.name AND e.ino != ?)`
/** Those that both have, where they are directories or something is different. */
const PAIRS = `SELECT d.name, ${columns("i")}, ${columns("j")}
  FROM dentry d CROSS JOIN dentry e ON e.parent = ? AND e.cookie = d.cookie AND e.name = d.name
    CROSS JOIN inode i ON i.ino = d.ino CROSS JOIN inode j ON j.ino = e.ino
  WHERE d.parent = ? AND d.ino != ? AND e.ino != ? AND (i.mode & ${S_IFMT} = ${S_IFDIR} OR i.mode != j.mode
    OR i.uid != j.uid OR i.gid != j.gid OR i.mtime != j.mtime OR i.mtime_nanos != j.mtime_nanos
    OR ${lineage("i")} != ${lineage("j")})`

export class TreeDiff {
  readonly #list: Query<[number, number], [Buffer, ...Columns]>
  readonly #alone: Query<[number, number, number, number], [Buffer, ...Columns]>
  readonly #pairs: Query<[number, number, number, number], [Buffer, ...Columns, ...Columns]>
  readonly #except: number
  readonly #removed: Entry[] = []
  readonly #added: Entry[] = []
  readonly #differences: Difference[] = []
  readonly #seen = new Set<number>()

  /** `except`: a directory that is left out wherever it is; 0: none. */
  constructor(db: Database, except: number) {
    this.#list = db.query(LIST)
    this.#alone = db.query(ALONE)
    this.#pairs = db.query(PAIRS)
    this.#except = except
  }

  /**
   * From the directory with inode number `first` to the one with `second`; parts of a path come before what is in them.
   * Throws `Fault("corrupt")` where a directory has two names.
   */
  compare(first: number, second: number): Difference[] {
    const pending: [Entry, Entry][] = [[top(first), top(second)]]
    for (let pair = pending.pop(); pair !== undefined; pair = pending.pop()) this.#pair(...pair, pending)
    const pairs = matchMoved(this.#removed, this.#added)
    const moved = new Set(pairs.values())
    for (const now of this.#added) {
      const old = pairs.get(now)
      if (old === undefined) this.#note("added", now)
      else this.#renamed(old, now, pairs)
    }
    for (const old of this.#removed) if (!moved.has(old)) this.#note("removed", old)
    return this.#differences.sort((a, b) => comparePaths(a.path, b.path))
  }

  #note(kind: Difference["kind"], { path, type }: Entry): void {
    this.#differences.push({ kind, path, isDirectory: type === S_IFDIR })
  }

  #pair(first: Entry, second: Entry, pending: [Entry, Entry][]): void {
    this.#visit(first)
    if (first.ino !== second.ino) this.#visit(second)
    const except = this.#except
    for (const [name, ...both] of this.#pairs.all(second.ino, first.ino, except, except)) {
      const [old, now] = [both.slice(0, WIDTH) as Columns, both.slice(WIDTH) as Columns]
      this.#both(entryOf(first, name, old), entryOf(second, name, now), pending)
    }
    if (first.names !== "" && first.names === second.names) return
    // A name whose hash met another's may have got another place since.
    const gone = this.#namesOf(first, this.#alone.all(first.ino, except, second.ino, except))
    const come = this.#namesOf(second, this.#alone.all(second.ino, except, first.ino, except))
    for (const [name, old] of gone) {
      const now = come.get(name)
      if (now === undefined) this.#expand(old, this.#removed)
      else this.#both(old, now, pending)
    }
    for (const [name, now] of come) if (!gone.has(name)) this.#expand(now, this.#added)
  }

  #namesOf(directory: Entry, rows: readonly [Buffer, ...Columns][]): Map<string, Entry> {
    return new Map(
      rows.map(([name, ...row]) => [name.toString("latin1"), entryOf(directory, name, row)] as const),
    )
  }

  /** One name in both directories. */
  #both(old: Entry, now: Entry, pending: [Entry, Entry][]): void {
    if (old.type !== now.type) {
      this.#expand(old, this.#removed)
      this.#expand(now, this.#added)
      return
    }
    this.#inside(old, now)
    if (now.type === S_IFDIR) pending.push([old, now])
  }

  /** What is different about the inode itself. */
  #inside(old: Entry, now: Entry): void {
    if (now.type === S_IFREG && old.lineage !== now.lineage) this.#note("changed", now)
    else if (old.attributes !== now.attributes) this.#note("attributes", now)
  }

  /** All that is below a directory of one side only, and it itself before. */
  #expand(top: Entry, into: Entry[]): void {
    const pending = [top]
    for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
      into.push(at)
      if (at.type !== S_IFDIR) continue
      this.#visit(at)
      for (const [name, ...row] of this.#list.all(at.ino, this.#except)) pending.push(entryOf(at, name, row))
    }
  }

  /** In a whole store no directory is come to twice. */
  #visit({ ino }: Entry): void {
    if (this.#seen.has(ino)) throw damagedRow(`a name that leads to directory ${ino}`)
    this.#seen.add(ino)
  }

  /** What only went along with its directory is not renamed itself. */
  #renamed(old: Entry, now: Entry, pairs: ReadonlyMap<Entry, Entry>): void {
    const wentAlong =
      now.parent !== undefined && pairs.get(now.parent) === old.parent && nameOf(old).equals(nameOf(now))
    if (!wentAlong)
      this.#differences.push({
        ...{ kind: "renamed", path: now.path, from: old.path, isDirectory: now.type === S_IFDIR },
      })
    this.#inside(old, now)
  }
}

function nameOf({ path }: Entry): Buffer {
  return path.at(-1) ?? Buffer.alloc(0)
}

function top(ino: number): Entry {
  const nothing = { path: [], parent: undefined, attributes: "", birth: "", names: "" }
  return { ...nothing, ino, lineage: ino, type: S_IFDIR }
}

function entryOf(parent: Entry, name: Buffer, row: Columns): Entry {
  const [ino, lineage, mode, uid, gid, mtime, mtimeNanos, ctime, ctimeNanos, btime, btimeNanos] = row
  const [partSum, target] = row.slice(-2) as [number | null, Buffer | null]
  const type = mode & S_IFMT
  const times = type === S_IFDIR ? "" : `${mtime}.${mtimeNanos}`
  return {
    ...{ path: [...parent.path, name], ino, parent, lineage, type },
    attributes: [mode, uid, gid, times, target?.toString("hex")].join(" "),
    birth: `${btime}.${btimeNanos}`,
    names: `${partSum} ${ctime}.${ctimeNanos}`,
  }
}

function comparePaths(a: readonly Buffer[], b: readonly Buffer[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i += 1) {
    const order = Buffer.compare(a[i] ?? Buffer.alloc(0), b[i] ?? Buffer.alloc(0))
    if (order !== 0) return order
  }
  return a.length - b.length
}
