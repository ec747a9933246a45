/** What is refused, shown and cleaned up around a mount that is alive, busy or dead. */
import { spawn } from "node:child_process"
import { symlinkSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { waitUntil } from "../helpers/exec.ts"
import { mountsBelow } from "../helpers/mountinfo.ts"
import { skipIf } from "../helpers/requirements.ts"
import { supervisorOf } from "../../clawfs/cli/daemon.ts"
import { Namespace, Place, bin, clawfs, inPlace, occupy, requireMounts, said, type Scene } from "./harness.ts"

interface StatusJson {
  readonly state: string
  readonly supervisor: { readonly pid: number }
  readonly server: { readonly pid: number }
}

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

async function mounted(): Promise<Scene> {
  const scene = place.set()
  expect(said(await clawfs(["mount", scene.store, scene.mnt]), scene)).toBe("exit 0\nmounted /store on /mnt")
  return scene
}

async function statusOf({ mnt }: Scene): Promise<StatusJson> {
  const { stdout } = await clawfs(["status", "--json", mnt])
  return JSON.parse(stdout) as StatusJson
}

async function killDaemon(scene: Scene): Promise<void> {
  const { supervisor, server } = await statusOf(scene)
  for (const { pid } of [supervisor, server]) process.kill(pid, "SIGKILL")
  await waitUntil(async () => (await clawfs(["status", scene.mnt])).code === 1, 30_000)
}

test("a mounted store and mount point are refused to others, by name", async () => {
  const scene = await mounted()
  const { store, mnt, path } = scene
  const { supervisor } = await statusOf(scene)
  const other = place.set()
  symlinkSync(mnt, join(path, "link"))
  const occupied = "exit 75\nclawfs: a ClawFS is already mounted on /mnt\nhint: clawfs unmount /mnt"
  expect(said(await clawfs(["mount", store, mnt]), scene)).toBe(occupied)
  expect(said(await clawfs(["mount", other.store, join(path, "link")]), scene)).toBe(occupied)
  expect(said(await clawfs(["mount", store, other.mnt]), scene)).toBe(
    `exit 75\nclawfs: the store /store is in use by process ${supervisor.pid} (clawfs mount on /mnt)\n` +
      "hint: unmount it first: clawfs unmount MOUNTPOINT",
  )
  expect(said(await clawfs(["init", "--user", join(mnt, "workspaces", "s")]), scene)).toBe(
    "exit 65\nclawfs: a store can't lie on a ClawFS mount, and /mnt/workspaces/s would (on /mnt)\n" +
      "hint: name a directory outside of the mount",
  )
  expect(said(await clawfs(["unmount", mnt], { asNobody: true }), scene)).toBe(
    "exit 77\nclawfs: no permission to unmount /mnt: another user has mounted it\n" +
      "hint: run this as that user or as root",
  )
  // Another user may not read the store, but the mount tells about itself.
  const seen = await clawfs(["status", mnt], { asNobody: true })
  expect(said(seen, scene)).toMatch(/^exit 0\nmount {7}\/mnt\nstore {7}\/store\nstate {7}serving\n/)
  expect((await clawfs(["status", "--wait", "5", join(path, "link")])).code).toBe(0)
  expect(mountsBelow(path)).toHaveLength(1)
  expect(said(await clawfs(["unmount", join(path, "link")]), scene)).toBe("exit 0\nunmounted /mnt")
})

test("a busy mount stays, and the program that uses it is named; --lazy detaches it", async () => {
  const scene = await mounted()
  const { mnt, path } = scene
  await using user = await occupy(join(mnt, "workspaces"))
  expect(said(await clawfs(["unmount", mnt]), scene)).toBe(
    `exit 75\nclawfs: /mnt is in use by sleep (process ${user.pid})\nhint: end those programs, or use --lazy`,
  )
  expect((await statusOf(scene)).state).toBe("serving")
  expect(said(await clawfs(["unmount", "--lazy", mnt]), scene)).toBe("exit 0\nunmounted /mnt")
  expect(mountsBelow(path)).toEqual([])
})

test("who has it mounted in a namespace of its own is named when it is unmounted, and then it ends", async () => {
  const scene = await mounted()
  const { path, mnt } = scene
  {
    // Other tests' disks, which would be busy for as long as this has them, are let go.
    const others =
      'findmnt -rno TARGET | grep "^/tmp/" | grep -v "^$1/" | tac | xargs -r -n 1 umount -l || true'
    await using namespace = await Namespace.make(others, path)
    const told = said(await clawfs(["unmount", mnt]), scene)
    // Other tests make namespaces as well.
    expect(told).toMatch(
      /^exit 75\nclawfs: unmounted \/mnt, but it is still mounted for .*\nhint: the daemon ends when/,
    )
    expect(told).toContain(`cat (process ${namespace.pid})`)
  }
  expect(mountsBelow(path)).toEqual([])
  expect(await waitUntil(() => supervisorOf(scene.store) === undefined, 20_000)).toBe(true)
})

test("a dead mount is shown, unmounted, and replaced by mount", async () => {
  const scene = await mounted()
  const { store, mnt } = scene
  await killDaemon(scene)
  expect(said(await clawfs(["status", mnt]), scene)).toBe(
    "exit 1\nmount       /mnt\nstore       /store\nstate       dead",
  )
  const doctor = await clawfs(["doctor", store])
  expect(said(doctor, scene)).toMatch(/^warn {2}mounts +programs can't use .*\/mnt \(dead\)/m)
  expect(said(await clawfs(["mount", store, mnt]), scene)).toBe("exit 0\nmounted /store on /mnt")
  expect((await statusOf(scene)).state).toBe("serving")
  await killDaemon(scene)
  expect(said(await clawfs(["unmount", mnt]), scene)).toBe("exit 0\nunmounted /mnt")
  expect(mountsBelow(scene.path)).toEqual([])
})

test("a path with spaces, commas and backslashes can be mounted, shown and unmounted", async () => {
  const scene = place.set()
  const mnt = join(scene.path, "a b,c\\d\n\"e'")
  await inPlace("mkdir", [mnt])
  await inPlace("mv", [scene.store, `${mnt}.store`])
  expect((await clawfs(["mount", `${mnt}.store`, mnt])).code).toBe(0)
  expect((await clawfs(["status", "--json", mnt])).code).toBe(0)
  expect((await clawfs(["unmount", mnt])).code).toBe(0)
})

test("status --wait waits for a mount, and not longer than it may", async () => {
  const scene = place.set()
  const { store, mnt } = scene
  const late = await clawfs(["status", "--wait", "0.3", mnt])
  expect(said(late, scene)).toBe(
    "exit 66\nclawfs: no ClawFS is mounted on /mnt\nhint: clawfs status shows what is mounted",
  )
  const waiting = clawfs(["status", "--wait", "20", mnt])
  const serving = spawn(process.execPath, [bin, "mount", "-f", store, mnt], {
    stdio: "ignore",
  })
  expect(said(await waiting, scene)).toMatch(/^exit 0\n.*\nstate {7}serving$/ms)
  serving.kill("SIGTERM")
  await new Promise((resolve) => serving.on("exit", resolve))
  expect(serving.exitCode).toBe(0)
  expect(mountsBelow(scene.path)).toEqual([])
})
