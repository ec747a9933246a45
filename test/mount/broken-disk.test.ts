/** A disk that fails below a mount: programs are told, the daemon lives, and nothing that was acknowledged is lost. */
import { constants } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { Faults, Kind, environment } from "../faults/faults.ts"
import { Place, requireShim } from "../faults/run.ts"
import { waitUntil } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { requireFuse, skipIf } from "../helpers/requirements.ts"

const { EIO } = constants.errno
const ALL = Kind.CHANGE | Kind.SYNC | Kind.READ

async function mountOn(place: Place): Promise<Mount> {
  const store = join(place.path, "store")
  return await mountClawfs({ store, env: environment(place.library, store, place.control) })
}

/** Writes a file of zeroes and fsyncs it: "done", or what dd(1) says. */
async function writeSynced(mount: Mount, name: string, bytes: number): Promise<string> {
  const args = ["if=/dev/zero", `of=${join(mount.work, name)}`, `bs=${bytes}`, "count=1", "conv=fsync"]
  const { code, stderr } = await mount.exec("dd", args)
  return code === 0 ? "done" : stderr
}

test("an fsync that fails is told, and no other succeeds before the bytes were written again", async (context) => {
  skipIf(context, requireFuse(), requireShim())
  using place = new Place()
  using faults = new Faults(place.control)
  await using mount = await mountOn(place)
  expect(await writeSynced(mount, "before", 500_000)).toBe("done")
  const { pid } = (await mount.status()).server
  faults.arm({ mode: "all", errno: EIO, after: 0, kinds: Kind.SYNC })
  expect(await writeSynced(mount, "large", 500_000)).toContain("Input/output error")
  expect(await writeSynced(mount, "small", 500)).toContain("Input/output error")
  expect(await writeSynced(mount, "small", 500)).toContain("Input/output error")
  faults.clear()
  faults.count(Kind.CHANGE)
  const before = faults.seen
  const isGood = await waitUntil(async () => (await writeSynced(mount, "again", 10)) === "done", 10_000)
  expect(isGood).toBe(true)
  // The record of 500,000 bytes, and the pages of the WAL into the database.
  expect(faults.seen - before).toBeGreaterThan(4)
  expect(mount.log()).toContain("was written again")
  expect((await mount.status()).server.pid).toBe(pid)
  await mount.unmount()
  await mount.clawfs(["fsck", mount.store])
})

test("a flush in the background that fails is made good without anybody asking", async (context) => {
  skipIf(context, requireFuse(), requireShim())
  using place = new Place()
  using faults = new Faults(place.control)
  await using mount = await mountOn(place)
  faults.arm({ mode: "once", errno: EIO, after: 0, kinds: Kind.SYNC })
  await mount.run("dd", ["if=/dev/zero", `of=${join(mount.work, "file")}`, "bs=500000", "count=1"])
  expect(await waitUntil(() => mount.log().includes("was written again"), 15_000)).toBe(true)
})

test("EIO at everything is EIO to programs; the daemon lives and has everything once the disk is back", async (context) => {
  skipIf(context, requireFuse(), requireShim())
  using place = new Place()
  using faults = new Faults(place.control)
  await using mount = await mountOn(place)
  const file = (name: string): string => join(mount.work, name)
  const names = ["a", "b", "c", "d", "e"]
  for (const name of names)
    await mount.run("dd", ["if=/dev/zero", `of=${file(name)}`, "bs=300000", "count=1"])
  const { pid } = (await mount.status()).server
  await mount.dropCaches()
  faults.arm({ mode: "all", errno: EIO, after: 0, kinds: ALL })
  expect((await mount.exec("cat", [file("a")])).stderr).toContain("Input/output error")
  expect(await writeSynced(mount, "new", 300_000)).toContain("Input/output error")
  faults.clear()
  expect(await waitUntil(async () => (await writeSynced(mount, "new", 10)) === "done", 10_000)).toBe(true)
  expect((await mount.status()).server.pid).toBe(pid)
  for (const name of names) await mount.run("cmp", ["-n", "300000", file(name), "/dev/zero"])
  await mount.remount()
  for (const name of names) await mount.run("cmp", ["-n", "300000", file(name), "/dev/zero"])
  await mount.unmount()
  await mount.clawfs(["fsck", mount.store])
})
