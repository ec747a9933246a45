/** `clawfs export`, `import` and `identity` on a mount: one moment, everything kept, every refusal in one sentence. */
import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { completed, textOf } from "../../clawfs/identity/identity.ts"
import { run } from "../helpers/exec.ts"
import { requirePrograms, skipIf } from "../helpers/requirements.ts"
import { Place, clawfs, inPlace, requireMounts, said, type Scene } from "./harness.ts"

let place: Place
let scene: Scene
const reason = (): string | undefined => requireMounts() ?? requirePrograms("tar", "setfattr")

beforeAll(async () => {
  if (reason() !== undefined) return
  place = await Place.make()
  scene = place.set()
  await clawfs(["mount", "--no-index", scene.store, scene.mnt])
  const identity = completed({
    ...{ agent_id: "alice", version: "1.0.0", created_at: "2026-01-02T03:04:05Z" },
    updated_at: "2026-01-02T03:04:05Z",
  })
  // Other processes work on the mount: this one must not wait for it.
  const script = `
    cd "$1" && mkdir -p workspaces/w/deep agents/alice/conversations && umask 022
    printf 'hello' >workspaces/w/deep/file && ln workspaces/w/deep/file workspaces/w/again
    truncate -s 3M workspaces/w/hole && ln -s deep/file workspaces/w/link
    printf x >"workspaces/w/$(printf 'no-utf8-\\377')" && setfattr -n user.k -v v workspaces/w/deep
    touch -d '2001-02-03 04:05:06.123456789 UTC' workspaces/w/deep/file
    printf '{}\\n' >agents/alice/conversations/c.jsonl && printf s >system/not-exported
    mknod workspaces/w/zero c 1 5
    cat >agents/alice/identity.json`
  await run("sh", ["-c", script, "sh", scene.mnt], { input: textOf(identity) })
})
afterAll(async () => {
  if (reason() !== undefined) return
  await clawfs(["unmount", scene.mnt])
  await place[Symbol.asyncDispose]()
})
beforeEach((context) => skipIf(context, reason()))

const archive = (): string => join(scene.path, "a.tar")
const report = async (path: string): Promise<string> => {
  const script = `cd "$1" && find workspaces agents -printf '%P %y %m %u %g %s %n %T@ %l\\n' | sed '/^ /d' | sort && getfattr -Rd workspaces`
  return (await run("sh", ["-c", script, "sh", path])).stdout
}

test("a mount comes back on another filesystem, and from tar", async () => {
  const made = await clawfs(["export", scene.mnt, archive()])
  expect(said(made, scene)).toMatch(
    /^exit 0\nexported 15 files and directories to \/a\.tar \(3\.0 MiB; the archive has \d+\.\d KiB\)/,
  )
  expect(statSync(archive()).mode & 0o777).toBe(0o600)
  // The snapshot is gone, and nothing else was left.
  expect((await clawfs(["snapshot", "list", "--json", scene.mnt])).stdout.trim()).toBe("[]")
  expect(readdirSync(scene.path).sort()).toEqual(["a.tar", "mnt", "store"])

  const target = join(scene.path, "new")
  expect(said(await clawfs(["import", archive(), target]), scene)).toBe(
    `exit 77\nclawfs: "workspaces/w/zero" is a device\nhint: --privileged takes it as it is, if you trust who made the archive`,
  )
  expect(existsSync(target)).toBe(false)
  const imported = await clawfs(["import", "--privileged", archive(), target])
  expect(said(imported, scene)).toMatch(
    /^exit 0\nimported into \/new: 14 made, 0 replaced, 0 were there, 0 differ and were kept; verified$/m,
  )
  const before = await report(scene.mnt)
  expect(before).toContain("w/deep/file f 644 root root 5 2 981173106.1234567890")
  expect(await report(target)).toBe(before)
  expect(existsSync(join(target, "system"))).toBe(false)

  await run("mkdir", [join(scene.path, "tar")])
  const unpacked = await inPlace("tar", ["--xattrs", "-xpf", archive(), "-C", join(scene.path, "tar")])
  expect(said(unpacked)).toBe("exit 0")
  expect(await report(join(scene.path, "tar", "tree"))).toBe(before)
})

