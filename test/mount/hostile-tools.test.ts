/** A catalogue of attacks, each a real program in a tool's sandbox: each is held, and the daemon goes on. */
import { mkdirSync, readFileSync, readdirSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { exec, waitUntil } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { skipIf } from "../helpers/requirements.ts"
import {
  ATTACKS,
  expectHeld,
  expectTold,
  installHostile,
  listening,
  prepareGround,
  specified,
  type Ground,
} from "../tools/attacks.ts"
import { ebpfControl } from "../tools/events.ts"
import {
  hostileProgram,
  lastRecord,
  leftovers,
  requireTools,
  runTool,
  runnerOf,
  toolPath,
} from "../tools/tools.ts"

const MIB = 1024 * 1024

let mount: Mount
let ground: Ground
let server: Awaited<ReturnType<typeof listening>> | undefined

const install = (name: string, more: object = {}): Promise<void> => installHostile(mount, name, ground, more)

beforeAll(async () => {
  if (requireTools() !== undefined) return
  mount = await mountClawfs({ limitSeconds: 500 })
  server = await listening()
  ground = await prepareGround(mount, server.port)
})
afterAll(async () => {
  server?.close()
  if (requireTools() === undefined) await mount[Symbol.asyncDispose]()
})
beforeEach((context) => skipIf(context, requireTools()))

const runs: [attack: string, run: string][] = []

describe("held", () => {
  test.each(ATTACKS.map(([attack, argument], at) => [`${at} ${attack}`, attack, argument] as const))(
    "%s",
    async (_title, attack, argument) => {
      expectHeld(attack, await runTool(mount, "hostile", [attack, argument?.(ground) ?? ""]))
      runs.push([attack, (await lastRecord(mount)).run_id])
    },
  )

  test("each has left an event that names the run: what was tried, and that it was not granted", async (context) => {
    const { state, detail } = await ebpfControl(mount)
    skipIf(context, state === "absent" ? `no monitor here: ${detail}` : undefined)
    await expectTold(mount, runs)
  })
})

test("each attack that is held here gets through outside of a sandbox, or this test would prove nothing", async () => {
  const program = await hostileProgram(mount)
  const works = ["read", "list", "abstract-socket", "tcp", "keyring", "become-root", "fork-once"]
  const words = [
    ["read", "/etc/shadow"],
    ["list", "/home"],
    ["abstract-socket", ground.socket],
    ["tcp", String(ground.port)],
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
    const { reason, usage } = await lastRecord(mount)
    expect(reason).toBe("PIDS")
    expect(usage.pids_refused).toBeGreaterThan(0)
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
    const { reason, usage } = await lastRecord(mount)
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
    const { usage, duration_ms } = await lastRecord(mount)
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

  test("what ignores signals and forks is gone when its time is over", async () => {
    const runner = runnerOf(await mount.serverPid())
    await install("patient", { timeout_seconds: 1 })
    const { code, stderr } = await runTool(mount, "patient", ["outlive"])
    expect([code, stderr]).toEqual([124, "clawfs: patient: it took longer than 1 s and was killed\n"])
    expect(await waitUntil(() => leftovers(runner).length === 0, 30_000)).toBe(true)
  })

  test("no core dump is left where the tool may write", async () => {
    const before = readdirSync(ground.own)
    const { code } = await runTool(mount, "hostile", ["dump-core"], { cwd: ground.own })
    expect(code).toBe(134)
    expect(readdirSync(ground.own)).toEqual(before)
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
    await install("linked", { capabilities: [`filesystem:write:${specified(granted, mount)}`] })
    await exec("rmdir", [granted])
    symlinkSync(join(mount.mountpoint, "vault"), granted)
    const { code, stderr } = await runTool(mount, "linked", ["list", granted])
    expect([code, stderr]).toEqual([
      126,
      `clawfs: linked: the granted path ${specified(granted, mount)} (write) can't be opened: it leads through a link, or another mount is there\n`,
    ])
    expect(await lastRecord(mount)).toMatchObject({ reason: "NOT_STARTED", exit_status: 126 })
  })

  test("a directory as a standard descriptor is refused: it would lead out", async () => {
    const { code, stderr } = await mount.exec("sh", ["-c", '"$0" identity 0</', toolPath(mount, "hostile")])
    expect([code, stderr]).toEqual([126, "clawfs: hostile: stdin is a directory\n"])
  })

  test("who has not the file of a tool can't run it at the socket", async () => {
    const program = await hostileProgram(mount)
    const forged = await exec(program, ["forge", ground.socket, "hostile"])
    expect([forged.code, forged.stdout]).toEqual([0, "status 126\n"])
    const unknown = await exec(program, ["forge", ground.socket, "no-such-tool"])
    expect([unknown.code, unknown.stdout]).toEqual([0, "status 127\n"])
  })

  test("whatever is said at the socket, the runner goes on", async () => {
    const program = await hostileProgram(mount)
    const runner = runnerOf(await mount.serverPid())
    const header = Buffer.alloc(32)
    header.writeUInt32LE(0x54574c43, 0)
    header.writeUInt32LE(1, 4)
    for (const bytes of [header, Buffer.alloc(32), Buffer.from("short"), Buffer.alloc(10_000, 0xff)]) {
      const { code, stdout } = await exec(program, ["talk", ground.socket, bytes.toString("hex")])
      expect([code, stdout]).toEqual([0, "0 bytes\n"])
    }
    expect((await runTool(mount, "hostile", ["identity"])).code).toBe(0)
    expect(runnerOf(await mount.serverPid())).toBe(runner)
  })
})

test("what a tool writes beside its granted directory stays in its sandbox", async () => {
  const { stdout } = await runTool(mount, "hostile", ["write", join(ground.own, "..", "new")])
  expect(stdout).not.toBe("")
  expect(readdirSync(mount.work)).not.toContain("new")
})

test("all this has left nothing", async () => {
  const runner = runnerOf(await mount.serverPid())
  expect(await waitUntil(() => leftovers(runner).length === 0, 30_000)).toBe(true)
})
