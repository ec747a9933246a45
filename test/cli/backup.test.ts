/** `clawfs backup` and `restore` as people meet them: under load, killed at any moment, on a full disk. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { call } from "../../clawfs/api/client.ts"
import { encodeJournalHeader } from "../../clawfs/store/journal-header.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { waitUntil } from "../helpers/exec.ts"
import { skipIf } from "../helpers/requirements.ts"
import { Namespace, Place, bin, clawfs, contents, requireMounts, said } from "./harness.ts"

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

/** What no two runs share. */
const steady = (text: string): string =>
  text
    .replace(/\d{4}-\d\d-\d\dT\d{6}Z(\.\d+)?/g, "TIME")
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replace(/in \d+\.\d s/g, "in T s")
    .replace(/\d+\.\d KiB/g, "N KiB")

const generations = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => /^\d{4}-/.test(name))
    .sort()

/** Writes, overwrites and removes files of all sizes until it is ended; what `ready` lists is on the mount for good. */
const LOAD = String.raw`
cd "$1" || exit 1
n=0
while [ ! -e stop ]; do
  n=$((n + 1))
  head -c 400000 /dev/urandom >"big.$((n % 5))" || exit 2
  head -c 3000 /dev/zero >"small.$n" || exit 2
  mv "small.$n" "kept.$((n % 40))" || exit 2
  dd if=/dev/urandom of=large bs=64k count=3 seek=$((n % 30)) conv=notrunc 2>/dev/null || exit 2
  [ $((n % 7)) = 0 ] && rm -f big.*
done
echo $n`

async function loaded<T>(mount: Mount, during: () => Promise<T>): Promise<T> {
  const load = mount.run("sh", ["-c", LOAD, "sh", mount.work])
  try {
    return await during()
  } finally {
    writeFileSync(join(mount.work, "stop"), "")
    expect(Number((await load).stdout)).toBeGreaterThan(0)
    rmSync(join(mount.work, "stop"))
  }
}

test("under load and across a killed server, each backup is one moment with all that was answered", async () => {
  await using mount = await mountClawfs()
  const directory = join(mount.scratch, "backup")
  await loaded(mount, async () => {
    for (const n of [1, 2]) {
      await sleep(200)
      writeFileSync(join(mount.work, "marker"), `before backup ${n}`)
      const running = mount.clawfs(["backup", mount.mountpoint, directory])
      if (n === 2) await mount.killServerAndWait()
      expect((await running).stdout).toMatch(/^backed up \d+ inodes in /)
    }
  })
  const all = generations(directory)
  expect(all).toHaveLength(2)
  for (const name of all) {
    const store = join(mount.scratch, `restored-${name}`)
    const { stdout } = await mount.clawfs(["restore", join(directory, name), store])
    expect(stdout).toMatch(/ all checked\n$/)
  }
  await mount.unmount()
  const [store = ""] = readdirSync(mount.scratch).filter((name) => name.startsWith("restored-"))
  await mount.clawfs(["mount", join(mount.scratch, store), mount.mountpoint])
  expect(readFileSync(join(mount.work, "marker"), "utf8")).toBe("before backup 1")
  await mount.clawfs(["unmount", mount.mountpoint])
})

test("killed at any moment, it leaves the earlier backups whole, and is gone on with", async () => {
  await using mount = await mountClawfs()
  const directory = join(mount.scratch, "backup")
  await mount.run("sh", ["-c", 'head -c 5000000 /dev/urandom >"$1/a"', "sh", mount.work])
  await mount.clawfs(["backup", mount.mountpoint, directory])
  const [first = ""] = generations(directory)
  const before = contents(join(directory, first))
  const started = performance.now()
  await mount.clawfs(["backup", mount.mountpoint, directory])
  const whole = performance.now() - started
  let killed = 0
  for (let n = 0; n < 6; n += 1) {
    await mount.run("sh", ["-c", 'head -c 2000000 /dev/urandom >"$1/b"', "sh", mount.work])
    const child = spawn(process.execPath, [bin, "backup", mount.mountpoint, directory], { stdio: "ignore" })
    await sleep(whole * (0.4 + 0.1 * n))
    child.kill("SIGKILL")
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit")
    if (child.signalCode !== null) killed += 1
    expect(contents(join(directory, first))).toEqual(before)
  }
  expect(killed).toBeGreaterThan(1)
  await mount.clawfs(["backup", mount.mountpoint, directory])
  expect(existsSync(join(directory, "partial"))).toBe(false)
  const target = join(mount.scratch, "restored")
  for (let n = 0; n < 3; n += 1) {
    const child = spawn(process.execPath, [bin, "restore", directory, target], { stdio: "ignore" })
    await sleep(whole * (0.4 + 0.2 * n))
    child.kill("SIGKILL")
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit")
    // It may have been killed when all was done.
    const isDone = existsSync(join(target, "meta.db")) && !existsSync(join(target, "restore.json"))
    if (isDone) rmSync(target, { recursive: true })
  }
  expect((await mount.clawfs(["restore", directory, target])).stdout).toMatch(/ all checked\n$/)
  expect((await mount.clawfs(["fsck", target])).stdout).toMatch(/: clean\n$/)
})

