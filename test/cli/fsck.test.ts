/** `clawfs fsck` as people and scripts meet it: what it says, how it ends, and what it leaves alone. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, cpSync, mkdirSync, openSync, readSync, rmSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import Sqlite from "better-sqlite3"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { program } from "../helpers/programs.ts"
import { requirePrograms, skipIf } from "../helpers/requirements.ts"
import { Place, clawfs, contents, inPlace, requireMounts, said, type Scene } from "./harness.ts"

interface Report {
  readonly ok: boolean
  readonly online: boolean
  readonly findings: readonly {
    readonly kind: string
    readonly severity: string
    readonly path?: string
    readonly range?: { readonly offset: number; readonly length: number }
    readonly message: string
    readonly repaired: boolean
  }[]
  readonly totals: { readonly inodes: number; readonly records: number }
}

let place: Place
/** A store with a large file and a small one, unmounted. */
let filled: string
beforeAll(async () => {
  if (requireMounts() !== undefined) return
  place = await Place.make()
  await using mount = await mountClawfs()
  const script =
    'cd "$1" && dd if=/dev/zero of=big bs=300000 count=1 2>/dev/null && mkdir d && echo hello >d/small'
  await mount.run("sh", ["-c", script, "sh", mount.work])
  await mount.run("mv", [mount.work, join(mount.mountpoint, "workspaces", "work")])
  await mount.unmount()
  filled = place.path("filled")
  cpSync(mount.store, filled, { recursive: true })
})
afterAll(async () => {
  if (requireMounts() === undefined) await place[Symbol.asyncDispose]()
})
beforeEach((context) => {
  skipIf(context, requireMounts(), requirePrograms("flock"))
})

function scene(): Scene {
  const made = place.set()
  rmSync(made.store, { recursive: true })
  cpSync(filled, made.store, { recursive: true })
  return made
}

function sql<T>(store: string, run: (db: Sqlite.Database) => T): T {
  const db = new Sqlite(join(store, "meta.db"))
  try {
    return run(db)
  } finally {
    db.close()
  }
}

function flip(store: string, position: number): void {
  const fd = openSync(join(store, "segments", "00000001.seg"), "r+")
  const byte = Buffer.alloc(1)
  readSync(fd, byte, 0, 1, position)
  writeSync(fd, Buffer.from([byte.readUInt8() ^ 1]), 0, 1, position)
  closeSync(fd)
}

/** Numbers that no two runs share. */
const steady = (text: string): string => text.replace(/in \d+\.\d s/, "in T s")

const json = async (args: readonly string[]): Promise<Report> =>
  JSON.parse((await clawfs(["fsck", "--json", ...args])).stdout) as Report

test("a clean store is called that, and nothing in it is changed", async () => {
  const { store } = scene()
  await clawfs(["fsck", store])
  const before = contents(store)
  for (const flags of [[], ["--repair"]]) {
    const result = await clawfs(["fsck", ...flags, store])
    expect(steady(said(result))).toBe(
      "exit 0\nchecked 11 inodes, 10 names, 3 records (293.0 KiB) in T s: clean",
    )
  }
  expect(await json([store])).toMatchObject({
    ok: true,
    online: false,
    findings: [],
    totals: { inodes: 11, records: 3 },
  })
  const ignoring = (files: Record<string, string>): Record<string, string> => ({ ...files, lock: "" })
  expect(ignoring(contents(store))).toEqual(ignoring(before))
})

test("a damaged record is told by file and bytes, and stays", async () => {
  const made = scene()
  const { store } = made
  flip(store, 64 + 80 + 131_072 + 80 + 5)
  const line =
    "error     /workspaces/work/big bytes 131072 to 262143: can't be read: record at segment 1 position 131216 is damaged"
  const summary = "checked 11 inodes, 10 names, 3 records (293.0 KiB) in T s: 1 error"
  const note = "clawfs: bytes that can't be read must come from a backup; the rest of those files is whole"
  for (const flags of [[], ["--repair"]])
    expect(steady(said(await clawfs(["fsck", ...flags, store]), made))).toBe(
      ["exit 1", line, summary, note].join("\n"),
    )
  const { ok, findings } = await json([store])
  expect([ok, findings.length]).toEqual([false, 1])
  expect(findings[0]).toMatchObject({
    kind: "contents",
    severity: "error",
    path: "/workspaces/work/big",
    range: { offset: 131_072, length: 131_072 },
    repaired: false,
  })
})

