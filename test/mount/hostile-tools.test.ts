/** A catalogue of attacks, each a real program in a tool's sandbox: each is held, and the daemon goes on. */
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { exec, waitUntil } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { skipIf } from "../helpers/requirements.ts"
import { ebpfControl, eventsOf } from "../tools/events.ts"
import {
  hostileProgram,
  installTool,
  lastRecord,
  leftovers,
  requireTools,
  runTool,
  runnerOf,
  toolPath,
} from "../tools/tools.ts"

const MIB = 1024 * 1024

let mount: Mount
/** What the tool may write; what lies beside it. */
let own: string
let other: string
const server = createServer((socket) => socket.destroy())
let port = 0

const specified = (path: string): string => path.replace(mount.mountpoint, "/clawfs")

async function install(name: string, more: object = {}): Promise<void> {
  const capabilities = ["process:spawn", `filesystem:write:${specified(own)}`]
  await installTool(mount, { tool_id: name, capabilities, ...more }, { path: await hostileProgram(mount) })
}

/** Of the runner, in the abstract namespace. */
const socketName = (): string => `clawfs-tools/${statSync(mount.mountpoint).dev}`

beforeAll(async () => {
  if (requireTools() !== undefined) return
  mount = await mountClawfs({ limitSeconds: 500 })
  ;[own, other] = [join(mount.work, "own"), join(mount.work, "other")]
  for (const path of [own, other]) mkdirSync(path)
  chmodSync(own, 0o777)
  writeFileSync(join(other, "note"), "not for the tool")
  const setuid = join(own, "setuid")
  copyFileSync(await hostileProgram(mount), setuid)
  chmodSync(setuid, 0o4755)
  await install("hostile")
  await new Promise<void>((resolve) => void server.listen(0, "::", resolve))
  port = (server.address() as { port: number }).port
})
afterAll(async () => {
  server.close()
  if (requireTools() === undefined) await mount[Symbol.asyncDispose]()
})
beforeEach((context) => skipIf(context, requireTools()))

/** Held: the attack itself says so, by name. */
const HELD: readonly (readonly [attack: string, argument?: () => string])[] = [
  ["read", () => "/etc/shadow"],
  ["read", () => "/root/.ssh/id_ed25519"],
  ["read", () => join(other, "note")],
  ["read", () => specified(join(other, "note"))],
  ["read", () => join(own, "..", "other", "note")],
  ["list", () => join(mount.mountpoint, "vault")],
  ["list", () => mount.store],
  ["list", () => "/home"],
  ["list", () => "/sys/fs/cgroup"],
  ["read", () => "/proc/1/root/etc/shadow"],
  ["read", () => `/proc/${process.pid}/environ`],
  ["read", () => "/proc/keys"],
  ["read", () => "/proc/kcore"],
  ["read", () => "/dev/vda"],
  ["read", () => "/dev/fuse"],
  ["write", () => "/proc/sys/kernel/core_pattern"],
  ["write", () => "/proc/sysrq-trigger"],
  ["write", () => "/usr/bin/new"],
  ["write", () => "/new"],
  ["write", () => "/dev/new"],
  ["write", () => "/run/tool/hostile"],
  ["overwrite-self"],
  ["by-handle"],
  ["link-out", () => own],
  ["become-root"],
  ["run-setuid", () => join(own, "setuid")],
  ["device"],
  ["new-user"],
  ["new-user-by-clone"],
  ["new-user-by-clone3"],
  ["enter-namespace"],
  ["mount"],
  ["mount-new-way"],
  ["unmount"],
  ["change-root"],
  ["trace"],
  ["other-memory"],
  ["keyring"],
  ["key"],
  ["ask-key"],
  ["uring"],
  ["bpf"],
  ["perf"],
  ["faults"],
  ["type-into-terminal"],
  ["type-with-high-bits"],
  ["paste"],
  ["raw-socket"],
  ["packet-socket"],
  ["netlink-socket"],
  ["vsock"],
  ["tcp", () => String(port)],
  ["tcp6", () => String(port)],
  ["mptcp", () => String(port)],
  ["internet"],
  ["dns"],
  ["from-5432"],
  ["abstract-socket", () => socketName()],
  ["other-architecture"],
  ["descriptors"],
]

/** They look and try nothing: there is nothing to be told. */
const SILENT: ReadonlySet<string> = new Set(["descriptors"])
const runs: [attack: string, run: string][] = []

