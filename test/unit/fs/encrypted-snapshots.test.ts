import { readFileSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { Removal } from "../../../clawfs/fs/removal.ts"
import { restore } from "../../../clawfs/fs/restore.ts"
import { createSnapshot, deleteSnapshot } from "../../../clawfs/fs/snapshots.ts"
import { encrypt, unlock, type Secret } from "../support/encryption.ts"
import { TestFileSystem, ok, outcome } from "../support/filesystem.ts"
import { brokenInvariants } from "../support/invariants.ts"

const BIG = "large contents ".repeat(20_000)

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

const setxattr = (path: string, name: string, value: string | Buffer): string =>
  outcome(fs.fs.setxattr(fs.request(fs.at(path).ino), Buffer.from(name), Buffer.from(value), 0, 0))
const getxattr = (path: string, name: string): string => {
  const got = fs.fs.getxattr(fs.request(fs.at(path).ino), Buffer.from(name))
  return typeof got === "number" ? outcome(got) : Buffer.from(got).toString("latin1")
}

/** Files of every kind below `top`, with names and contents that begin with `mark`. */
function fill(top: string, mark: string): void {
  ok(fs.mkdir(`${top}/${mark}-directory`))
  for (const [name, contents] of [
    ["small", `${mark}-small`],
    ["big", `${mark}-big ${BIG}`],
  ] as const) {
    ok(fs.mknod(`${top}/${mark}-${name}`))
    expect(fs.write(fs.at(`${top}/${mark}-${name}`).ino, 0, contents)).toBe("OK")
  }
  expect(fs.write(fs.at(`${top}/${mark}-big`).ino, BIG.length + 100, `${mark}-tail`)).toBe("OK")
  ok(fs.mknod(`${top}/${mark}-directory/${mark}-deep`))
  ok(fs.symlink(`${top}/${mark}-link`, `${mark}-target`))
  expect(setxattr(`${top}/${mark}-small`, `user.${mark}-attribute`, `${mark}-value`)).toBe("OK")
  expect(setxattr(top, `user.${mark}-top`, `${mark}-value`)).toBe("OK")
}

/** How often `mark` stands in any file of the store, byte for byte. */
function traces(mark: string): number {
  fs.store.commit()
  return readdirSync(fs.directory, { recursive: true, encoding: "utf8", withFileTypes: true })
    .filter((each) => each.isFile())
    .reduce((sum, each) => {
      const text = readFileSync(join(each.parentPath, each.name), "latin1")
      return sum + text.split(mark).length - 1
    }, 0)
}

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

  test("is not made of a part of it: the path would be in the clear", () => {
    ok(fs.mkdir("tree/SecretMark"))
    const path = Buffer.from("/tree/SecretMark")
    expect(() => createSnapshot(fs.env, { name: "part", isWritable: false, path })).toThrow("only the whole")
    expect(traces("SecretMark")).toBe(0)
  })
})
