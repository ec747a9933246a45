/** Restoring in place, and what is different between a snapshot and now. */
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { restore, type Restored } from "../../../clawfs/fs/restore.ts"
import { createSnapshot } from "../../../clawfs/fs/snapshots.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { META } from "../../../clawfs/store/store.ts"
import { TreeDiff } from "../../../clawfs/store/tree-diff.ts"
import { TestFileSystem, ok } from "../support/filesystem.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { Random, runs, seed } from "../support/random.ts"

let fs: TestFileSystem

beforeEach(() => {
  fs = new TestFileSystem()
  for (const path of ["a", "a/deep", "a/deep/deeper", "b"]) ok(fs.mkdir(path))
  for (const path of ["a/file", "a/deep/large", "a/deep/deeper/x"]) ok(fs.mknod(path))
  fs.write(fs.at("a/file").ino, 0, "small")
  fs.write(fs.at("a/deep/large").ino, 0, Buffer.alloc(300_000, "large "))
  ok(fs.symlink("a/link", "deep/large"))
  ok(fs.link("a/file", "a/deep/second"))
  createSnapshot(fs.env, { name: "one", path: Buffer.from("/a"), isWritable: false })
})

afterEach(() => {
  fs.store.settle()
  expect(brokenInvariants(fs.directory)).toEqual([])
  fs[Symbol.dispose]()
})

const bring = (path: string, isForced = true): Restored =>
  restore(fs.env, { name: "one", path: Buffer.from(path), isForced })
const readAt = (path: string): string => fs.read(fs.at(path).ino, { size: 400_000 })

/** As `clawfs snapshot diff` prints it. */
function differences(second = "a"): string[] {
  fs.store.settle()
  using db = new Database(join(fs.directory, META), { readonly: true })
  const text = (path: readonly Buffer[] | undefined): string => path?.join("/") ?? ""
  return new TreeDiff(db, 0)
    .compare(fs.at(".snapshots/one").ino, fs.at(second).ino)
    .map(({ kind, path, from }) => [kind, text(from), text(path)].filter(Boolean).join(" "))
}

describe("a diff", () => {
  test("of what has not changed is empty", () => {
    expect(differences()).toEqual([])
    createSnapshot(fs.env, { name: "two", path: Buffer.from("/a"), isWritable: false })
    expect(differences(".snapshots/two")).toEqual([])
  })

  test("tells what was added, removed, changed, renamed, or got other attributes", () => {
    fs.write(fs.at("a/deep/large").ino, 5, "x")
    ok(fs.mkdir("a/new"))
    ok(fs.mknod("a/new/file"))
    expect(fs.unlink("a/link")).toBe("OK")
    ok(fs.setattr(fs.at("a/file").ino, { mode: 0o600 }))
    expect(fs.rename("a/deep/deeper", "a/moved")).toBe("OK")
    expect(differences()).toEqual([
      "changed deep/large",
      "attributes deep/second",
      "attributes file",
      "removed link",
      "renamed deep/deeper moved",
      "added new",
      "added new/file",
    ])
  })

  test("tells a file of another type as gone and come", () => {
    expect(fs.unlink("a/link")).toBe("OK")
    ok(fs.mkdir("a/link"))
    expect(differences()).toEqual(["added link", "removed link"])
  })

  test("tells what was moved into a directory that was moved", () => {
    ok(fs.mkdir("a/box"))
    expect(fs.rename("a/file", "a/box/file")).toBe("OK")
    expect(fs.rename("a/box", "a/chest")).toBe("OK")
    expect(differences()).toEqual(["added chest", "renamed file chest/file"])
  })
})

