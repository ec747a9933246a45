import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { Removal } from "../../../clawfs/fs/removal.ts"
import { restore } from "../../../clawfs/fs/restore.ts"
import { createSnapshot, deleteSnapshot } from "../../../clawfs/fs/snapshots.ts"
import { encrypt, unlock, type Secret } from "../support/encryption.ts"
import { markedFiles } from "../support/encrypted-files.ts"
import { TestFileSystem, ok, outcome } from "../support/filesystem.ts"
import { brokenInvariants } from "../support/invariants.ts"

let fs: TestFileSystem
let secret: Secret

beforeEach(() => {
  fs = new TestFileSystem()
  ok(fs.mkdir("tree"))
  secret = encrypt(fs.store, fs.at("tree").ino)
})

afterEach(() => {
  fs.store.settle()
  expect(brokenInvariants(fs.directory)).toEqual([])
  fs[Symbol.dispose]()
})

const { setxattr, getxattr, fill, traces } = markedFiles(() => fs)

describe("a snapshot of an encrypted tree", () => {
  const NOW = { isWritable: false, path: Buffer.from("/tree") }

  test("reads as the tree was, is locked with it, and can be removed while it is", () => {
    fill("tree", "x")
    createSnapshot(fs.env, { name: "one", ...NOW })
    expect(fs.write(fs.at("tree/x-small").ino, 0, "changed")).toBe("OK")
    expect(fs.unlink("tree/x-big")).toBe("OK")
    expect(fs.read(fs.at(".snapshots/one/x-small").ino)).toBe("x-small")
    expect(fs.read(fs.at("tree/x-small").ino)).toBe("changed")
    expect(fs.read(fs.at(".snapshots/one/x-big").ino, { size: 5 })).toBe("x-big")
    expect(getxattr(".snapshots/one/x-small", "user.x-attribute")).toBe("x-value")
    expect(traces("x-small")).toBe(0)
    fs.store.lockTree(secret.id)
    expect(outcome(fs.fs.lookup(fs.request(fs.at(".snapshots/one").ino), Buffer.from("x-small")))).toBe(
      "ENOKEY",
    )
    deleteSnapshot(fs.env, "one")
    const removal = new Removal(fs.env)
    while (removal.slice(2) > 0) fs.store.settle()
    for (const ino of [...fs.env.orphans]) fs.fs.forget(ino, fs.env.lookups.get(ino))
    fs.store.settle()
    unlock(fs.store, secret)
    expect(fs.read(fs.at("tree/x-small").ino)).toBe("changed")
  })

  test("brings back what was changed, removed or replaced since, in place", () => {
    fill("tree", "x")
    createSnapshot(fs.env, { name: "one", ...NOW })
    expect(fs.write(fs.at("tree/x-small").ino, 0, "changed")).toBe("OK")
    expect([fs.unlink("tree/x-big"), fs.unlink("tree/x-link"), fs.unlink("tree/x-directory/x-deep")]).toEqual(
      [...["OK", "OK", "OK"]],
    )
    ok(fs.mknod("tree/x-big"))
    expect(setxattr("tree/x-big", "user.new", "new")).toBe("OK")
    restore(fs.env, { name: "one", path: NOW.path, isForced: true })
    for (const ino of [...fs.env.orphans]) fs.fs.forget(ino, fs.env.lookups.get(ino))
    fs.restart()
    unlock(fs.store, secret)
    expect(fs.read(fs.at("tree/x-small").ino)).toBe("x-small")
    expect(getxattr("tree/x-small", "user.x-attribute")).toBe("x-value")
    expect(fs.read(fs.at("tree/x-big").ino, { size: 5 })).toBe("x-big")
    expect(getxattr("tree/x-big", "user.new")).toBe("ENODATA")
    expect(fs.names(fs.at("tree/x-directory").ino)).toEqual(["x-deep"])
    expect(Buffer.from(ok(fs.fs.readlink(fs.request(fs.at("tree/x-link").ino)))).toString()).toBe("x-target")
  })

  test("leaves no key behind when its last file goes with the write that takes the original off it", () => {
    ok(fs.mknod("tree/file"))
    expect(fs.write(fs.at("tree/file").ino, 0, "before")).toBe("OK")
    createSnapshot(fs.env, { name: "one", ...NOW })
    deleteSnapshot(fs.env, "one")
    const removal = new Removal(fs.env)
    while (removal.slice(100) > 0);
    // The removed inodes are buried in the commit of this write.
    expect(fs.write(fs.at("tree/file").ino, 0, "after!")).toBe("OK")
    expect(brokenInvariants(fs.directory)).toEqual([])
    expect(fs.read(fs.at("tree/file").ino)).toBe("after!")
  })

  test("is not made of a part of it: the path would be in the clear", () => {
    ok(fs.mkdir("tree/SecretMark"))
    const path = Buffer.from("/tree/SecretMark")
    expect(() => createSnapshot(fs.env, { name: "part", isWritable: false, path })).toThrow("only the whole")
    expect(traces("SecretMark")).toBe(0)
  })
})
