/** Snapshots and clones at the level of the filesystem: what they show, what they share, who may see it, and their end. */
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { clone } from "../../../clawfs/fs/clone.ts"
import { Removal } from "../../../clawfs/fs/removal.ts"
import { createSnapshot, deleteSnapshot, narrowed, trashOf } from "../../../clawfs/fs/snapshots.ts"
import { Inode, S_IFDIR } from "../../../clawfs/store/inode.ts"
import type { NodeId } from "../../../clawfs/core/brand.ts"
import { TestFileSystem, ok, outcome } from "../support/filesystem.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { Random, runs, seed } from "../support/random.ts"

let fs: TestFileSystem

beforeEach(() => {
  fs = new TestFileSystem()
  for (const path of ["a", "a/deep", "b"]) ok(fs.mkdir(path))
  ok(fs.mknod("a/file", 0o100640))
  fs.write(fs.at("a/file").ino, 0, "small")
  ok(fs.mknod("a/deep/large"))
  fs.write(fs.at("a/deep/large").ino, 0, Buffer.alloc(300_000, "large "))
  ok(fs.symlink("a/link", "deep/large"))
  ok(fs.link("a/file", "a/deep/second"))
  ok(fs.link("a/file", "b/outside"))
})

afterEach(() => {
  fs.store.settle()
  expect(brokenInvariants(fs.directory)).toEqual([])
  fs[Symbol.dispose]()
})

const snap = (name: string, path = "/a", isWritable = false): void => {
  createSnapshot(fs.env, { name, path: Buffer.from(path), isWritable })
}
const copy = (from: string, to: string): unknown => clone(fs.env, Buffer.from(from), Buffer.from(to))
const readAt = (path: string): string => fs.read(fs.at(path).ino, { size: 400_000 })

/** Names, types, sizes, link counts, times and contents below a path. */
function treeAt(path: string): unknown[] {
  const attr = fs.at(path)
  const names = fs.names(attr.ino)
  return names.map((name) => {
    const below = `${path}/${name}`
    const { mode, nlink, size, uid, gid, mtime, mtimeNanos, ctime, ctimeNanos } = fs.at(below)
    const attributes = [name, mode, nlink, size, uid, gid, mtime, mtimeNanos, ctime, ctimeNanos]
    if ((mode & 0o170000) === S_IFDIR) return [...attributes, treeAt(below)]
    const isLink = (mode & 0o170000) === 0o120000
    const target = isLink ? ok(fs.fs.readlink(fs.request(fs.at(below).ino))) : undefined
    return [...attributes, target === undefined ? readAt(below) : Buffer.from(target).toString()]
  })
}

