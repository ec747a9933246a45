import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { descriptorsOf, newDescriptors } from "../helpers/descriptors.ts"
import { together, waitUntil } from "../helpers/exec.ts"
import { memoryMib } from "../helpers/memory.ts"
import { mountClawfs, type Mount, type Status } from "../helpers/mount.ts"
import { expectNoFailures, loadReport, seed } from "../helpers/reports.ts"
import { plainDirectory, requireFuse, skipIf } from "../helpers/requirements.ts"

const noMount = plainDirectory === undefined ? undefined : "a plain directory has no server that could leak"

/** Loads of every kind, then nothing: what they made is removed again. */
async function loadAndRemove(mount: Mount, seconds: number): Promise<void> {
  const reports = await together([
    ...[0, 1].map((i) =>
      loadReport(mount, "test/model/load.ts", [
        "--seed",
        seed + i,
        "--seconds",
        seconds,
        join(mount.work, `tree-${i}`),
      ]),
    ),
    loadReport(mount, "test/model/sqlite-writer.ts", ["wal", join(mount.work, "data.db"), 0, 100]),
  ])
  expectNoFailures(reports)
  await mount.run("sh", ["-c", `rm -rf ${mount.work}/*`])
}

/** What is in use, given some time to become what it was before. */
async function settled(mount: Mount, before: Status): Promise<{ inodes: Status["inodes"]; bytes: number }> {
  const isBack = async () => {
    const { inodes, bytes } = await mount.status()
    return inodes.used === before.inodes.used && inodes.orphans === 0 && bytes.used === before.bytes.used
  }
  await waitUntil(isBack, 30_000)
  const { inodes, bytes } = await mount.status()
  return { inodes, bytes: bytes.used }
}

/** Each segment of the store may be open once, as long as it is there. */
function withoutSegments(mount: Mount, descriptors: Map<number, string>): Map<number, string> {
  const seen = new Set<string>()
  const isSegment = (name: string): boolean => {
    if (!name.startsWith(join(mount.store, "segments")) || !existsSync(name) || seen.has(name)) return false
    seen.add(name)
    return true
  }
  return new Map([...descriptors].filter(([, name]) => !isSegment(name)))
}

test("after a load the server has no more descriptors open than before", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs()
  await loadAndRemove(mount, 3)
  const pid = await mount.serverPid()
  const [before, memory] = [withoutSegments(mount, descriptorsOf(pid)), memoryMib(pid)]
  await loadAndRemove(mount, 4)
  await loadAndRemove(mount, 4)
  console.log(
    `memory of the server: ${memory} MiB after the first load, ${memoryMib(pid)} MiB after two more`,
  )
  expect(await mount.serverPid()).toBe(pid)
  expect([...newDescriptors(before, withoutSegments(mount, descriptorsOf(pid)))]).toEqual([])
})

test("when the kernel forgets its inodes, the server's lookup counts go back", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs()
  await mount.run("sh", ["-c", "mkdir tree; cd tree; for i in $(seq 2000); do : >f$i; done"], {
    cwd: mount.work,
  })
  expect((await mount.status()).lookups).toBeGreaterThan(2000)
  const isForgotten = async () => {
    await mount.dropCaches()
    // the way to the working directory may be held, but not what is below it
    return (await mount.status()).lookups <= 5
  }
  const forgotten = await waitUntil(isForgotten, 20_000)
  expect(forgotten, `${(await mount.status()).lookups} lookups are left`).toBe(true)
})

test("what is removed gives back its inodes and bytes", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs()
  const before = await mount.status()
  await mount.run(
    "sh",
    ["-c", "head -c 20000000 /dev/urandom >large; for i in $(seq 500); do echo $i >f$i; done"],
    {
      cwd: mount.work,
    },
  )
  const full = await mount.status()
  expect(full.inodes.used - before.inodes.used).toBe(501)
  expect(full.bytes.used).toBeGreaterThan(20_000_000)
  await mount.run("sh", ["-c", `rm -rf ${mount.work}/*`])
  await mount.dropCaches()
  expect(await settled(mount, before)).toEqual({ inodes: before.inodes, bytes: before.bytes.used })
})

test("a removed file lives as long as it is open, also when the server is killed, and no longer", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs()
  const used = (await mount.status()).inodes.used
  const script =
    "exec 3<>file; echo kept >&3; rm file; touch held; while [ ! -e ../go ]; do sleep 0.1; done; cat /proc/self/fd/3"
  await mount.run("mkdir", [join(mount.work, "d")])
  const holder = mount.run("sh", ["-c", script], { cwd: join(mount.work, "d") })
  await waitUntil(
    async () => (await mount.exec("test", ["-e", join(mount.work, "d", "held")])).code === 0,
    10_000,
  )
  const isCounted = async () => (await mount.status()).inodes.orphans === 1
  expect(await waitUntil(isCounted, 10_000)).toBe(true)
  await mount.killServerAndWait()
  expect(await waitUntil(isCounted, 10_000)).toBe(true)
  await mount.dropCaches()
  await mount.run("touch", [join(mount.work, "go")])
  expect((await holder).stdout).toBe("kept\n")
  await mount.run("rm", ["-r", join(mount.work, "d"), join(mount.work, "go")])
  const isGone = async () => {
    await mount.dropCaches()
    const { inodes } = await mount.status()
    return inodes.orphans === 0 && inodes.used === used
  }
  expect(await waitUntil(isGone, 10_000)).toBe(true)
})

test("a removed file that was open when everything was killed is gone after the next mount", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs()
  const before = await mount.status()
  const release = join(mount.scratch, "release")
  const script = `head -c 3000000 /dev/urandom >file; exec 3<file; rm file; touch held; while [ ! -e ${release} ]; do sleep 0.1; done`
  const holder = mount.exec("sh", ["-c", script], { cwd: mount.work })
  await waitUntil(async () => (await mount.exec("test", ["-e", join(mount.work, "held")])).code === 0, 10_000)
  await mount.crash()
  writeFileSync(release, "")
  await holder
  await mount.mountAgain()
  await mount.run("rm", [join(mount.work, "held")])
  await mount.dropCaches()
  expect(await settled(mount, before)).toEqual({ inodes: before.inodes, bytes: before.bytes.used })
})
