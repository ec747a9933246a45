import { beforeEach, afterEach, describe, expect, test } from "vitest"
import { InodeFlag } from "../../../clawfs/store/inode.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { ROOT, TestFileSystem, ok } from "../support/filesystem.ts"

const NOREPLACE = 1
const EXCHANGE = 2
const WHITEOUT = 4

let fs: TestFileSystem

beforeEach(() => {
  fs = new TestFileSystem()
  // a/file, a/deep/deeper, b/other, empty
  for (const path of ["a", "a/deep", "a/deep/deeper", "b", "empty"]) ok(fs.mkdir(path))
  for (const path of ["a/file", "b/other"]) ok(fs.mknod(path))
})

afterEach(() => {
  expect(brokenInvariants(fs.directory)).toEqual([])
  fs[Symbol.dispose]()
})

const inoOf = (path: string): number => fs.at(path).ino
const nlinkOf = (path: string): number => fs.at(path).nlink

describe("rename", () => {
  test("moves a file, which stays the same inode", () => {
    const ino = inoOf("a/file")
    expect(fs.rename("a/file", "b/file")).toBe("OK")
    expect([inoOf("b/file"), fs.has("a/file")]).toEqual([ino, false])
  })

  test("moves a directory with everything in it, and its .. with it", () => {
    const [deeper, b] = [inoOf("a/deep/deeper"), inoOf("b")]
    expect(fs.rename("a/deep", "b/moved")).toBe("OK")
    expect([inoOf("b/moved/deeper"), inoOf("b/moved/.."), inoOf("b/moved/deeper/..")]).toEqual([
      deeper,
      b,
      inoOf("b/moved"),
    ])
    expect([nlinkOf("a"), nlinkOf("b")]).toEqual([2, 3])
  })

  test("replaces a file, whose last name is gone with it", () => {
    const [ino, old] = [inoOf("a/file"), inoOf("b/other")]
    fs.fs.forget(fs.at("b/other").ino, 1000)
    expect(fs.rename("a/file", "b/other")).toBe("OK")
    expect([inoOf("b/other"), fs.has("a/file")]).toEqual([ino, false])
    fs.store.transact(() => undefined)
    expect(fs.store.inodes.get(old)).toBeUndefined()
  })

  test("over an open file keeps the old contents readable until the kernel lets go", () => {
    const old = fs.at("b/other").ino
    fs.write(old, 0, "old contents")
    expect(fs.rename("a/file", "b/other")).toBe("OK")
    fs.store.transact(() => undefined)
    expect(fs.read(old)).toBe("old contents")
    fs.fs.forget(old, 1000)
    fs.store.transact(() => undefined)
    expect(fs.read(old)).toBe("ESTALE")
  })

  test("replaces an empty directory, and no other one", () => {
    expect(fs.rename("a/deep", "empty")).toBe("OK")
    expect(fs.rename("b", "a")).toBe("ENOTEMPTY")
    expect([fs.has("empty/deeper"), fs.has("a/deep")]).toEqual([true, false])
    expect(nlinkOf("/")).toBe(5)
  })

  test("never puts a file in place of a directory, nor the other way round", () => {
    expect(fs.rename("a/file", "empty")).toBe("EISDIR")
    expect(fs.rename("empty", "a/file")).toBe("ENOTDIR")
  })

  test("never moves a directory into itself, however deep", () => {
    expect(fs.rename("a", "a/deep/deeper/a")).toBe("EINVAL")
    expect(fs.rename("a", "a/a")).toBe("EINVAL")
  })

  test("onto itself, or onto another name of the same file, does nothing", () => {
    ok(fs.link("a/file", "b/link"))
    expect([fs.rename("a/file", "a/file"), fs.rename("a/file", "b/link")]).toEqual(["OK", "OK"])
    expect([fs.has("a/file"), fs.has("b/link"), nlinkOf("a/file")]).toEqual([true, true, 2])
  })

  test("needs the old name, and names that are not too long", () => {
    expect(fs.rename("a/missing", "b/x")).toBe("ENOENT")
    expect(fs.rename("a/file", `b/${"x".repeat(256)}`)).toBe("ENAMETOOLONG")
    expect(fs.rename("a/file", `b/${"x".repeat(255)}`)).toBe("OK")
  })

  test("into a directory that was removed is ENOENT", () => {
    const gone = fs.at("empty").ino
    expect(fs.rmdir("empty")).toBe("OK")
    const status = fs.fs.rename(fs.request(inoOf("a")), Buffer.from("file"), gone, Buffer.from("x"), 0)
    expect(status).toBe(2)
  })

  test("stamps both directories and the file, whose contents keep their time", () => {
    for (const path of ["a", "b", "a/file"]) ok(fs.setattr(inoOf(path), { mtime: 5, ctime: 5 }))
    expect(fs.rename("a/file", "b/file")).toBe("OK")
    expect([fs.at("a").mtime > 5, fs.at("b").mtime > 5, fs.at("a").ctime > 5]).toEqual([true, true, true])
    expect([fs.at("b/file").mtime, fs.at("b/file").ctime > 5]).toEqual([5, true])
  })

  test("knows its flags and no others", () => {
    for (const flags of [8, 16, 0x8000_0000]) expect(fs.rename("a/file", "b/x", flags)).toBe("EINVAL")
  })
})

