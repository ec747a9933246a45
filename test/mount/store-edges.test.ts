/** What can happen to a store's directory, its disk and its daemon's limits while it is mounted: docs/TESTING.md, "Edges". */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { expect, test, type TestContext } from "vitest"
import { exec, run, sleep, waitUntil } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { requireFuse, requirePrograms, skipIf } from "../helpers/requirements.ts"
import { SmallDisk, requireDisk } from "../helpers/small-disk.ts"
import { isSlow } from "../unit/support/random.ts"

const EIO = "Input/output error"

async function written(mount: Mount, name: string, bytes: number, ...options: string[]): Promise<string> {
  const args = [
    "if=/dev/zero",
    `of=${join(mount.work, name)}`,
    "bs=100000",
    `count=${Math.ceil(bytes / 100_000)}`,
  ]
  const { code, stderr } = await mount.exec("dd", [...args, ...options])
  return code === 0 ? "done" : stderr
}

const readBack = async (mount: Mount, name: string): Promise<string> => {
  const { code, stdout, stderr } = await mount.exec("md5sum", [join(mount.work, name)])
  return code === 0 ? stdout.slice(0, 32) : stderr
}

/** Of the daemon alone; the log below says what is not clean. */
async function expectClean(mount: Mount): Promise<void> {
  await mount.unmount()
  const { code, stdout } = await mount.clawfsAnyway(["fsck", mount.store])
  expect([code, stdout]).toEqual([0, expect.stringContaining("clean")])
}

test("a store that is moved away and replaced is not mixed with the one in its place", async (context) => {
  skipIf(context, requireFuse())
  await using mount = await mountClawfs()
  expect(await written(mount, "before", 300_000, "conv=fsync")).toBe("done")
  const sum = await readBack(mount, "before")
  const { pid } = (await mount.status()).server
  const away = `${mount.store}-away`
  // The same store, older: the same names, numbers and uuid.
  cpSync(mount.store, `${mount.store}-copy`, { recursive: true, filter: (path) => !path.endsWith(".sock") })
  renameSync(mount.store, away)
  renameSync(`${mount.store}-copy`, mount.store)
  const untouched = treeOf(mount.store)
  // A new segment, and what fsync promises, would be in the wrong directory.
  expect(await written(mount, "large", 80_000_000)).toContain(EIO)
  expect(await written(mount, "synced", 100_000, "conv=fsync")).toContain(EIO)
  expect(await readBack(mount, "before")).toBe(sum)
  process.kill(pid, "SIGKILL")
  await mount.dropCaches()
  expect(await waitUntil(async () => (await readBack(mount, "before")).includes(EIO), 20_000)).toBe(true)
  expect(treeOf(mount.store)).toEqual(untouched)
  rmSync(mount.store, { recursive: true })
  renameSync(away, mount.store)
  // It gave up while the store was away, where it could not say so.
  const state = async (): Promise<string> =>
    (await mount.clawfsAnyway(["status", mount.mountpoint])).stdout.replace(/.*^state +(\w+)$.*/ms, "$1")
  expect(await waitUntil(async () => (await state()) === "failed", 10_000)).toBe(true)
  await mount.clawfs(["unmount", mount.mountpoint])
  await mount.mountAgain()
  expect(await readBack(mount, "before")).toBe(sum)
  await expectClean(mount)
})

/** Path → contents of what lies below a directory. */
function treeOf(directory: string): Map<string, string> {
  const names = readdirSync(directory, { recursive: true, encoding: "utf8", withFileTypes: true })
  return new Map(
    names
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
      .map((path) => [path, readFileSync(path, "latin1")]),
  )
}

test("a store that is moved away and back again goes on, with everything that was answered", async (context) => {
  skipIf(context, requireFuse())
  await using mount = await mountClawfs()
  // When a flush has succeeded, all threads have opened what they work with.
  expect(await written(mount, "zero", 100, "conv=fsync")).toBe("done")
  expect(await written(mount, "one", 300_000)).toBe("done")
  renameSync(mount.store, `${mount.store}-away`)
  expect(await written(mount, "two", 200_000, "conv=fsync")).toContain(EIO)
  renameSync(`${mount.store}-away`, mount.store)
  const isGood = await waitUntil(
    async () => (await written(mount, "two", 200_000, "conv=fsync")) === "done",
    15_000,
  )
  expect(isGood).toBe(true)
  const sums = [await readBack(mount, "one"), await readBack(mount, "two")]
  await mount.killServerAndWait()
  expect([await readBack(mount, "one"), await readBack(mount, "two")]).toEqual(sums)
  await expectClean(mount)
})