test("segments that somebody holds are deleted when nobody does any more", async () => {
  await using mount = await mountClawfs()
  await mount.run("sh", ["-c", 'head -c 3000000 /dev/zero >"$1/a"', "sh", mount.work])
  const segments = (): string[] => readdirSync(join(mount.store, "segments"))
  await call(mount.store, "hold", { seconds: 3 })
  rmSync(join(mount.work, "a"))
  await sleep(1500)
  await call(mount.store, "sync")
  expect(segments()).toEqual(["00000001.seg"])
  await waitUntil(async () => {
    await call(mount.store, "sync")
    return segments().length === 0
  }, 10_000)
  for (const seconds of [0, -1, 1000, "5", undefined])
    await expect(call(mount.store, "hold", { seconds })).rejects.toThrow('"seconds" must be a number')
})

test("a store that nobody has mounted can't be mounted meanwhile, and nothing in it is changed", async () => {
  const scene = place.set()
  const { store, path } = scene
  const backup = join(path, "backup")
  const before = contents(store, ["lock"])
  const args = ["backup", store, backup]
  expect(steady(said(await clawfs(args), scene))).toBe(
    "exit 0\nbacked up 7 inodes in /backup/TIME (N KiB, N KiB of it new) in T s",
  )
  expect(contents(store, ["lock"])).toEqual(before)
  expect(steady(said(await clawfs(["restore", backup, join(path, "new")]), scene))).toBe(
    "exit 0\nrestored /new as of TIME: 7 inodes, 6 names, 0 records (0 bytes), all checked",
  )
  const json = JSON.parse((await clawfs([...args, "--json", "--keep=1"])).stdout) as Record<string, unknown>
  expect(json).toMatchObject({ ok: true, store, generation: 2, totals: { inodes: 7 }, passedOver: [] })
  expect(json["removed"]).toHaveLength(1)
})

test("where the newest backup is damaged the one before is restored, and the exit status tells", async () => {
  const scene = place.set()
  const { store, path } = scene
  const backup = join(path, "backup")
  for (let n = 0; n < 2; n += 1) expect((await clawfs(["backup", store, backup])).code).toBe(0)
  const [first = "", second = ""] = readdirSync(backup)
    .filter((name) => existsSync(join(backup, name, "manifest.json")))
    .sort()
  const manifest = join(backup, second, "manifest.json")
  const whole = readFileSync(manifest)
  writeFileSync(manifest, "{")
  const { code, stderr } = await clawfs(["restore", backup, join(path, "new")])
  expect([code, stderr]).toEqual([1, `clawfs: the newer backup ${second} is damaged, and was passed over\n`])
  writeFileSync(manifest, whole)
  writeFileSync(join(backup, first, "manifest.json"), "{")
  const newest = await clawfs(["restore", "--json", backup, join(path, "newest")])
  expect([newest.code, JSON.parse(newest.stdout)]).toMatchObject([
    0,
    { ok: true, generation: second, passedOver: [first] },
  ])
})

test("a store that was not unmounted is refused until it was mounted again", async () => {
  await using mount = await mountClawfs()
  const status = await mount.status()
  for (const { pid } of [status.supervisor, status.server]) process.kill(pid, "SIGKILL")
  await waitUntil(async () => (await mount.clawfsAnyway(["status", mount.mountpoint])).code === 1, 30_000)
  writeFileSync(join(mount.store, "meta.db-wal"), "not empty", { flag: "a" })
  const journal = readFileSync(join(mount.store, "journal"))
  // As after a reboot: the boot id is another one.
  encodeJournalHeader({ bootId: "x".repeat(36), flags: 0n, nonce: 1 }).copy(journal)
  writeFileSync(join(mount.store, "journal"), journal)
  const backup = join(mount.scratch, "backup")
  const { code, stderr } = await mount.clawfsAnyway(["backup", mount.store, backup])
  expect([code, stderr.replaceAll(mount.store, "STORE")]).toEqual([
    75,
    "clawfs: the store STORE was not unmounted: it must be put in order first\n" +
      "hint: mount it, that does it; it can be backed up while it is mounted\n",
  ])
  expect(existsSync(backup)).toBe(false)
  await mount.mountAgain()
  expect((await mount.clawfs(["backup", mount.mountpoint, backup])).code).toBe(0)
})

