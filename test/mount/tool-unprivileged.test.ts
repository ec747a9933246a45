/** A daemon that is not root's: tools run, what is weaker is said, and what it can't do is refused. */
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import type { Control, SandboxStatus } from "../../schema/sandbox.ts"
import { exec, run, type Finished } from "../helpers/exec.ts"
import { repository } from "../helpers/programs.ts"
import { cli, requirePrograms, skipIf } from "../helpers/requirements.ts"
import { ATTACKS, expectHeld, listening, socketName, specified, type Ground } from "../tools/attacks.ts"
import { requireTools } from "../tools/tools.ts"

/** A user of every Debian, who may mount: fusermount3 wants a name. */
const USER = 1
const hasName = /^[^:]+:[^:]*:1:1:/m.test(readFileSync("/etc/passwd", "utf8"))

const missing =
  requireTools() ?? requirePrograms("setpriv", "fusermount3") ?? (hasName ? undefined : "there is no user 1")
let base = ""
let mountpoint = ""
let ground: Ground
let server: Awaited<ReturnType<typeof listening>> | undefined

const asUser = (command: string, ...args: string[]): Promise<Finished> =>
  exec("setpriv", [`--reuid=${USER}`, `--regid=${USER}`, "--clear-groups", command, ...args], {
    timeoutSeconds: 60,
    env: { ...process.env, HOME: base, XDG_RUNTIME_DIR: base },
  })
const clawfs = (...args: string[]): Promise<Finished> => asUser(process.execPath, cli, ...args)

async function install(name: string, more: object): Promise<Finished> {
  const directory = join(base, `tool-${name}`)
  mkdirSync(directory)
  copyFileSync(join(base, "program"), join(directory, "entry"))
  const manifest = { tool_id: name, version: "1.0.0", kind: "native", entry: "entry", ...more }
  writeFileSync(join(directory, "tool.json"), JSON.stringify(manifest))
  return await clawfs("tool", "install", directory, "--mount", mountpoint)
}

/** As `prepareGround`, by the user. There are no devices on users' mounts. */
async function prepare(store: string, port: number): Promise<Ground> {
  const work = join(mountpoint, "workspaces", "test")
  const [own, other] = [join(work, "own"), join(work, "other")]
  await asUser("mkdir", "-p", own, other)
  await asUser("cp", join(base, "program"), join(own, "setuid"))
  await asUser("chmod", "4755", join(own, "setuid"))
  await asUser("cp", "/etc/hostname", join(other, "note"))
  const device = (await asUser("stat", "-c", "%d", mountpoint)).stdout.trim()
  return { mountpoint, store, own, note: join(other, "note"), port, socket: socketName(device) }
}

beforeAll(async () => {
  if (missing !== undefined) return
  base = mkdtempSync(join(tmpdir(), "clawfs-unprivileged-"))
  chmodSync(base, 0o755)
  chownSync(base, USER, USER)
  mountpoint = join(base, "mount")
  const hostile = join(repository, "test", "tools", "hostile.c")
  await run("cc", ["-static", "-O1", "-o", join(base, "program"), hostile])
  await asUser("mkdir", mountpoint)
  const store = join(base, "store")
  for (const words of [
    ["init", store],
    ["mount", "--no-index", store, mountpoint],
  ])
    expect((await clawfs(...words)).stderr).not.toContain("can't")
  server = await listening()
  ground = await prepare(store, server.port)
  const capabilities = ["process:spawn", `filesystem:write:${specified(ground.own, ground)}`]
  expect((await install("hostile", { capabilities, pids_limit: 10 })).code).toBe(0)
})
afterAll(async () => {
  server?.close()
  if (missing !== undefined) return
  expect((await clawfs("unmount", mountpoint)).code).toBe(0)
  rmSync(base, { recursive: true })
})
beforeEach((context) => skipIf(context, missing))

const attack = (...words: string[]): Promise<Finished> =>
  asUser(join(mountpoint, "tools/bin/hostile"), ...words)

test("tools run, and are kept in: every attack is held as it is for root's daemon", async () => {
  for (const [name, argument] of ATTACKS) expectHeld(name, await attack(name, argument?.(ground) ?? ""))
})

test("processes are limited by the kernel's own count, memory for each process", async () => {
  const bomb = await attack("fork-bomb")
  expect([bomb.code, bomb.stdout]).toEqual([
    0,
    expect.stringMatching(/^\d Resource temporarily unavailable\n$/),
  ])
  expect((await attack("memory-bomb")).stdout).toBe("held: Cannot allocate memory\n")
})

test("the status says of each control what is weaker, and why", async () => {
  const { stdout } = await clawfs("sandbox", "status", "--json", mountpoint)
  const { controls, lacking } = JSON.parse(stdout) as SandboxStatus
  const control = (name: string): Control | undefined => controls.find((each) => each.name === name)
  expect(lacking).toEqual([])
  for (const name of ["namespaces", "nested-namespaces", "grants", "seccomp", "timeout"])
    expect(control(name)?.state).toBe("enforced")
  expect(control("identity")).toMatchObject({ state: "degraded", hint: "mount as root" })
  expect(control("memory")?.state).toBe("degraded")
  for (const name of ["cpu", "ebpf", "apparmor"]) expect(control(name)?.state).toBe("absent")
})

test("connections can't be granted: one sentence, and nothing has begun", async () => {
  expect((await install("online", { capabilities: ["network:outbound:127.0.0.1:5432"] })).code).toBe(0)
  const { code, stderr } = await asUser(join(mountpoint, "tools/bin/online"), "identity")
  expect([code, stderr]).toEqual([
    126,
    "clawfs: online: only root's daemon can grant network connections\nhint: mount as root\n",
  ])
})
