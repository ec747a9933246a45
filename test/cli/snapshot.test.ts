/** `clawfs snapshot` and `clawfs clone` on a real mount: the kernel's caches included. */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
  closeSync,
  cpSync,
  openSync,
  realpathSync,
  renameSync,
} from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { waitUntil } from "../helpers/exec.ts"
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

interface Made {
  readonly scene: Scene
  readonly workspace: string
  readonly snapshots: string
}

async function made(): Promise<Made> {
  const scene = place.set()
  expect((await clawfs(["mount", scene.store, scene.mnt])).code).toBe(0)
  const workspace = join(scene.mnt, "workspaces", "site")
  mkdirSync(join(workspace, "pages"), { recursive: true })
  writeFileSync(join(workspace, "index"), "as it was")
  writeFileSync(join(workspace, "pages", "large"), Buffer.alloc(500_000, "p"))
  return { scene, workspace, snapshots: join(scene.mnt, ".snapshots") }
}

test("a snapshot appears at once, also where the kernel knew that there was none, and stays", async () => {
  const { scene, workspace, snapshots } = await made()
  expect(existsSync(join(snapshots, "one"))).toBe(false)
  expect(said(await clawfs(["snapshot", "create", "one", workspace]), scene)).toBe(
    "exit 0\n/mnt/.snapshots/one: 4 files and directories",
  )
  expect(readdirSync(snapshots)).toEqual(["one"])
  writeFileSync(join(workspace, "index"), "changed")
  appendFileSync(join(workspace, "pages", "large"), "more")
  expect(readFileSync(join(snapshots, "one", "index"), "latin1")).toBe("as it was")
  expect(readFileSync(join(snapshots, "one", "pages", "large")).equals(Buffer.alloc(500_000, "p"))).toBe(true)
  expect(() => writeFileSync(join(snapshots, "one", "new"), "")).toThrow("EROFS")
  expect((await clawfs(["snapshot", "create", "two", workspace])).code).toBe(0)
  expect(readdirSync(snapshots).sort()).toEqual(["one", "two"])
  expect(readFileSync(join(snapshots, "two", "index"), "latin1")).toBe("changed")
  const rows = JSON.parse((await clawfs(["snapshot", "list", "--json", scene.mnt])).stdout) as {
    name: string
  }[]
  expect(rows.map(({ name }) => name)).toEqual(["one", "two"])
  expect((await clawfs(["snapshot", "delete", "one", scene.mnt])).code).toBe(0)
  expect(existsSync(join(snapshots, "one"))).toBe(false)
  await waitUntil(() => Promise.resolve(readdirSync(snapshots).length === 1), 30_000)
  expect((await clawfs(["unmount", scene.mnt])).code).toBe(0)
})

test("a clone is written to without the original noticing", async () => {
  const { workspace, scene } = await made()
  const copy = join(scene.mnt, "workspaces", "experiment")
  expect(existsSync(copy)).toBe(false)
  expect(said(await clawfs(["clone", workspace, copy]), scene)).toBe("exit 0")
  writeFileSync(join(copy, "index"), "experiment")
  rmSync(join(copy, "pages"), { recursive: true })
  expect(readFileSync(join(workspace, "index"), "latin1")).toBe("as it was")
  expect(readdirSync(join(workspace, "pages"))).toEqual(["large"])
  expect(said(await clawfs(["clone", workspace, copy]), scene)).toBe(
    'exit 73\nclawfs: "/workspaces/experiment" exists already',
  )
  expect((await clawfs(["unmount", scene.mnt])).code).toBe(0)
})

test("what is different is told, and brought back where it is", async () => {
  const { scene, workspace } = await made()
  const say = async (...args: string[]): Promise<string> => said(await clawfs(args), scene)
  expect(await say("snapshot", "create", "one", workspace)).toContain("exit 0")
  expect(await say("snapshot", "diff", "one", workspace)).toBe("exit 0")
  const open = openSync(join(workspace, "index"), "r")
  writeFileSync(join(workspace, "index"), "changed")
  renameSync(join(workspace, "pages"), join(workspace, "papers"))
  writeFileSync(join(workspace, "new"), "")
  expect(await say("snapshot", "diff", "one", workspace)).toBe("exit 1\nM index\n+ new\nR pages/ -> papers/")
  expect(await say("snapshot", "restore", "one", join(workspace, "index"))).toBe(
    "exit 75\nclawfs: 1 file was changed or made since the snapshot, and would be lost\n" +
      "hint: --yes does it all the same; a snapshot of now keeps them",
  )
  expect(readFileSync(join(workspace, "index"), "latin1")).toBe("changed")
  expect(await say("snapshot", "restore", "--yes", "one", workspace)).toBe(
    "exit 0\nrestored 2 files, removed 3",
  )
  expect(readFileSync(join(workspace, "index"), "latin1")).toBe("as it was")
  // Also for whoever had it open before, and in the kernel's caches.
  expect(readFileSync(open, "latin1")).toBe("as it was")
  closeSync(open)
  expect(readdirSync(workspace).sort()).toEqual(["index", "pages"])
  expect(await say("snapshot", "diff", "one", workspace)).toBe("exit 0")
  expect((await clawfs(["unmount", scene.mnt])).code).toBe(0)
})