test("a second daemon is refused, whichever path leads to the store", async (context) => {
  skipIf(context, requireFuse())
  await using mount = await mountClawfs()
  const [link, bound, other] = ["link", "bound", "other"].map((name) => join(mount.scratch, name)) as [
    string,
    string,
    string,
  ]
  for (const path of [bound, other]) mkdirSync(path)
  symlinkSync(mount.store, link)
  await run("mount", ["--bind", mount.store, bound])
  try {
    for (const path of [mount.store, link, bound])
      for (const flags of [[], ["--read-only"]]) {
        const { code, stderr } = await mount.clawfsAnyway(["mount", ...flags, path, other])
        expect([path, code, stderr]).toEqual([path, 75, expect.stringContaining("is in use by process")])
      }
  } finally {
    await run("umount", [bound])
  }
  expect(await written(mount, "file", 100_000, "conv=fsync")).toBe("done")
})

test("a copy of a store is a store of its own, whether the daemon had left in good order or was killed", async (context) => {
  skipIf(context, requireFuse())
  await using mount = await mountClawfs()
  for (const isKilled of isSlow ? [false, true] : [true]) {
    expect(await written(mount, `answered-${isKilled}`, 200_000)).toBe("done")
    const sum = await readBack(mount, `answered-${isKilled}`)
    if (isKilled) await mount.crash()
    else await mount.unmount()
    const copy = join(mount.scratch, `copy-${isKilled}`)
    // As cp -a does, sockets included.
    await run("cp", ["-a", mount.store, copy])
    await using second = await mountClawfs({ store: join(mount.scratch, `second-${isKilled}`) })
    await second.unmount()
    rmSync(second.store, { recursive: true })
    renameSync(copy, second.store)
    await mount.mountAgain()
    await second.mountAgain()
    const work = join(second.mountpoint, mount.work.slice(mount.mountpoint.length))
    await second.run("sh", ["-c", `echo only here > ${work}/second`])
    const { stdout } = await second.exec("md5sum", [join(work, `answered-${isKilled}`)])
    expect(stdout.slice(0, 32)).toBe(sum)
    expect(await written(mount, "first", 300_000, "conv=fsync")).toBe("done")
    expect((await mount.exec("ls", [join(mount.work, "second")])).code).toBe(2)
    await expectClean(second)
    await second.mountAgain()
  }
  await expectClean(mount)
})

test("no descriptor left: programs are told, the daemon lives, and all is there when there are some again", async (context) => {
  skipIf(context, requireFuse(), requirePrograms("prlimit"))
  await using mount = await mountClawfs()
  // More than a segment: it is not open any more after the remount.
  expect(await written(mount, "before", 70_000_000, "conv=fsync")).toBe("done")
  const sum = await readBack(mount, "before")
  await mount.remount()
  const { pid } = (await mount.status()).server
  await run("prlimit", ["--pid", String(pid), "--nofile=3:1024"])
  const [read, synced] = [await readBack(mount, "before"), await written(mount, "synced", 1000, "conv=fsync")]
  await run("prlimit", ["--pid", String(pid), "--nofile=1024:1024"])
  expect([read, synced]).toEqual([expect.stringContaining(EIO), expect.stringContaining(EIO)])
  expect(await readBack(mount, "before")).toBe(sum)
  expect(
    await waitUntil(async () => (await written(mount, "synced", 1000, "conv=fsync")) === "done", 10_000),
  ).toBe(true)
  expect((await mount.status()).server.pid).toBe(pid)
  await expectClean(mount)
})

