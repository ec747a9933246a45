/** `workspaces/<ws>/snapshots`: what is shown there and to whom, and that nothing stumbles over it. */
import { afterEach, beforeEach, expect, test } from "vitest"
import { restore } from "../../../clawfs/fs/restore.ts"
import { createSnapshot, deleteSnapshot } from "../../../clawfs/fs/snapshots.ts"
import type { NodeId } from "../../../clawfs/core/brand.ts"
import { encrypt } from "../support/encryption.ts"
import { TestFileSystem, ok, outcome } from "../support/filesystem.ts"
import { brokenInvariants } from "../support/invariants.ts"

let fs: TestFileSystem

beforeEach(() => {
  fs = new TestFileSystem()
  for (const path of ["workspaces", "workspaces/site", "workspaces/site/deep", "workspaces/other", "agents"])
    ok(fs.mkdir(path))
})

afterEach(() => {
  fs.store.settle()
  expect(brokenInvariants(fs.directory)).toEqual([])
  fs[Symbol.dispose]()
})

const snap = (name: string, path: string): void => {
  createSnapshot(fs.env, { name, path: Buffer.from(path), isWritable: false })
}
const linkAt = (path: string): string =>
  Buffer.from(ok(fs.fs.readlink(fs.request(fs.at(path).ino)))).toString()
/** Where a link in `workspaces/WS/snapshots` leads, from the root. */
const followed = (path: string): string => {
  const target = linkAt(path)
  expect(target.startsWith("../../../.snapshots/")).toBe(true)
  return target.slice("../../../".length)
}

test("shows the workspace's snapshots and those of the directories above, and no others", () => {
  snap("site", "/workspaces/site")
  snap("part", "/workspaces/site/deep")
  snap("all", "/workspaces")
  snap("root", "/")
  snap("other", "/workspaces/other")
  snap("agents", "/agents")
  expect(fs.names(fs.at("workspaces/site/snapshots").ino)).toEqual(["all", "root", "site"])
  expect(fs.names(fs.at("workspaces/other/snapshots").ino)).toEqual(["all", "other", "root"])
  const leads = (name: string): string => followed(`workspaces/site/snapshots/${name}`)
  expect(["site", "all", "root"].map(leads)).toEqual([
    ".snapshots/site",
    ".snapshots/all/site",
    ".snapshots/root/workspaces/site",
  ])
  for (const name of ["site", "all", "root"]) expect(fs.names(fs.at(leads(name)).ino)).toEqual(["deep"])
  expect(outcome(fs.fs.lookup(fs.request(fs.at("workspaces/site/snapshots").ino), Buffer.from("part")))).toBe(
    "ENOENT",
  )
})

test("lists in parts, with attributes, and the same when one goes in between", () => {
  const names = Array.from({ length: 60 }, (_, i) => `snapshot-${i}`)
  for (const name of names) snap(name, "/workspaces/site")
  const directory = fs.at("workspaces/site/snapshots").ino
  const plus = fs.list(directory, true, 512)
  expect(plus.map(({ name }) => name)).toEqual([".", "..", ...names])
  expect(new Set(plus.slice(2).map(({ node }) => node)).size).toBe(60)
  const half = fs.list(directory).slice(0, 30)
  deleteSnapshot(fs.env, "snapshot-3")
  const rest = fs.list(directory).filter(({ cookie }) => cookie > (half.at(-1)?.cookie ?? 0))
  expect([...half, ...rest].map(({ name }) => name)).toEqual([".", "..", ...names])
})

test("is not in a listing, is gone with the last snapshot, and nothing of it is remembered", () => {
  const { ino } = fs.at("workspaces/site")
  const isKept = (node: number, name: string): boolean =>
    fs.fs.isAbsenceKept(node as NodeId, Buffer.from(name))
  expect(fs.has("workspaces/site/snapshots")).toBe(false)
  snap("one", "/workspaces/site")
  const links = fs.at("workspaces/site/snapshots")
  expect(fs.names(ino)).toEqual(["deep"])
  expect(fs.fs.opendir(fs.request(links.ino))).toBe(0)
  expect(fs.at("workspaces/site/snapshots").ino).toBe(links.ino)
  expect([isKept(ino, "snapshots"), isKept(links.ino, "one"), isKept(ino, "snapshot")]).toEqual([
    false,
    false,
    true,
  ])
  deleteSnapshot(fs.env, "one")
  expect(fs.names(links.ino)).toEqual([])
  expect(fs.has("workspaces/site/snapshots")).toBe(false)
})