describe("a snapshot", () => {
  test("of the root leaves out the directory of the snapshots, the first one too", () => {
    snap("first", "/")
    expect(fs.has(".snapshots/first/.snapshots")).toBe(false)
    expect(fs.at(".snapshots/first").nlink).toBe(4)
    fs.store.settle()
    expect(brokenInvariants(fs.directory)).toEqual([])
  })

  test("shows what was there, whatever is done afterwards", () => {
    const before = treeAt("a/deep")
    const inode = fs.at("a/file")
    snap("one")
    expect(treeAt(".snapshots/one/deep")).toEqual(
      // A name outside of the subtree is no link of the copy.
      JSON.parse(JSON.stringify(before).replaceAll(`"second",33184,3,`, `"second",33184,2,`)),
    )
    fs.write(inode.ino, 0, "CHANGED and longer")
    fs.write(fs.at("a/deep/large").ino, 1000, "hole")
    fs.unlink("a/link")
    expect(fs.rename("a/deep", "b/moved")).toBe("OK")
    expect(readAt(".snapshots/one/file")).toBe("small")
    expect(readAt(".snapshots/one/deep/second")).toBe("small")
    expect(readAt(".snapshots/one/deep/large")).toBe(Buffer.alloc(300_000, "large ").toString())
    expect(fs.names(fs.at(".snapshots/one").ino)).toEqual(["deep", "file", "link"])
    expect(readAt("a/file")).toBe("CHANGED and longer")
  })

  test("takes no room for contents, and its hard links stay links", () => {
    fs.store.settle()
    const used = fs.store.space().usedBytes
    snap("one")
    expect(fs.store.space().usedBytes).toBe(used)
    expect(fs.at(".snapshots/one/file").ino).toBe(fs.at(".snapshots/one/deep/second").ino)
  })

  test("is read-only, or writable when asked for", () => {
    snap("one")
    snap("two", "/a", true)
    expect(fs.write(fs.at(".snapshots/one/file").ino, 0, "x")).toBe("EROFS")
    expect(outcome(fs.mkdir(".snapshots/one/new"))).toBe("EROFS")
    expect(fs.unlink(".snapshots/one/file")).toBe("EROFS")
    expect(fs.write(fs.at(".snapshots/two/file").ino, 0, "x")).toBe("OK")
    ok(fs.mkdir(".snapshots/two/new"))
    expect([readAt("a/file"), readAt(".snapshots/one/file"), readAt(".snapshots/two/file")]).toEqual([
      "small",
      "small",
      "xmall",
    ])
    expect(fs.rename(".snapshots/two/file", "b/taken")).toBe("EXDEV")
    expect(fs.rename(".snapshots/two", "b/taken")).toBe("EROFS")
    expect(outcome(fs.mkdir(".snapshots/three"))).toBe("EROFS")
  })

  test("is not in the listing of the root, and found by whoever asks", () => {
    snap("one")
    expect(fs.names(1)).toEqual(["a", "b"])
    expect(fs.has(".snapshots")).toBe(true)
    expect(fs.at(".snapshots/one/deep/..").ino).toBe(fs.at(".snapshots/one").ino)
  })

  test("of everything leaves the snapshots out", () => {
    snap("one")
    snap("all", "/")
    expect(fs.names(fs.at(".snapshots/all").ino)).toEqual(["a", "b"])
    expect(fs.at(".snapshots/all").nlink).toBe(4)
    expect(fs.at(".snapshots/all/a/file").nlink).toBe(3)
  })

  test("survives a restart, and so does its removal", () => {
    snap("one")
    fs.restart()
    expect(readAt(".snapshots/one/file")).toBe("small")
    const held = [fs.at(".snapshots/one").ino, fs.at(".snapshots/one/file").ino]
    deleteSnapshot(fs.env, "one")
    expect(fs.has(".snapshots/one")).toBe(false)
    fs.restart()
    expect(trashOf(fs.env)).toHaveLength(1)
    const removal = new Removal(fs.env)
    let slices = 0
    while (removal.slice(1) > 0) slices += 1
    expect(slices).toBeGreaterThan(2)
    expect([trashOf(fs.env), removal.mayHaveWork]).toEqual([[], false])
    fs.store.settle()
    // What programs still hold stays until they let go.
    expect(fs.store.counters.inodes).toBe(10)
    for (const ino of held) fs.fs.forget(ino, 1000)
    fs.store.settle()
    expect(fs.store.counters.inodes).toBe(8)
    expect(readAt("a/deep/large")).toHaveLength(300_000)
  })

  test("goes with what only it held: the room comes back", () => {
    const { ino } = fs.at("a/deep/large")
    snap("one")
    expect([fs.unlink("a/deep/large"), fs.rmdir("a/deep")]).toEqual(["OK", "ENOTEMPTY"])
    fs.fs.forget(ino, 1000)
    fs.store.settle()
    expect(fs.store.space().usedBytes).toBe(300_005)
    deleteSnapshot(fs.env, "one")
    const removal = new Removal(fs.env)
    while (removal.slice(100) > 0);
    fs.store.settle()
    expect(fs.store.space().usedBytes).toBe(5)
  })

  test("has a name that nothing else has, and that is a name", () => {
    snap("one")
    expect(() => snap("one")).toThrow(`there is a snapshot "one" already`)
    for (const bad of ["", ".hidden", "a/b", "..", "x\n", "é", "-option", "x".repeat(129)])
      expect(() => snap(bad), bad).toThrow("a snapshot's name has")
    expect(() => snap("two", "/a/file")).toThrow("only directories")
    expect(() => snap("two", "/nothing")).toThrow(`there is no "/nothing"`)
    expect(() => snap("two", "/a/../b")).toThrow("a path from the root was expected")
    expect(() => snap("two", "/.snapshots")).toThrow("can't be snapshotted")
    expect(() => deleteSnapshot(fs.env, "two")).toThrow(`there is no snapshot "two"`)
  })

  test("does not take the place of somebody's own directory", () => {
    ok(fs.mkdir(".snapshots"))
    expect(() => snap("one")).toThrow("there is something else at /.snapshots")
    expect(fs.rmdir(".snapshots")).toBe("OK")
    snap("one")
  })
})

