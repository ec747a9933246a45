/** `clawfs salvage` as people meet it. */
import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { mountClawfs } from "../helpers/mount.ts"
import { skipIf } from "../helpers/requirements.ts"
import { Place, clawfs, contents, requireMounts, said } from "./harness.ts"

let place: Place
beforeAll(async () => {
  if (requireMounts() === undefined) place = await Place.make()
})
afterAll(async () => {
  if (requireMounts() === undefined) await place[Symbol.asyncDispose]()
})
beforeEach((context) => {
  skipIf(context, requireMounts())
})

test("a store without its database comes back through a backup, with what was written since", async () => {
  await using mount = await mountClawfs()
  await mount.run("sh", [
    "-c",
    'echo small >"$1/small"; head -c 200000 /dev/zero >"$1/big"',
    "sh",
    mount.work,
  ])
  const backup = join(mount.scratch, "backup")
  await mount.clawfs(["backup", mount.mountpoint, backup])
  await mount.run("sh", [
    "-c",
    'head -c 49152 /dev/urandom | dd bs=49152 iflag=fullblock 2>/dev/null | tee "$1/big" >"$2"; sync "$1/big"',
    "sh",
    mount.work,
    join(mount.scratch, "big"),
  ])
  const target = join(mount.scratch, "salvaged")
  expect((await mount.clawfsAnyway(["salvage", mount.store, target])).code).toBe(75)
  await mount.unmount()
  rmSync(join(mount.store, "meta.db"))
  const before = contents(mount.store)
  const { code, stdout, stderr } = await mount.clawfsAnyway([
    "salvage",
    "--backup",
    backup,
    mount.store,
    target,
  ])
  expect([code, stdout.replaceAll(mount.scratch, "")]).toEqual([
    1,
    expect.stringMatching(
      /^salvaged into \/salvaged: 0 files whole, 2 as an older copy of the database has them, \d+ directories \(/,
    ),
  ])
  expect(stderr).toContain("there is no ")
  expect(contents(mount.store)).toEqual(before)
  await mount.clawfs(["mount", target, mount.mountpoint])
  expect((await mount.run("cat", [join(mount.work, "small")])).stdout).toBe("small\n")
  await mount.run("cmp", ["-n", "49152", join(mount.work, "big"), join(mount.scratch, "big")])
  await mount.clawfs(["unmount", mount.mountpoint])
})

test("bad places are refused with one sentence, and nothing is made", async () => {
  const scene = place.set()
  const { store, path } = scene
  expect(said(await clawfs(["salvage", store, join(store, "new")]), scene)).toBe(
    "exit 65\nclawfs: /store/new would lie inside of the store /store\nhint: name a directory outside of it",
  )
  expect(said(await clawfs(["salvage", join(path, "none"), join(path, "new")]), scene)).toBe(
    "exit 66\nclawfs: there is no store /none",
  )
  expect(said(await clawfs(["salvage", store, path]), scene)).toMatch(/^exit 73\nclawfs: {2}is not empty\n/)
  expect(said(await clawfs(["salvage", "--backup", path, store, join(path, "new")]), scene)).toMatch(
    /^exit 65\nclawfs: {2}is not a backup of a ClawFS store\n/,
  )
  expect(readdirSync(path).sort()).toEqual(["mnt", "store"])
})