describe("restoring", () => {
  test("a file gives it back its contents, under the same inode number", () => {
    const { ino } = fs.at("a/file")
    fs.write(ino, 0, "OVERWRITTEN")
    expect(bring("/a/file")).toMatchObject({ restored: 1, removed: 0, stale: { inodes: [ino] } })
    expect([readAt("a/file"), readAt("a/deep/second"), fs.at("a/file").ino]).toEqual(["small", "small", ino])
  })

  test("a file that is gone makes it anew, with its attributes", () => {
    ok(fs.setattr(fs.at("a/deep/large").ino, { mode: 0o640 }))
    createSnapshot(fs.env, { name: "two", path: Buffer.from("/a"), isWritable: false })
    expect(fs.unlink("a/deep/large")).toBe("OK")
    restore(fs.env, { name: "two", path: Buffer.from("/a/deep/large"), isForced: false })
    expect(readAt("a/deep/large")).toHaveLength(300_000)
    expect(fs.at("a/deep/large").mode & 0o777).toBe(0o640)
  })

  test("a directory makes all of it what it was, and nothing else", () => {
    fs.write(fs.at("a/file").ino, 0, "CHANGED")
    ok(fs.mkdir("a/new"))
    ok(fs.mknod("a/new/file"))
    expect(fs.unlink("a/link")).toBe("OK")
    expect(fs.rename("a/deep", "b/taken")).toBe("OK")
    expect(bring("/a")).toMatchObject({ removed: 2 })
    expect(differences().filter((line) => !line.startsWith("attributes"))).toEqual([])
    expect(readAt("a/deep/large")).toHaveLength(300_000)
    expect(readAt("b/taken/large")).toHaveLength(300_000)
    expect(fs.read(fs.at("a/deep/second").ino)).toBe("small")
  })

  test("asks before changes are lost, and changes nothing then", () => {
    fs.write(fs.at("a/file").ino, 0, "PRECIOUS")
    expect(() => bring("/a", false)).toThrow("1 file was changed or made since the snapshot")
    expect(readAt("a/file")).toBe("PRECIOUS")
    expect(bring("/a/deep/large", false)).toMatchObject({ restored: 0, removed: 0 })
  })

  test("hard links, and a file where a directory is now", () => {
    expect([fs.unlink("a/file"), fs.unlink("a/deep/second"), fs.unlink("a/deep/large")]).toEqual([
      "OK",
      "OK",
      "OK",
    ])
    ok(fs.mkdir("a/deep/large"))
    ok(fs.mknod("a/deep/large/inner"))
    bring("/a")
    expect(fs.at("a/file").ino).toBe(fs.at("a/deep/second").ino)
    expect(fs.at("a/file").nlink).toBe(2)
    expect(readAt("a/deep/large")).toHaveLength(300_000)
  })

  test("what was not in it, or elsewhere, is refused", () => {
    expect(() => bring("/b")).toThrow(`the snapshot "one" is of "/a"`)
    expect(() => bring("/a/nothing")).toThrow("is not in the snapshot")
    expect(() => restore(fs.env, { name: "no", path: Buffer.from("/a"), isForced: true })).toThrow(
      "there is no snapshot",
    )
  })

  test("is right after any changes", () => {
    const random = new Random(seed)
    const files = ["a/file", "a/deep/large", "a/deep/second", "a/deep/deeper/x"]
    for (let step = 0; step < runs(80); step += 1) {
      const file = files[random.below(files.length)] ?? ""
      const kind = random.below(6)
      if (kind < 3 && fs.has(file) && fs.at(file).size >= 0)
        fs.write(fs.at(file).ino, random.below(1000), `step ${step}`)
      else if (kind === 3) fs.unlink(file)
      else if (kind === 4) fs.rename(file, files[random.below(files.length)] ?? "")
      else if (!fs.has(`a/n${step}`)) ok(fs.mkdir(`a/n${step}`))
      if (random.below(8) !== 0) continue
      bring("/a")
      expect(differences().filter((line) => !line.startsWith("attributes"))).toEqual([])
      expect([readAt("a/file"), readAt("a/deep/large").length]).toEqual(["small", 300_000])
      fs.store.settle()
      expect(brokenInvariants(fs.directory)).toEqual([])
    }
  })
})
