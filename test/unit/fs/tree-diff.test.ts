/** Diffs: against a comparison of everything that both directories show, and what they say of moved files. */
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { present } from "../../../clawfs/core/assert.ts"
import { createSnapshot } from "../../../clawfs/fs/snapshots.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { TreeDiff, type Difference } from "../../../clawfs/store/tree-diff.ts"
import { TestFileSystem, ok } from "../support/filesystem.ts"
import { Random, runs, seed } from "../support/random.ts"

let fs: TestFileSystem

beforeEach(() => {
  fs = new TestFileSystem()
  ok(fs.mkdir("a"))
})

afterEach(() => fs[Symbol.dispose]())

const snap = (name: string): void => {
  createSnapshot(fs.env, { name, path: Buffer.from("/a"), isWritable: false })
}

interface Told {
  readonly kind: Difference["kind"]
  readonly path: string
  readonly from: string
}

function diff(first: string, second = "a"): Told[] {
  fs.store.settle()
  const text = (names: readonly Buffer[] = []): string =>
    Buffer.concat(names.flatMap((name) => [SLASH, name])).toString()
  using db = new Database(`${fs.directory}/meta.db`, { readonly: true })
  return new TreeDiff(db, 0)
    .compare(fs.at(first).ino, fs.at(second).ino)
    .map(({ kind, path, from }) => ({ kind, path: text(path).slice(1), from: text(from).slice(1) }))
}

const SLASH = Buffer.from("/")
const lines = (first: string, second?: string): string[] =>
  diff(first, second).map(({ kind, path, from }) => [kind, from, path].filter(Boolean).join(" "))
const make = (path: string, text = path): void => {
  ok(fs.mknod(path))
  fs.write(fs.at(path).ino, 0, text)
}

describe("a file that was renamed and written to is that", () => {
  test("once: its number tells", () => {
    make("a/one")
    make("a/two")
    snap("s")
    fs.rename("a/one", "a/new")
    fs.write(fs.at("a/new").ino, 0, "changed")
    expect(lines(".snapshots/s")).toEqual(["renamed one new", "changed new"])
  })

  test("again after another snapshot: the time of its birth tells", () => {
    make("a/one")
    snap("s")
    fs.write(fs.at("a/one").ino, 0, "changed")
    snap("t")
    fs.rename("a/one", "a/new")
    fs.write(fs.at("a/new").ino, 0, "changed again")
    expect(lines(".snapshots/t")).toEqual(["renamed one new", "changed new"])
    snap("u")
    expect(lines(".snapshots/t", ".snapshots/u")).toEqual(["renamed one new", "changed new"])
  })

  test("but nothing is guessed where several were born at one instant", () => {
    for (const name of ["one", "two"]) make(`a/${name}`)
    const { btime, btimeNanos } = fs.at("a/one")
    const other = present(fs.store.inodes.get(fs.at("a/two").ino), "inode")
    fs.store.transactAlone(() => {
      Object.assign(other, { btime, btimeNanos })
      fs.store.inodes.save(other)
    })
    snap("s")
    for (const name of ["one", "two"]) fs.write(fs.at(`a/${name}`).ino, 0, "changed")
    snap("t")
    fs.rename("a/one", "a/new")
    fs.write(fs.at("a/new").ino, 0, "changed again")
    fs.unlink("a/two")
    expect(lines(".snapshots/t")).toEqual(["added new", "removed one", "removed two"])
  })

  test("or changed, where it only went along with its directory", () => {
    ok(fs.mkdir("a/box"))
    for (const path of ["a/box/file", "a/box/same"]) make(path)
    snap("s")
    fs.write(fs.at("a/box/file").ino, 0, "changed")
    snap("t")
    fs.rename("a/box", "a/chest")
    fs.write(fs.at("a/chest/file").ino, 0, "changed again")
    expect(lines(".snapshots/t")).toEqual(["renamed box chest", "changed chest/file"])
  })

  test("or replaced, where a program put another file in its place", () => {
    ok(fs.mkdir("a/box"))
    make("a/box/file")
    snap("s")
    make("a/box/temporary")
    fs.rename("a/box/temporary", "a/box/file")
    fs.rename("a/box", "a/chest")
    expect(lines(".snapshots/s")).toEqual(["renamed box chest", "changed chest/file"])
  })
})

test("every name of a file with several is followed", () => {
  make("a/one")
  for (const name of ["two", "three"]) ok(fs.link("a/one", `a/${name}`))
  snap("s")
  ok(fs.mkdir("a/box"))
  for (const name of ["one", "two", "three"]) fs.rename(`a/${name}`, `a/box/${name}`)
  const told = diff(".snapshots/s").filter(({ kind }) => kind !== "attributes")
  expect(told.map(({ kind }) => kind)).toEqual(["added", "renamed", "renamed", "renamed"])
})