describe("who could not enter the original can't enter the copy:", () => {
  const directory = (mode: number, uid: number, gid: number): Inode =>
    new Inode(9 as NodeId, S_IFDIR | mode, 2, uid, gid, 0)
  const source = directory(0o775, 1000, 2000)
  test.each([
    ["everybody passes", [directory(0o755, 0, 0)], { uid: 1000, mode: S_IFDIR | 0o775 }],
    ["only root passes", [directory(0o755, 0, 0), directory(0o700, 0, 0)], { uid: 0, mode: S_IFDIR | 0o700 }],
    ["its group passes", [directory(0o750, 0, 2000)], { uid: 1000, mode: S_IFDIR | 0o770 }],
    ["another group passes", [directory(0o750, 0, 7)], { uid: 1000, mode: S_IFDIR | 0o700 }],
    ["its owner passes", [directory(0o700, 1000, 7)], { uid: 1000, mode: S_IFDIR | 0o700 }],
  ])("%s", (_, above, expected) => {
    expect(narrowed(source, above)).toEqual(expected)
  })
})

describe("a clone", () => {
  test("is a copy that can be written to, and so can the original", () => {
    copy("/a", "/b/copy")
    expect(treeAt("b/copy/deep")[0]).toEqual(treeAt("a/deep")[0])
    fs.write(fs.at("b/copy/file").ino, 0, "B")
    fs.write(fs.at("a/file").ino, 4, "A")
    expect([readAt("a/file"), readAt("b/copy/file"), readAt("b/copy/deep/second")]).toEqual([
      "smalA",
      "Bmall",
      "Bmall",
    ])
    expect(fs.rename("b/copy/file", "a/taken")).toBe("OK")
  })

  test("of a file or a link is one name", () => {
    copy("/a/file", "/b/file")
    copy("/a/link", "/b/link")
    expect([fs.at("b/file").nlink, readAt("b/file")]).toEqual([1, "small"])
    expect(Buffer.from(ok(fs.fs.readlink(fs.request(fs.at("b/link").ino)))).toString()).toBe("deep/large")
  })

  test("of a snapshot brings back what was there, with the permissions that it had", () => {
    fs.setattr(fs.at("a").ino, { mode: 0o775 })
    fs.setattr(1, { mode: 0o700 })
    snap("one")
    expect(fs.at(".snapshots/one").mode & 0o777).toBe(0o700)
    copy("/.snapshots/one", "/b/back")
    expect(fs.at("b/back").mode & 0o777).toBe(0o775)
    expect(fs.write(fs.at("b/back/file").ino, 0, "W")).toBe("OK")
    expect(fs.rename("b/back/file", "a/back")).toBe("OK")
  })

  test("is refused where it can't be made", () => {
    snap("one")
    expect(() => copy("/a", "/b")).toThrow(`"/b" exists already`)
    expect(() => copy("/a", "/a/deep/self")).toThrow("into itself")
    expect(() => copy("/a", "/nothing/x")).toThrow("there is no")
    expect(() => copy("/a", "/a/file/x")).toThrow("is not a directory")
    expect(() => copy("/a", "/.snapshots/one/x")).toThrow("read-only")
    expect(() => copy("/a", "/")).toThrow("can't be the target")
  })
})

test("through any changes, every snapshot and clone stays what it was when it was made", () => {
  const random = new Random(seed)
  const pictures = new Map<string, unknown>()
  const paths = ["a", "a/deep"]
  const files = ["a/file", "a/deep/large", "a/deep/second"]
  let removal = new Removal(fs.env)
  for (let step = 0; step < runs(150); step += 1) {
    const file = files[random.below(files.length)] ?? "a/file"
    const kind = random.below(12)
    if (kind < 5 && fs.has(file))
      fs.write(fs.at(file).ino, random.below(400_000), Buffer.alloc(random.below(30_000) + 1, step))
    else if (kind === 5) {
      const name = `${paths[random.below(paths.length)] ?? "a"}/new-${step}`
      ok(fs.mknod(name))
      files.push(name)
    } else if (kind === 6) fs.unlink(file)
    else if (kind === 7 && fs.has(file)) fs.setattr(fs.at(file).ino, { size: random.below(50_000) })
    else if (kind === 8) {
      snap(`s${step}`)
      pictures.set(`.snapshots/s${step}`, treeAt(`.snapshots/s${step}`))
    } else if (kind === 9 && pictures.size > 0) {
      const [name = ""] = [...pictures.keys()].filter((each) => each.startsWith(".snapshots/"))
      if (name !== "") deleteSnapshot(fs.env, name.slice(".snapshots/".length))
      if (name !== "") removal.order()
      pictures.delete(name)
    } else if (kind === 10) {
      copy("/a", `/b/c${step}`)
      pictures.set(`b/c${step}`, treeAt(`b/c${step}`))
    } else removal.slice(3)
    if (step % 10 === 0) {
      fs.store.settle()
      expect(brokenInvariants(fs.directory)).toEqual([])
    }
    if (random.below(25) !== 0) continue
    fs.restart()
    removal = new Removal(fs.env)
  }
  for (const [path, picture] of pictures) expect(treeAt(path)).toEqual(picture)
})