describe("held", () => {
  test.each(HELD.map(([attack, argument], at) => [`${at} ${attack}`, attack, argument] as const))(
    "%s",
    async (_title, attack, argument) => {
      const { code, stdout, stderr } = await runTool(mount, "hostile", [attack, argument?.() ?? ""])
      expect([code, stdout, stderr]).toEqual([0, expect.not.stringContaining("ESCAPED"), ""])
      runs.push([attack, lastRecord(mount).run_id])
    },
  )

  test("each has left an event that names the run: what was tried, and that it was not granted", async (context) => {
    const { state, detail } = await ebpfControl(mount)
    skipIf(context, state === "absent" ? `no monitor here: ${detail}` : undefined)
    const events = await eventsOf(mount, "--tool", "hostile")
    const tried = (id: string): string[] =>
      events
        .filter(
          ({ run, error, process, anomaly }) =>
            run === id && (error ?? process?.signal ?? anomaly) !== undefined,
        )
        .map(({ file, network, call, process }) =>
          file === undefined ? (network?.address ?? call ?? `signal ${process?.signal ?? ""}`) : file.path,
        )
    const without = runs.filter(([attack]) => !SILENT.has(attack)).filter(([, id]) => tried(id).length === 0)
    expect(without).toEqual([])
    expect(runs.length).toBe(HELD.length)
    expect(tried(runs.find(([attack]) => attack === "mount")?.[1] ?? "")).toContain("mount")
    expect(tried(runs.find(([attack]) => attack === "internet")?.[1] ?? "")).toContain("1.1.1.1")
    expect(tried(runs.find(([attack]) => attack === "read")?.[1] ?? "")).toContain("/etc/shadow")
  })
})

test("each attack that is held here gets through outside of a sandbox, or this test would prove nothing", async () => {
  const program = await hostileProgram(mount)
  const works = ["read", "list", "abstract-socket", "tcp", "keyring", "become-root", "fork-once"]
  const words = [
    ["read", "/etc/shadow"],
    ["list", "/home"],
    ["abstract-socket", socketName()],
    ["tcp", String(port)],
    ["keyring"],
    ["become-root"],
    ["fork-once"],
  ]
  const codes = await Promise.all(words.map(async (args) => (await exec(program, args)).code))
  expect(codes).toEqual(works.map(() => 1))
})