test("a change at the instant of the snapshot is seen, although the directory's time says nothing", () => {
  make("a/one")
  snap("s")
  make("a/two")
  const [live, copy] = [fs.at("a"), fs.at(".snapshots/s")]
  const inode = present(fs.store.inodes.get(live.ino), "inode")
  fs.store.transactAlone(() => {
    Object.assign(inode, { ctime: copy.ctime, ctimeNanos: copy.ctimeNanos })
    fs.store.inodes.save(inode)
  })
  expect(lines(".snapshots/s")).toEqual(["added two"])
})

test("a damaged store in which a directory lies in itself ends the diff", () => {
  for (const path of ["a/x", "a/x/y"]) ok(fs.mkdir(path))
  snap("s")
  fs.rename("a/x", "a/z")
  fs.store.settle()
  const [x, y] = [fs.at("a/z").ino, fs.at("a/z/y").ino]
  using db = new Database(`${fs.directory}/meta.db`)
  db.execute(`UPDATE dentry SET ino = ${x} WHERE parent = ${x} AND ino = ${y}`)
  using reader = new Database(`${fs.directory}/meta.db`, { readonly: true })
  expect(() => new TreeDiff(reader, 0).compare(fs.at(".snapshots/s").ino, fs.at("a").ino)).toThrow(
    `a name that leads to directory ${x}`,
  )
})

test("random changes: what is told accounts for everything that both directories show", () => {
  for (let round = 0; round < runs(30); round += 1) {
    using other = new TestFileSystem()
    fs[Symbol.dispose]()
    fs = other
    randomly(new Random(seed + round))
    fs = new TestFileSystem()
  }
})

function randomly(random: Random): void {
  ok(fs.mkdir("a"))
  const first = new Changes(random)
  for (let i = 0; i < 40; i += 1) first.step()
  snap("s")
  for (let i = 0; i < 5 + random.below(25); i += 1) first.step()
  const [before, after] = [shownAt(".snapshots/s"), shownAt("a")]
  const told = diff(".snapshots/s")
  const of = (kind: Told["kind"]): Told[] => told.filter((each) => each.kind === kind)
  const renamed = of("renamed")
  /** Where in the first directory it was that lies at `path` now. */
  const originOf = (path: string): string => {
    const above = renamed.filter((each) => path === each.path || path.startsWith(`${each.path}/`))
    const [nearest] = above.sort((x, y) => y.path.length - x.path.length)
    return nearest === undefined ? path : nearest.from + path.slice(nearest.path.length)
  }
  const added = new Set(of("added").map(({ path }) => path))
  const changed = new Set(of("changed").map(({ path }) => path))
  const kept = new Set<string>()
  for (const [path, shown] of after) {
    if (added.has(path)) continue
    const old = before.get(originOf(path))
    expect([path, shown.type]).toEqual([path, old?.type])
    expect([path, changed.has(path)]).toEqual([path, shown.text !== old?.text])
    kept.add(originOf(path))
  }
  expect([...before.keys()].filter((path) => !kept.has(path)).sort()).toEqual(
    of("removed")
      .map(({ path }) => path)
      .sort(),
  )
  for (const path of [...added, ...changed, ...renamed.map((each) => each.path)])
    expect(after.has(path)).toBe(true)
}

interface Shown {
  readonly type: number
  readonly text: string
}

function shownAt(top: string): Map<string, Shown> {
  const all = new Map<string, Shown>()
  const list = (path: string): void => {
    for (const name of fs.names(fs.at(path).ino)) {
      const below = `${path}/${name}`
      const { mode, ino } = fs.at(below)
      const type = mode & 0o170000
      all.set(below.slice(top.length + 1), { type, text: type === 0o100000 ? fs.read(ino) : "" })
      if (type === 0o040000) list(below)
    }
  }
  list(top)
  return all
}

/** Makes, writes, moves and removes below `a`; each content is written once. */
class Changes {
  readonly #random: Random
  #texts = 0

  constructor(random: Random) {
    this.#random = random
  }

  step(): void {
    const paths = [...shownAt("a")]
    const directories = [
      "a",
      ...paths.filter(([, { type }]) => type === 0o040000).map(([path]) => `a/${path}`),
    ]
    const files = paths.filter(([, { type }]) => type === 0o100000).map(([path]) => `a/${path}`)
    const random = this.#random
    const pick = (from: readonly string[]): string => from[random.below(from.length)] ?? "a"
    const free = `${pick(directories)}/${"abcdefgh"[random.below(8)] ?? ""}`
    const kind = random.below(8)
    if (kind === 0 && !fs.has(free)) ok(fs.mkdir(free))
    else if (kind < 3 && !fs.has(free)) make(free, `text ${(this.#texts += 1)}`)
    else if (kind < 5 && files.length > 0) fs.write(fs.at(pick(files)).ino, 0, `new ${(this.#texts += 1)} `)
    else if (kind < 7) fs.rename(pick([...files, ...directories.slice(1)]), free)
    else if (files.length > 0) fs.unlink(pick(files))
  }
}
