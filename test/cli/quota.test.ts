/** `clawfs quota` and `clawfs compress`: what they print, and what they refuse. */
import { linkSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { skipIf } from "../helpers/requirements.ts"
import { Place, clawfs, requireMounts, said, type Scene } from "./harness.ts"

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

async function mounted(...flags: string[]): Promise<Scene & { readonly work: string }> {
  const scene = place.set()
  expect((await clawfs(["mount", scene.store, scene.mnt, ...flags])).code).toBe(0)
  return { ...scene, work: join(scene.mnt, "workspaces") }
}

test("a quota is set, shown, listed, changed and removed", async () => {
  const scene = await mounted()
  const { work, mnt } = scene
  const [a, b] = [join(work, "a"), join(work, "b c")]
  for (const path of [a, b]) mkdirSync(path)
  writeFileSync(join(a, "file"), Buffer.alloc(1536))
  const head = "exit 0\nUSED     LIMIT   INODES  LIMIT  DIRECTORY\n"
  expect(said(await clawfs(["quota", "set", a, "--bytes", "10k", "--inodes", "100"]), scene)).toBe(
    "exit 0\nUSED     LIMIT     INODES  LIMIT  DIRECTORY\n1.5 KiB  10.0 KiB  2       100    /mnt/workspaces/a",
  )
  expect(said(await clawfs(["quota", "set", a, "--inodes", "none", "--bytes=1MiB"]), scene)).toBe(
    `${head.replace("LIMIT   INODES", "LIMIT    INODES")}1.5 KiB  1.0 MiB  2       none   /mnt/workspaces/a`,
  )
  expect((await clawfs(["quota", "set", b, "--inodes", "1"])).code).toBe(0)
  const listed = await clawfs(["quota", "list", "--json", mnt])
  expect(JSON.parse(listed.stdout)).toEqual([
    { path: a, limitBytes: 1 << 20, usedBytes: 1536, limitInodes: 0, usedInodes: 2 },
    { path: b, limitBytes: 0, usedBytes: 0, limitInodes: 1, usedInodes: 1 },
  ])
  expect(said(await clawfs(["quota", "remove", a]), scene)).toBe("exit 0")
  const none = "exit 66\nclawfs: /workspaces/a has no quota\nhint: clawfs quota list shows what has one"
  for (const action of ["show", "remove"]) expect(said(await clawfs(["quota", action, a]), scene)).toBe(none)
  expect((await clawfs(["unmount", mnt])).code).toBe(0)
})

test("what can't be a quota is refused in a sentence, and changes nothing", async () => {
  const scene = await mounted()
  const { work, mnt } = scene
  const [a, file] = [join(work, "a"), join(work, "file")]
  mkdirSync(a)
  writeFileSync(file, "x")
  linkSync(file, join(a, "link"))
  const sizes = "a size above 0, such as 4096, 500M or 1.5T"
  for (const text of ["0", "10X", "1.2.3", "-5", "1e3", "99999999P", "0.1"])
    expect(said(await clawfs(["quota", "set", a, `--bytes=${text}`]), scene)).toBe(
      `exit 64\nclawfs: quota: --bytes takes ${sizes}, got "${text}"\nhint: none takes the limit away`,
    )
  expect(said(await clawfs(["quota", "set", a, "--inodes", "1.5"]), scene)).toMatch(
    /^exit 64\n.*--inodes takes a number above 0, got "1.5"/,
  )
  expect(said(await clawfs(["quota", "set", a]), scene)).toMatch(
    /^exit 64\n.*needs --bytes, --inodes or both/,
  )
  expect(said(await clawfs(["quota", "show"]), scene)).toMatch(/^exit 64\n.*DIRECTORY is missing/)
  expect(said(await clawfs(["quota", "lst", a]), scene)).toMatch(/^exit 64\n.*\n.*did you mean list\?/)
  expect(said(await clawfs(["quota", "list", "--bytes", "1", a]), scene)).toMatch(/^exit 64\n/)
  const bytes = ["--bytes", "1M"]
  expect(said(await clawfs(["quota", "set", file, ...bytes]), scene)).toMatch(/^exit 65\n.*not a directory/)
  expect(said(await clawfs(["quota", "set", join(work, "none"), ...bytes]), scene)).toMatch(/^exit 66\n/)
  expect(said(await clawfs(["quota", "set", scene.path, ...bytes]), scene)).toMatch(
    /^exit 66\nclawfs: .* does not lie on a mounted ClawFS/,
  )
  expect(said(await clawfs(["quota", "set", a, ...bytes]), scene)).toBe(
    "exit 65\nclawfs: /workspaces/a/link has another name outside of the directory: hard links can't lead out",
  )
  expect((await clawfs(["quota", "set", work, ...bytes], { asNobody: true })).code).not.toBe(0)
  expect((await clawfs(["snapshot", "create", "s", work])).code).toBe(0)
  expect(said(await clawfs(["quota", "set", join(mnt, ".snapshots", "s"), ...bytes]), scene)).toMatch(
    /^exit 77\n.*in a snapshot/,
  )
  expect((await clawfs(["quota", "list", "--json", mnt])).stdout).toBe("[]\n")
  // The root is a directory like others, and a clone counts.
  expect((await clawfs(["quota", "set", mnt, "--inodes", "11"])).code).toBe(0)
  const clone = await clawfs(["clone", work, join(mnt, "tools", "copy")])
  expect(said(clone, scene)).toMatch(/^exit 74\n.*would exceed the quota/)
  expect((await clawfs(["quota", "remove", mnt])).code).toBe(0)
  expect((await clawfs(["clone", work, join(mnt, "tools", "copy")])).code).toBe(0)
  expect((await clawfs(["unmount", mnt])).code).toBe(0)
})

test("compress says what holds and what it saves", async () => {
  const scene = await mounted()
  const { work, mnt } = scene
  expect(said(await clawfs(["compress", "--show", work]), scene)).toBe(
    "exit 0\nnew files   stored as they are\nwhole store 0 bytes for 0 bytes",
  )
  expect(said(await clawfs(["compress", "--level", "5", work]), scene)).toBe(
    "exit 0\nnew files   compressed, level 5",
  )
  writeFileSync(join(work, "text"), Buffer.alloc(1 << 20, "a line\n"))
  const shown = JSON.parse((await clawfs(["compress", "--show", "--json", work])).stdout) as Record<
    string,
    number
  >
  expect(shown).toMatchObject({ level: 5, bytes: 1 << 20 })
  expect(shown["storedBytes"]).toBeLessThan(10_000)
  expect(said(await clawfs(["compress", "--off", "--json", work]), scene)).toBe(
    'exit 0\n{\n  "level": null\n}',
  )
  for (const level of ["0", "10", "x"])
    expect(said(await clawfs(["compress", "--level", level, work]), scene)).toBe(
      `exit 64\nclawfs: compress: --level takes a number from 1 to 9, got "${level}"\nhint: clawfs compress --help tells more`,
    )
  expect((await clawfs(["compress", "--off", "--show", work])).code).toBe(64)
  expect((await clawfs(["compress", join(work, "text")])).code).toBe(65)
  expect((await clawfs(["unmount", mnt])).code).toBe(0)
})

test("nothing changes on a read-only mount", async () => {
  const scene = await mounted("--read-only")
  for (const words of [
    ["quota", "set", scene.work, "--bytes", "1M"],
    ["compress", scene.work],
  ])
    expect(said(await clawfs(words), scene)).toMatch(/^exit 77\n.*read-only/)
  expect((await clawfs(["unmount", scene.mnt])).code).toBe(0)
})