test("broken counts and lost names are told, mended, and stay mended; the mount shows what was saved", async () => {
  const made = scene()
  const { store, mnt } = made
  const ino = sql(store, (db) => {
    db.exec(
      "UPDATE inode SET nlink = 9 WHERE ino = (SELECT ino FROM dentry WHERE name = CAST('big' AS BLOB))",
    )
    const row = db.prepare("SELECT ino FROM dentry WHERE name = CAST('small' AS BLOB)").get() as {
      ino: number
    }
    db.exec("DELETE FROM dentry WHERE name = CAST('small' AS BLOB)")
    return row.ino
  })
  const links = "/workspaces/work/big: link count 9, but there are 1"
  const row = "/workspaces/work/big: the inode is not as it was written"
  const names =
    "/workspaces/work/d: what belongs to it is not all there, or more than that: names of a directory, extents of a file"
  const checked = "checked 11 inodes, 9 names, 3 records (293.0 KiB) in T s"
  expect(steady(said(await clawfs(["fsck", store]), made))).toBe(
    `exit 1\nerror     no name leads to inode ${ino}\nerror     ${links}\nerror     ${row}\nerror     ${names}\n${checked}: 4 errors\n` +
      "clawfs: clawfs fsck --repair /store can mend 4 of 4 errors",
  )
  expect(steady(said(await clawfs(["fsck", "--repair", store]), made))).toBe(
    `exit 0\nrepaired  /lost+found/${ino}: no name leads to inode ${ino}\nrepaired  ${links}\n` +
      `repaired  ${row}\nrepaired  ${names}\n` +
      "checked 12 inodes, 11 names, 3 records (293.0 KiB) in T s: 4 repaired\n" +
      "clawfs: meta.db as it was before is in /store/meta.db.fsck-1",
  )
  expect((await json([store])).findings).toEqual([])
  expect((await clawfs(["mount", store, mnt])).code).toBe(0)
  const { stdout } = await inPlace("cat", [join(mnt, "lost+found", String(ino))])
  expect(stdout).toBe("hello\n")
  expect((await clawfs(["unmount", mnt])).code).toBe(0)
})

test("what is no store, of another version or in use is refused with one sentence, and left as it is", async () => {
  const made = scene()
  const { path, store, mnt } = made
  mkdirSync(join(path, "empty"))
  writeFileSync(join(path, "file"), "")
  const says = async (...args: string[]): Promise<string> => said(await clawfs(["fsck", ...args]), made)
  expect(await says()).toBe(
    "exit 64\nclawfs: fsck: STORE is missing\nhint: usage: clawfs fsck [--repair [--drop-sealed]] [--json] STORE|MOUNTPOINT",
  )
  expect(await says("--repare", store)).toBe(
    "exit 64\nclawfs: fsck has no option --repare\nhint: did you mean --repair?",
  )
  expect(await says(join(path, "none"))).toBe(
    "exit 66\nclawfs: there is no store /none\nhint: make one: clawfs init /none",
  )
  expect(await says(join(path, "empty"))).toMatch(
    /^exit 65\nclawfs: \/empty is not a ClawFS store: there is no meta.db in it\n/,
  )
  expect(await says(join(path, "file"))).toMatch(
    /^exit 65\nclawfs: \/file is not a ClawFS store: it is a file\n/,
  )
  expect(said(await clawfs(["fsck", store], { asNobody: true }), made)).toMatch(
    /^exit 77\nclawfs: no permission to read the store \/store\n/,
  )
  sql(store, (db) => db.pragma("user_version = 1"))
  expect(await says(store)).toMatch(
    /^exit 69\nclawfs: the store has format 1, this clawfs works with format \d+\nhint: mount it once: that brings it to the present format$/,
  )
  sql(store, (db) => db.pragma("user_version = 999"))
  expect(await says(store)).toMatch(
    /^exit 69\nclawfs: the store has format 999, .*\nhint: install a newer clawfs$/,
  )
  const other = scene()
  const fd = openSync(join(other.store, "meta.db"), "r+")
  // The schema's page, but for the file's header.
  writeSync(fd, Buffer.alloc(3996, 0xa5), 0, 3996, 100)
  closeSync(fd)
  const damaged = said(await clawfs(["fsck", other.store]), other)
  expect(damaged).toMatch(
    /^exit 65\nclawfs: \/store\/meta.db is damaged \([ -~]*\)\nhint: restore the store from a backup$/,
  )
  expect(await says(mnt)).toMatch(/^exit 65\nclawfs: \/mnt is not a ClawFS store/)
})

