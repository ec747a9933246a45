/** Trees: what is born in one belongs to it, nothing crosses its border, and a read-only one stays as it is. */
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { ancestorsOf } from "../../../clawfs/fs/path.ts"
import type { Inode } from "../../../clawfs/store/inode.ts"
import { TreeFlag, type Tree } from "../../../clawfs/store/trees.ts"
import { TestFileSystem, ok, outcome } from "../support/filesystem.ts"
import { brokenInvariants } from "../support/invariants.ts"

let fs: TestFileSystem

beforeEach(() => {
  fs = new TestFileSystem()
  for (const path of ["tree", "plain"]) ok(fs.mkdir(path))
  makeTree("tree", 0)
  ok(fs.mkdir("tree/inner"))
  makeTree("tree/inner", fs.at("tree").ino)
  for (const path of ["tree/file", "tree/inner/file", "plain/file"]) ok(fs.mknod(path))
  ok(fs.mkdir("tree/sub"))
})

afterEach(() => {
  expect(brokenInvariants(fs.directory)).toEqual([])
  fs[Symbol.dispose]()
})

function inodeAt(path: string): Inode {
  const inode = fs.store.inodes.get(fs.at(path).ino)
  if (inode === undefined) throw new Error(`no inode at ${path}`)
  return inode
}

/** Makes an empty directory the top of a tree. */
function makeTree(path: string, parent: number): void {
  const inode = inodeAt(path)
  fs.store.transact(() => {
    const row = { flags: 0, key: 0, limitBytes: 0, limitInodes: 0, usedBytes: 0, usedInodes: 1 }
    fs.store.trees.save({ id: inode.ino, parent, ...row })
    inode.tree = inode.ino
    fs.store.inodes.save(inode)
  })
  fs.store.commit()
}

function treeOf(path: string): Tree {
  const tree = fs.store.trees.get(fs.at(path).ino)
  if (tree === undefined) throw new Error(`no tree at ${path}`)
  return tree
}

const used = (path: string): [bytes: number, inodes: number] => {
  const { usedBytes, usedInodes } = treeOf(path)
  return [usedBytes, usedInodes]
}

describe("a tree", () => {
  test("counts what is in it, and in the trees in it", () => {
    fs.write(fs.at("tree/inner/file").ino, 0, "12345")
    fs.write(fs.at("tree/file").ino, 0, "123")
    expect([used("tree"), used("tree/inner")]).toEqual([
      [8, 5],
      [5, 2],
    ])
    const { ino } = fs.at("tree/inner/file")
    expect(fs.unlink("tree/inner/file")).toBe("OK")
    fs.fs.forget(ino, 1000)
    fs.store.settle()
    expect([used("tree"), used("tree/inner")]).toEqual([
      [3, 4],
      [0, 1],
    ])
  })

  test("is left by nothing and entered by nothing, whichever way", () => {
    expect(fs.rename("tree/file", "plain/moved")).toBe("EXDEV")
    expect(fs.rename("plain/file", "tree/moved")).toBe("EXDEV")
    expect(fs.rename("tree/file", "tree/inner/moved")).toBe("EXDEV")
    expect(fs.rename("tree/sub", "plain/sub")).toBe("EXDEV")
    expect(fs.rename("tree/file", "plain/file", 2)).toBe("EXDEV")
    expect(outcome(fs.link("plain/file", "tree/link"))).toBe("EXDEV")
    expect(outcome(fs.link("tree/inner/file", "tree/link"))).toBe("EXDEV")
    expect(fs.rename("tree/file", "tree/sub/moved")).toBe("OK")
    ok(fs.link("tree/sub/moved", "tree/link"))
  })

  test("itself moves within the tree that it lies in", () => {
    expect(fs.rename("tree/inner", "tree/sub/inner")).toBe("OK")
    expect(fs.rename("tree/sub/inner", "plain/inner")).toBe("EXDEV")
    expect(fs.rename("tree", "plain/tree")).toBe("OK")
    expect(inodeAt("plain/tree/sub/inner/file").tree).toBe(inodeAt("plain/tree/sub/inner").ino)
  })

  test("that is read-only gives EROFS for every change, and is read as before", () => {
    fs.write(fs.at("tree/file").ino, 0, "kept")
    fs.store.transact(() => {
      treeOf("tree").flags |= TreeFlag.READ_ONLY
    })
    const { ino } = fs.at("tree/file")
    expect(fs.read(ino)).toBe("kept")
    expect(outcome(fs.mkdir("tree/new"))).toBe("EROFS")
    expect(outcome(fs.mknod("tree/new"))).toBe("EROFS")
    expect(fs.unlink("tree/file")).toBe("EROFS")
    expect(fs.rmdir("tree/sub")).toBe("EROFS")
    expect(outcome(fs.link("tree/file", "tree/other"))).toBe("EROFS")
    expect(fs.rename("tree/file", "tree/other")).toBe("EROFS")
    expect(fs.write(ino, 0, "no")).toBe("EROFS")
    expect(fs.read(ino)).toBe("kept")
  })

  test("is gone with its last inode", () => {
    const [{ ino }, file] = [fs.at("tree/inner"), fs.at("tree/inner/file").ino]
    expect([fs.unlink("tree/inner/file"), fs.rmdir("tree/inner")]).toEqual(["OK", "OK"])
    for (const node of [ino, file]) fs.fs.forget(node, 1000)
    fs.store.settle()
    expect(fs.store.trees.get(ino)).toBeUndefined()
  })
})

describe("what lies inside of itself in a damaged store ends a request, and does not hang it:", () => {
  const LOOP = "which lies inside of itself, is damaged in meta.db"

  test("a tree", () => {
    const tree = treeOf("tree")
    tree.parent = fs.at("tree/inner").ino
    expect(() => fs.mknod("tree/inner/new")).toThrow(LOOP)
    expect(() => fs.store.trees.room(tree.id)).toThrow(LOOP)
    tree.parent = 0
  })

  test("a directory", () => {
    for (const path of ["plain/a", "plain/a/b", "plain/other"]) ok(fs.mkdir(path))
    const inode = inodeAt("plain/a")
    inode.parent = fs.at("plain/a/b").ino
    expect(() => fs.store.subtrees.pathOf(fs.at("plain/a/b").ino)).toThrow(LOOP)
    expect(() => ancestorsOf(fs.env, inode)).toThrow(LOOP)
    expect(() => fs.rename("plain/other", "plain/a/b/other")).toThrow(LOOP)
    inode.parent = fs.at("plain").ino
  })
})