describe("limits", () => {
  test("a fork bomb ends at the limit, and the record counts", async () => {
    const { code, stdout } = await runTool(mount, "hostile", ["fork-bomb"])
    // bubblewrap's own process is one of the sixteen, the bomb itself another.
    expect([code, stdout]).toEqual([0, "14 Resource temporarily unavailable\n"])
    expect(lastRecord(mount).usage.pids_refused).toBeGreaterThan(0)
  })

  test("without process:spawn there is no other process, and no filter that lets one be", async () => {
    await install("alone", { capabilities: [] })
    const { code, stdout } = await runTool(mount, "alone", ["fork-once"])
    expect([code, stdout]).toEqual([0, "held: Operation not permitted\n"])
  })

  test("a memory bomb is killed, and its record says why", async () => {
    const { code, stderr } = await runTool(mount, "hostile", ["memory-bomb"])
    expect([code, stderr]).toEqual([
      137,
      "clawfs: hostile: it needed more than 64 MiB of memory and was killed\n",
    ])
    const { reason, usage } = lastRecord(mount)
    expect(reason).toBe("OOM")
    expect(usage.memory_peak_bytes).toBeLessThanOrEqual(64 * MIB)
  })

  test.each(["/tmp", "/dev/shm"])("%s holds what it may and no more", async (place) => {
    const { code, stdout } = await runTool(mount, "hostile", ["fill", place])
    expect([code, stdout]).toEqual([0, `${16 * MIB} No space left on device\n`])
  })

  test("files without contents take memory too", async () => {
    const { code, stdout } = await runTool(mount, "hostile", ["inode-bomb"])
    expect(stdout).not.toContain("ESCAPED")
    expect(code === 137 || stdout.includes("No space left")).toBe(true)
  })

  test("a loop gets its share of a processor, and its time", async () => {
    await install("spinner", { timeout_seconds: 3 })
    expect((await runTool(mount, "spinner", ["spin"])).code).toBe(124)
    const { usage, duration_ms } = lastRecord(mount)
    // Ten in a hundred, and what is left of the period that has begun.
    expect(usage.cpu_us).toBeLessThan(700_000)
    expect(duration_ms).toBeGreaterThanOrEqual(3000)
  })

  test("a flood of output passes by the daemon", async () => {
    const runner = runnerOf(await mount.serverPid())
    const kilobytes = (): number =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${runner}/status`, "utf8"))?.[1])
    const before = kilobytes()
    const pipe = await exec("sh", ["-c", '"$0" flood | wc -c', toolPath(mount, "hostile")])
    expect(pipe.stdout.trim()).toBe(String(64 * MIB))
    expect(kilobytes() - before).toBeLessThan(32 * 1024)
  })
})

describe("what stays", () => {
  test("a process that leaves its parents ends with the tool", async () => {
    const runner = runnerOf(await mount.serverPid())
    const { code } = await runTool(mount, "hostile", ["stay"])
    expect(code).toBe(0)
    expect(await waitUntil(() => leftovers(runner).length === 0, 30_000)).toBe(true)
  })

  test("no core dump is left where the tool may write", async () => {
    const before = readdirSync(own)
    const { code } = await runTool(mount, "hostile", ["dump-core"], { cwd: own })
    expect(code).toBe(134)
    expect(readdirSync(own)).toEqual(before)
  })

  test("a tool that kills all it can see kills itself alone", async () => {
    expect((await runTool(mount, "hostile", ["kill-all"])).code).toBe(0)
    expect((await runTool(mount, "hostile", ["identity"])).code).toBe(0)
  })
})

describe("before it begins", () => {
  test("a link in the place of a granted directory is not followed", async () => {
    const granted = join(mount.work, "granted")
    mkdirSync(granted)
    await install("linked", { capabilities: [`filesystem:write:${specified(granted)}`] })
    await exec("rmdir", [granted])
    symlinkSync(join(mount.mountpoint, "vault"), granted)
    const { code, stderr } = await runTool(mount, "linked", ["list", granted])
    expect([code, stderr]).toEqual([
      126,
      `clawfs: linked: the granted path ${specified(granted)} (write) can't be opened: it leads through a link, or another mount is there\n`,
    ])
    expect(lastRecord(mount)).toMatchObject({ reason: "NOT_STARTED", exit_status: 126 })
  })

  test("a directory as a standard descriptor is refused: it would lead out", async () => {
    const { code, stderr } = await mount.exec("sh", ["-c", '"$0" identity 0</', toolPath(mount, "hostile")])
    expect([code, stderr]).toEqual([126, "clawfs: hostile: stdin is a directory\n"])
  })

  test("who has not the file of a tool can't run it at the socket", async () => {
    const program = await hostileProgram(mount)
    const forged = await exec(program, ["forge", socketName(), "hostile"])
    expect([forged.code, forged.stdout]).toEqual([0, "status 126\n"])
    const unknown = await exec(program, ["forge", socketName(), "no-such-tool"])
    expect([unknown.code, unknown.stdout]).toEqual([0, "status 127\n"])
  })

  test("whatever is said at the socket, the runner goes on", async () => {
    const program = await hostileProgram(mount)
    const runner = runnerOf(await mount.serverPid())
    const header = Buffer.alloc(32)
    header.writeUInt32LE(0x54574c43, 0)
    header.writeUInt32LE(1, 4)
    for (const bytes of [header, Buffer.alloc(32), Buffer.from("short"), Buffer.alloc(10_000, 0xff)]) {
      const { code, stdout } = await exec(program, ["talk", socketName(), bytes.toString("hex")])
      expect([code, stdout]).toEqual([0, "0 bytes\n"])
    }
    expect((await runTool(mount, "hostile", ["identity"])).code).toBe(0)
    expect(runnerOf(await mount.serverPid())).toBe(runner)
  })
})

test("what a tool writes beside its granted directory stays in its sandbox", async () => {
  const { stdout } = await runTool(mount, "hostile", ["write", join(own, "..", "new")])
  expect(stdout).not.toBe("")
  expect(readdirSync(mount.work)).not.toContain("new")
})

test("all this has left nothing", async () => {
  const runner = runnerOf(await mount.serverPid())
  expect(await waitUntil(() => leftovers(runner).length === 0, 30_000)).toBe(true)
})