test("it comes back on a ClawFS, over what is there; the same once more does nothing", async () => {
  await run("sh", ["-c", 'cd "$1/workspaces/w" && rm -r deep && printf mine >again', "sh", scene.mnt])
  const first = await clawfs(["import", "--privileged", "--json", archive(), scene.mnt])
  expect(first.code).toBe(1)
  expect(JSON.parse(first.stdout)).toMatchObject({
    ...{ ok: false, made: 1, conflictCount: 2 },
    conflicts: [
      { path: "workspaces/w/again", differs: ["contents", "time"] },
      { path: "workspaces/w/deep/file", differs: ["first name"] },
    ],
  })
  expect((await clawfs(["import", "--privileged", "--replace", archive(), scene.mnt])).code).toBe(0)
  const again = await clawfs(["import", "--privileged", "--json", archive(), scene.mnt])
  expect(JSON.parse(again.stdout)).toMatchObject({ ok: true, made: 0, replaced: 0, same: 14 })
})

test("a pipe takes a directory; what is no archive, or in the wrong place, is refused in one sentence", async () => {
  const piped = await inPlace("sh", [
    "-c",
    '"$@" | tar -tf -',
    "sh",
    process.execPath,
    ...words("export", join(scene.mnt, "agents"), "-"),
  ])
  expect(piped.stdout).toContain("tree/alice/identity.json\n")
  const refused = async (...args: string[]): Promise<string> =>
    said(await clawfs(args), scene).split("\nhint")[0] ?? ""
  expect(await refused("export", scene.mnt, archive())).toBe("exit 73\nclawfs: /a.tar exists")
  expect(await refused("export", scene.mnt, join(scene.mnt, "x"))).toBe(
    "exit 73\nclawfs: /mnt/x would lie in /mnt, which is exported",
  )
  expect(await refused("export", "--only", "nothing", scene.mnt, archive(), "--force")).toBe(
    "exit 66\nclawfs: /mnt has no nothing",
  )
  expect(await refused("export", archive(), "x")).toBe("exit 65\nclawfs: /a.tar is no directory")
  writeFileSync(join(scene.path, "text"), "no archive")
  expect(await refused("import", join(scene.path, "text"), scene.mnt)).toBe(
    "exit 65\nclawfs: /text is no export of this version of clawfs",
  )
  expect(await refused("import", archive())).toBe("exit 64\nclawfs: import: DIRECTORY is missing")
  expect(await refused("import", "--privileged", archive(), join(scene.path, "none", "x"))).toBe(
    "exit 66\nclawfs: there is no directory /none",
  )
  expect(await refused("import", "--privileged", "--check", archive())).toMatch(
    /^exit 0\n\/a\.tar is whole: 15 files/,
  )
})

const words = (...args: string[]): string[] => [
  process.env["CLAWFS_BIN"] ?? join(import.meta.dirname, "../../dist/clawfs/cli/main.js"),
  ...args,
]

test("an identity is shown, found damaged, and brought back", async () => {
  const identity = (...args: string[]): ReturnType<typeof clawfs> =>
    clawfs(["identity", ...args, "--mount", scene.mnt])
  expect((await identity("show", "alice")).stdout).toContain("alice, version 1.0.0: idle\n")
  expect(said(await identity("verify"))).toBe(
    "exit 0\nok        alice: 2026-01-02T03:04:05Z, 0 of 0 backups whole",
  )
  expect(said(await identity("restore", "alice"), scene)).toBe(
    "exit 66\nclawfs: /mnt/agents/alice has no backup of its identity that is whole",
  )
  const script =
    'cd "$1/agents/alice" && mkdir backups && cp identity.json backups/identity-20260102T030405Z.json && echo x >>identity.json'
  await run("sh", ["-c", script, "sh", scene.mnt])
  expect((await identity("show", "alice")).code).toBe(65)
  expect(said(await identity("verify", "alice"))).toBe(
    "exit 1\ndamaged   alice: no whole identity, 1 of 1 backups whole\n          identity.json is no JSON",
  )
  expect(said(await identity("restore", "alice"))).toBe(
    "exit 0\nrestored from backups/identity-20260102T030405Z.json, as of 2026-01-02T03:04:05Z",
  )
  expect((await identity("verify")).code).toBe(0)
  expect(said(await identity("show", "../etc"), scene)).toContain(
    'exit 66\nclawfs: there is no agent "../etc"',
  )
})