test("while something else checks the store, nobody else does", async () => {
  const made = scene()
  const holder = spawn("flock", [join(made.store, "lock"), "sh", "-c", "echo; exec cat"])
  await once(holder.stdout, "data")
  expect(said(await clawfs(["fsck", made.store]), made)).toMatch(
    /^exit 75\nclawfs: the store \/store is in use by /,
  )
  holder.stdin.end()
  await once(holder, "exit")
  expect((await clawfs(["fsck", made.store])).code).toBe(0)
})

test("a store whose daemon was killed is checked, with a remark, and repaired only after a mount", async () => {
  await using mount = await mountClawfs()
  await mount.run("sh", ["-c", 'for i in $(seq 300); do echo $i >"$1/$i"; done', "sh", mount.work])
  const loaded = mount.exec(process.execPath, [
    program("test/model/load.ts"),
    ...loadArguments(mount, "load", 5),
  ])
  await new Promise((resolve) => setTimeout(resolve, 700))
  await mount.crash()
  await loaded
  const checked = await mount.clawfsAnyway(["fsck", mount.store])
  expect(checked.stdout).toMatch(/: clean(, \d+ notes?)?\n$/)
  expect(checked.stderr).toMatch(/^clawfs: the store was not unmounted: /)
  if (checked.stderr.includes("requests")) {
    const refused = await mount.clawfsAnyway(["fsck", "--repair", mount.store])
    expect([refused.code, refused.stdout]).toEqual([75, ""])
    expect(refused.stderr).toMatch(/answered requests wait in the journal.*\nhint: mount and unmount it once/)
  }
  await mount.mountAgain()
  await mount.unmount()
  expect((await mount.clawfsAnyway(["fsck", "--repair", mount.store])).stdout).toMatch(/: clean\n$/)
})

test("a mounted store is clean at any moment under load, by store and by mount point, and is not repaired", async () => {
  await using mount = await mountClawfs()
  const loads = [1, 2].map((seed) =>
    mount.run(process.execPath, [program("test/model/load.ts"), ...loadArguments(mount, `load-${seed}`, 8)]),
  )
  for (let i = 0; i < 8; i += 1) {
    const result = await mount.clawfsAnyway(["fsck", "--json", i % 2 === 0 ? mount.store : mount.mountpoint])
    expect([result.code, result.stderr], result.stdout).toEqual([0, ""])
    expect(JSON.parse(result.stdout)).toMatchObject({ ok: true, online: true, findings: [] })
  }
  const refused = await mount.clawfsAnyway(["fsck", "--repair", mount.mountpoint])
  expect(refused.code).toBe(75)
  expect(refused.stderr).toBe(
    `clawfs: the store ${mount.store} is mounted on ${mount.mountpoint}, and can't be repaired meanwhile\n` +
      `hint: clawfs unmount ${mount.mountpoint}\n`,
  )
  await Promise.all(loads)
  await mount.unmount()
  const { stdout } = await mount.clawfsAnyway(["fsck", mount.store])
  expect(stdout).toMatch(/^checked \d+ inodes, \d+ names, \d+ records \([^)]*\) in [\d.]+ s: clean\n$/)
})

test("damage in a mounted store is told by file, and the server goes on", async () => {
  const made = scene()
  const { store, mnt } = made
  expect((await clawfs(["mount", store, mnt])).code).toBe(0)
  flip(store, 64 + 80 + 5)
  const result = said(await clawfs(["fsck", mnt]), made)
  expect(result).toMatch(/^exit 1\nerror {5}\/workspaces\/work\/big bytes 0 to 131071: can't be read: /)
  expect((await clawfs(["status", mnt])).code).toBe(0)
  expect((await clawfs(["unmount", mnt])).code).toBe(0)
})

/** A load in a directory of its own, whose every answer is compared with a model. */
function loadArguments(mount: Mount, name: string, seconds: number): string[] {
  const directory = join(mount.work, name)
  const dump = join(mount.scratch, `${name}.json`)
  return ["--seed", name.endsWith("2") ? "2" : "1", "--seconds", String(seconds), "--dump", dump, directory]
}