test("a server that the kernel kills for want of memory is replaced, and nothing that was answered is lost", async (context) => {
  const group = "/sys/fs/cgroup/memory"
  skipIf(
    context,
    requireFuse(),
    existsSync(join(group, "memory.limit_in_bytes")) ? undefined : "no memory cgroup (v1)",
  )
  await using mount = await mountClawfs()
  const { supervisor, server } = await mount.status()
  const own = join(group, `clawfs-test-${supervisor.pid}`)
  mkdirSync(own)
  try {
    for (const pid of [supervisor.pid, server.pid]) writeFileSync(join(own, "cgroup.procs"), String(pid))
    const script = `cd ${mount.work}; for i in $(seq 400); do echo $i > f$i; done; dd if=/dev/zero of=big bs=1M count=40`
    const writing = mount.run("sh", ["-ec", script])
    await sleep(300)
    // Pages that are there stay counted where they were: new servers count from the start.
    writeFileSync(join(own, "memory.limit_in_bytes"), String(48 << 20))
    await mount.killServer()
    const control = join(own, "memory.oom_control")
    const kills = (): number => Number(/oom_kill (\d+)/.exec(readFileSync(control, "utf8"))?.[1])
    expect(await waitUntil(() => kills() > 0, 60_000)).toBe(true)
    writeFileSync(join(own, "memory.limit_in_bytes"), "-1")
    await writing
    await mount.run("sh", ["-ec", `cd ${mount.work}; for i in $(seq 400); do test "$(cat f$i)" = $i; done`])
    await mount.run("cmp", ["-n", String(40 << 20), join(mount.work, "big"), "/dev/zero"])
  } finally {
    // A group can be removed when nobody is in it.
    for (const pid of readFileSync(join(own, "cgroup.procs"), "utf8").split("\n").filter(Boolean))
      writeFileSync(join(group, "cgroup.procs"), pid)
    await exec("rmdir", [own])
  }
  await expectClean(mount)
})

async function onExt4(
  context: TestContext,
  use: (mount: Mount, disk: SmallDisk) => Promise<void>,
): Promise<void> {
  skipIf(context, requireFuse(), requireDisk("ext4"), requirePrograms("findmnt", "e2fsck"))
  using disk = new SmallDisk("ext4")
  await using mount = await mountClawfs({ store: join(disk.path, "store") })
  await use(mount, disk)
  if (!(await mount.clawfsAnyway(["status", mount.mountpoint])).stdout.includes("serving")) return
  await mount.unmount()
}

test("a disk that becomes read-only below: reading goes on, writing fails, what was synced is there afterwards", async (context) => {
  await onExt4(context, async (mount, disk) => {
    expect(await written(mount, "synced", 300_000, "conv=fsync")).toBe("done")
    const sum = await readBack(mount, "synced")
    disk.failReadOnly()
    const { pid } = (await mount.status()).server
    await mount.dropCaches()
    expect(await readBack(mount, "synced")).toBe(sum)
    expect(await written(mount, "large", 300_000)).toContain(EIO)
    expect(await written(mount, "small", 100, "conv=fsync")).toContain(EIO)
    expect(await readBack(mount, "synced")).toBe(sum)
    expect((await mount.status()).server.pid).toBe(pid)
    await mount.crash()
    disk.replug("ro")
    const { code, stderr } = await mount.clawfsAnyway(["mount", "--read-only", mount.store, mount.mountpoint])
    expect([code, stderr]).toEqual([77, expect.stringContaining("lies on a read-only filesystem")])
    disk.replug()
    await mount.mountAgain()
    expect(await readBack(mount, "synced")).toBe(sum)
    expect(await written(mount, "again", 300_000, "conv=fsync")).toBe("done")
  })
})

test("a store that everybody may write in, or with links and FIFOs under its names, is not touched", async (context) => {
  skipIf(context, requireFuse())
  await using mount = await mountClawfs()
  await mount.unmount()
  const victim = join(mount.scratch, "victim")
  writeFileSync(victim, "precious")
  const [mounting, fsck, backup] = [
    ["mount", mount.store, mount.mountpoint],
    ["fsck", mount.store],
    ["backup", mount.store, join(mount.scratch, "backup")],
  ]
  const refused = async (what: string, ...commands: (readonly string[] | undefined)[]): Promise<void> => {
    for (const args of commands) {
      const { code, stderr } = await mount.clawfsAnyway(args ?? [])
      expect([args?.[0], code, stderr]).toEqual([args?.[0], 77, expect.stringContaining(what)])
    }
    expect(readFileSync(victim, "utf8")).toBe("precious")
  }
  const aside = join(mount.scratch, "aside")
  const files = ["meta.db", "journal", "lock", "reserve", "clawfs.log", "segments"]
  for (const name of [
    ...files,
    "meta.db-wal",
    "supervisor.json.new",
    "control.sock",
    "segments/00000009.seg",
  ]) {
    const path = join(mount.store, name)
    const isThere = existsSync(path)
    for (const plant of ["link", "fifo"] as const) {
      if (isThere) renameSync(path, aside)
      if (plant === "link") symlinkSync(victim, path)
      else await run("mkfifo", [path])
      await refused(`${path} is not a`, mounting)
      rmSync(path)
      if (isThere) renameSync(aside, path)
    }
  }
  await run("chmod", ["777", mount.store])
  await refused("everybody may write in the store", mounting, fsck, backup)
  await run("chmod", ["700", mount.store])
  await mount.mountAgain()
  await expectClean(mount)
})