test("a workspace shows its snapshots in its own place, and nothing that goes through it stumbles over them", async () => {
  const { scene, workspace } = await made()
  const links = join(workspace, "snapshots")
  expect(existsSync(links)).toBe(false)
  const run = (...args: string[]): Promise<unknown> => clawfs(["snapshot", ...args])
  await run("create", "one", workspace)
  await run("create", "all", join(scene.mnt, "workspaces"))
  writeFileSync(join(workspace, "index"), "changed")
  expect(readdirSync(links).sort()).toEqual(["all", "one"])
  expect(readdirSync(workspace)).toEqual(["index", "pages"])
  for (const name of ["one", "all"])
    expect(readFileSync(join(links, name, "index"), "latin1")).toBe("as it was")
  expect(realpathSync(join(links, "all", "pages"))).toBe(
    join(scene.mnt, ".snapshots", "all", "site", "pages"),
  )
  expect(() => mkdirSync(join(links, "new"))).toThrow("EROFS")
  expect(() => mkdirSync(links)).toThrow("EEXIST")
  await run("delete", "one", scene.mnt)
  expect(readdirSync(links)).toEqual(["all"])
  expect(existsSync(join(links, "one"))).toBe(false)
  const copy = join(scene.path, "copy")
  cpSync(workspace, copy, { recursive: true })
  expect(readdirSync(copy).sort()).toEqual(["index", "pages"])
  rmSync(workspace, { recursive: true })
  expect(existsSync(links)).toBe(false)
  mkdirSync(workspace)
  expect(readdirSync(links)).toEqual(["all"])
  await run("delete", "all", scene.mnt)
  mkdirSync(links)
  expect((await clawfs(["unmount", scene.mnt])).code).toBe(0)
})

test("a schedule makes one at once, and is told and removed", async () => {
  const { scene, workspace, snapshots } = await made()
  const say = async (...args: string[]): Promise<string> => said(await clawfs(["snapshot", ...args]), scene)
  expect(await say("schedule", "hourly", workspace, "--every", "1h", "--keep", "2")).toBe("exit 0")
  expect(readdirSync(snapshots)).toEqual([expect.stringMatching(/^hourly@/)])
  expect(await say("schedules", workspace)).toMatch(
    /^exit 0\nhourly: every 1h, keeps 2, next at .* \(UTC\), of \/workspaces\/site$/,
  )
  expect(await say("unschedule", "hourly", workspace)).toBe("exit 0")
  expect(await say("schedules", workspace)).toBe("exit 0")
  expect(await say("schedule", "h", workspace, "--every", "soon", "--keep", "2")).toContain("exit 64")
  expect(await say("schedule", "h", workspace, "--every", "1h")).toContain("exit 64")
  expect((await clawfs(["unmount", scene.mnt])).code).toBe(0)
})

test("what can't be done is said in one sentence", async () => {
  const { scene, workspace } = await made()
  const say = async (...args: string[]): Promise<string> => said(await clawfs(args), scene)
  expect(await say("snapshot", "create", "one", workspace)).toContain("exit 0")
  expect(await say("snapshot", "create", "one", workspace)).toBe(
    'exit 73\nclawfs: there is a snapshot "one" already\nhint: choose another name, or delete that one: clawfs snapshot delete NAME',
  )
  expect(await say("snapshot", "create", "../up", workspace)).toContain(
    "exit 65\nclawfs: a snapshot's name has",
  )
  expect(await say("snapshot", "create", "x".repeat(129), workspace)).toContain(
    "exit 65\nclawfs: a snapshot's name has up to 128 letters",
  )
  expect(await say("snapshot", "create", "x".repeat(256), workspace)).toBe(
    "exit 65\nclawfs: name: it has more than 255 characters",
  )
  expect(await say("snapshot", "create", "two", join(workspace, "index"))).toBe(
    "exit 65\nclawfs: only directories can be snapshotted",
  )
  expect(await say("snapshot", "create", "two", scene.path)).toContain("exit 66\nclawfs: ")
  expect(await say("snapshot", "delete", "two", scene.mnt)).toContain(
    'exit 66\nclawfs: there is no snapshot "two"',
  )
  expect(await say("snapshot", "create")).toContain("exit 64\nclawfs: snapshot: NAME is missing")
  expect(await say("snapshot", "make", "x")).toContain('exit 64\nclawfs: snapshot: there is no action "make"')
  expect((await clawfs(["unmount", scene.mnt])).code).toBe(0)
})