test("is only where workspaces are", () => {
  snap("root", "/")
  const without = ["snapshots", "agents/snapshots", "workspaces/snapshots", "workspaces/site/deep/snapshots"]
  for (const path of [...without, ".snapshots/root/workspaces/site/snapshots"])
    expect([path, fs.has(path)]).toEqual([path, false])
})

test("lets nothing be made, changed or removed in it", () => {
  snap("one", "/workspaces/site")
  ok(fs.mknod("workspaces/site/file"))
  const directory = "workspaces/site/snapshots"
  expect(outcome(fs.mkdir(`${directory}/new`))).toBe("EROFS")
  expect(outcome(fs.mknod(`${directory}/new`))).toBe("EROFS")
  expect(outcome(fs.symlink(`${directory}/new`, "x"))).toBe("EROFS")
  expect(outcome(fs.link("workspaces/site/file", `${directory}/new`))).toBe("EROFS")
  expect(fs.unlink(`${directory}/one`)).toBe("EROFS")
  expect(fs.rename("workspaces/site/file", `${directory}/file`)).toBe("EROFS")
  expect(fs.rename(`${directory}/one`, "workspaces/site/one")).toBe("EROFS")
  expect(fs.rename(directory, "workspaces/site/mine")).toBe("EROFS")
  expect(fs.rmdir(directory)).toBe("EROFS")
  expect(outcome(fs.setattr(fs.at(directory).ino, { mode: 0o700 }))).toBe("EPERM")
})

test("gives way to a file or directory of that name", () => {
  ok(fs.mkdir("workspaces/site/snapshots"))
  ok(fs.mknod("workspaces/site/snapshots/mine"))
  snap("one", "/workspaces/site")
  expect(fs.names(fs.at("workspaces/site/snapshots").ino)).toEqual(["mine"])
  expect(fs.rename("workspaces/site/snapshots", "workspaces/site/moved")).toBe("OK")
  expect(fs.names(fs.at("workspaces/site/snapshots").ino)).toEqual(["one"])
  // The kernel lets a directory be renamed over it, which it takes for an empty one.
  expect(fs.rename("workspaces/site/moved", "workspaces/site/snapshots")).toBe("OK")
  expect(fs.names(fs.at("workspaces/site/snapshots").ino)).toEqual(["mine"])
})

test("goes by the path, as restoring does: a workspace that was removed finds its snapshots again", () => {
  ok(fs.mknod("workspaces/other/file"))
  snap("one", "/workspaces/other")
  expect(fs.unlink("workspaces/other/file")).toBe("OK")
  expect(fs.rmdir("workspaces/other")).toBe("OK")
  ok(fs.mkdir("workspaces/other"))
  expect(fs.names(fs.at("workspaces/other/snapshots").ino)).toEqual(["one"])
  restore(fs.env, { name: "one", path: Buffer.from("/workspaces/other"), isForced: true })
  expect(fs.names(fs.at("workspaces/other").ino)).toEqual(["file"])
  expect(fs.rename("workspaces/other", "workspaces/another")).toBe("OK")
  expect(fs.has("workspaces/another/snapshots")).toBe(false)
  // A snapshot of all workspaces from before one was made has nothing of it.
  snap("all", "/workspaces")
  ok(fs.mkdir("workspaces/late"))
  expect(fs.has("workspaces/late/snapshots")).toBe(false)
})

test("of an encrypted workspace are locked with it", () => {
  const secret = encrypt(fs.store, fs.at("workspaces/other").ino)
  snap("one", "/workspaces/other")
  snap("all", "/workspaces")
  expect(fs.names(fs.at("workspaces/other/snapshots").ino)).toEqual(["all", "one"])
  fs.store.lockTree(secret.id)
  expect(outcome(fs.fs.lookup(fs.request(fs.at("workspaces/other").ino), Buffer.from("snapshots")))).toBe(
    "ENOKEY",
  )
})

test("a server that was killed shows it again", () => {
  snap("one", "/workspaces/site")
  fs.at("workspaces/site/snapshots")
  fs.restart()
  expect(fs.names(fs.at("workspaces/site/snapshots").ino)).toEqual(["one"])
})