describe("rename with NOREPLACE", () => {
  test("moves to a free name only", () => {
    expect(fs.rename("a/file", "b/other", NOREPLACE)).toBe("EEXIST")
    expect(fs.rename("a/file", "empty", NOREPLACE)).toBe("EEXIST")
    expect(fs.rename("a/file", "a/file", NOREPLACE)).toBe("EEXIST")
    expect(fs.rename("a/file", "b/free", NOREPLACE)).toBe("OK")
  })
})

describe("rename with EXCHANGE", () => {
  test("swaps two files", () => {
    const [file, other] = [inoOf("a/file"), inoOf("b/other")]
    expect(fs.rename("a/file", "b/other", EXCHANGE)).toBe("OK")
    expect([inoOf("a/file"), inoOf("b/other")]).toEqual([other, file])
  })

  test("swaps a file and a directory that is not empty", () => {
    const deep = inoOf("a/deep")
    expect(fs.rename("a/deep", "b/other", EXCHANGE)).toBe("OK")
    expect([inoOf("b/other"), inoOf("b/other/.."), fs.has("b/other/deeper")]).toEqual([
      deep,
      inoOf("b"),
      true,
    ])
    expect([nlinkOf("a"), nlinkOf("b")]).toEqual([2, 3])
  })

  test("swaps two directories within one", () => {
    const [a, b] = [inoOf("a"), inoOf("b")]
    expect(fs.rename("a", "b", EXCHANGE)).toBe("OK")
    expect([inoOf("a"), inoOf("b"), nlinkOf("/")]).toEqual([b, a, 5])
  })

  test("needs both names, and no cycle in either direction", () => {
    expect(fs.rename("a/file", "b/missing", EXCHANGE)).toBe("ENOENT")
    expect(fs.rename("a", "a/deep/deeper", EXCHANGE)).toBe("EINVAL")
    expect(fs.rename("a/deep/deeper", "a", EXCHANGE)).toBe("EINVAL")
  })
})

describe("rename with WHITEOUT", () => {
  test("leaves a character device 0:0 under the old name", () => {
    const ino = inoOf("a/file")
    expect(fs.as({ uid: 7, gid: 8 }).rename("a/file", "b/file", WHITEOUT)).toBe("OK")
    const marker = fs.at("a/file")
    expect([marker.mode & 0o170000, marker.rdev, marker.nlink, marker.uid]).toEqual([0o020000, 0, 1, 7])
    expect(inoOf("b/file")).toBe(ino)
  })

  test("replaces what was there", () => {
    expect(fs.rename("a/file", "b/other", WHITEOUT)).toBe("OK")
    expect([fs.has("a/file"), fs.names(inoOf("b"))]).toEqual([true, ["other"]])
  })
})

describe("a file or directory that is protected", () => {
  const protect = (path: string, flag: number): void => {
    fs.store.inodes.get(inoOf(path))?.setFlag(flag, true)
  }

  test.each([InodeFlag.IMMUTABLE, InodeFlag.APPEND])("by flag %i is neither moved nor replaced", (flag) => {
    protect("a/file", flag)
    protect("b/other", flag)
    ok(fs.mknod("free"))
    expect([
      fs.rename("a/file", "x"),
      fs.rename("free", "b/other"),
      fs.rename("free", "a/file", EXCHANGE),
    ]).toEqual(["EPERM", "EPERM", "EPERM"])
  })

  test("lets no name out; an append-only directory lets names in", () => {
    protect("a", InodeFlag.APPEND)
    expect([fs.rename("a/file", "x"), fs.rename("b/other", "a/new")]).toEqual(["EPERM", "OK"])
    protect("b", InodeFlag.IMMUTABLE)
    expect([fs.rename("a/new", "b/x"), fs.rename("empty", "b/x")]).toEqual(["EPERM", "EPERM"])
  })
})

test("the virtual names of the root can be neither moved nor replaced", () => {
  expect([fs.rename(".status", "x"), fs.rename("a/file", ".status")]).toEqual(["EPERM", "EPERM"])
  expect(fs.rename("a/file", "a/.status")).toBe("OK")
  expect(fs.names(ROOT)).toEqual(["a", "b", "empty"])
})