test("on a full disk it says which one, and the earlier backup stays whole", async () => {
  const scene = place.set()
  const { store, path } = scene
  const disk = 'mkdir "$1/disk"; mount -t tmpfs -o size=200k none "$1/disk"'
  await using namespace = await Namespace.make(disk, path)
  const args = ["backup", store, join(path, "disk", "backup")]
  expect((await clawfs(args, { namespace })).code).toBe(0)
  let last = ""
  for (let n = 0; n < 6 && last === ""; n += 1) {
    const result = await clawfs(args, { namespace })
    if (result.code !== 0) last = said(result, scene)
  }
  expect(last).toBe(
    "exit 74\nclawfs: the disk of /disk/backup is full\n" +
      "hint: free some space there and run this again: it goes on where it stopped; earlier backups are whole",
  )
  const target = join(path, "new")
  expect((await clawfs(["restore", join(path, "disk", "backup"), target], { namespace })).code).toBe(0)
  const full = await clawfs(["restore", join(path, "disk", "backup"), join(path, "disk", "new")], {
    namespace,
  })
  expect(said(full, scene)).toMatch(/^exit 74\nclawfs: the disk of \/disk\/new is full\n/)
})

test("bad places are refused with one sentence, and nothing is made", async () => {
  const scene = place.set()
  const { store, mnt, path } = scene
  await clawfs(["mount", store, mnt])
  mkdirSync(join(path, "full", "x"), { recursive: true })
  writeFileSync(join(path, "file"), "kept")
  const outcomes: Record<string, string> = {
    [join(mnt, "workspaces", "b")]:
      "exit 65\nclawfs: a backup can't lie on a ClawFS mount, and /mnt/workspaces/b would (on /mnt)\nhint: name a directory outside of the mount",
    [join(store, "segments", "b")]:
      "exit 65\nclawfs: /store/segments/b would lie inside of the store /store\nhint: name a directory outside of it",
    [store]:
      "exit 73\nclawfs: /store is not empty, and not a backup\nhint: name a new or an empty directory, or that of earlier backups",
    [join(path, "full")]:
      "exit 73\nclawfs: /full is not empty, and not a backup\nhint: name a new or an empty directory, or that of earlier backups",
    [join(path, "file")]: "exit 73\nclawfs: /file is a file\nhint: name a new or an empty directory",
  }
  for (const [directory, says] of Object.entries(outcomes))
    expect(said(await clawfs(["backup", mnt, directory]), scene)).toBe(says)
  for (const keep of ["0", "1e9"])
    expect(said(await clawfs(["backup", `--keep=${keep}`, mnt, join(path, "b")]))).toMatch(/^exit 64\n/)
  expect(said(await clawfs(["restore", join(path, "none"), join(path, "b")]), scene)).toBe(
    "exit 66\nclawfs: there is no backup /none",
  )
  expect(said(await clawfs(["restore", path, join(path, "b")]), scene)).toMatch(
    /^exit 65\nclawfs: {2}is not a backup of a ClawFS store\n/,
  )
  expect(existsSync(join(path, "b"))).toBe(false)
  await clawfs(["unmount", mnt])
})

test("the backup of another store or of a newer version is refused by all that take one, and stays as it is", async () => {
  const scene = place.set()
  const { store, path } = scene
  const [backup, other, made] = ["backup", "other", "made"].map((name) => join(path, name)) as [
    string,
    string,
    string,
  ]
  expect((await clawfs(["backup", store, backup])).code).toBe(0)
  expect((await clawfs(["init", "--user", other])).code).toBe(0)
  const before = contents(backup)
  expect(said(await clawfs(["backup", other, backup]), scene)).toBe(
    "exit 73\nclawfs: /backup holds the backup of another store\nhint: name a directory of its own for each store",
  )
  expect(said(await clawfs(["salvage", "--backup", backup, other, made]), scene)).toMatch(
    /^exit 65\nclawfs: \/backup\/\S+ is the backup of another store$/,
  )
  const inside = join(backup, "made")
  for (const args of [
    ["restore", backup, inside],
    ["salvage", store, inside],
    ["backup", other, inside],
  ])
    expect(said(await clawfs(args), scene)).toBe(
      "exit 65\nclawfs: /backup/made would lie inside of the backup /backup\nhint: name a directory outside of it",
    )
  expect(contents(backup)).toEqual(before)
  const file = join(backup, "clawfs-backup.json")
  writeFileSync(file, readFileSync(file, "utf8").replace(/"format": *\d+/, '"format":99'))
  const newer = contents(backup)
  for (const args of [
    ["backup", store, backup],
    ["restore", backup, made],
    ["salvage", "--backup", backup, store, made],
  ])
    expect(said(await clawfs(args), scene)).toMatch(
      /^exit 69\nclawfs: \/backup\/clawfs-backup.json has backup format 99, this clawfs knows up to \d+\nhint: install a newer clawfs$/,
    )
  expect(contents(backup)).toEqual(newer)
  expect(existsSync(made)).toBe(false)
})
