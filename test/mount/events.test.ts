/** What tools do becomes events: all of it, attributed, and nothing else's. */
import { chmodSync, existsSync, mkdirSync, readdirSync, readlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { spawn } from "node:child_process"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import type { ToolEvent } from "../../schema/tool-event.ts"
import { exec, run, together, waitUntil } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { cli, skipIf } from "../helpers/requirements.ts"
import { repository } from "../helpers/programs.ts"
import { controlOf, ebpfControl, eventsOf, lastEvents } from "../tools/events.ts"
import {
  installTool,
  lastRecord,
  records,
  requireTools,
  runTool,
  runnerOf,
  untilRecorded,
  untilToolsRun,
} from "../tools/tools.ts"

let mount: Mount
let own: string
let missing: string | undefined
/** Opens and connections are seen by LSM hooks: before their outcome, with whole paths. */
let hasLsm = false
/** With TCP ports: asked before the monitor's hook, wherever both are, and before there is any way to be looked for. */
let hasLandlock = false

const specified = (path: string): string => path.replace(mount.mountpoint, "/clawfs")

/**
 * AppArmor would refuse the sockets before anything is seen of what they are for (test/vm has what becomes of that). What a run
 * may tell in a second is less than the slowest machine makes in one.
 */
function setPolicy(more: object = {}): void {
  const path = join(mount.mountpoint, "system", "sandbox.json")
  writeFileSync(path, JSON.stringify({ apparmor: "off", monitor: { records_per_second: 1000 }, ...more }))
}

async function script(name: string, text: string, more: object = {}): Promise<void> {
  const manifest = { tool_id: name, capabilities: ["process:spawn"], ...more }
  await installTool(mount, manifest, { script: `#!/bin/sh\n${text}` })
}

beforeAll(async () => {
  missing = requireTools()
  if (missing !== undefined) return
  mount = await mountClawfs({ limitSeconds: 300 })
  setPolicy()
  own = join(mount.work, "own")
  mkdirSync(own)
  chmodSync(own, 0o777)
  const program = join(mount.scratch, "golden")
  await run("cc", ["-static", "-O1", "-o", program, join(repository, "test", "tools", "golden.c")])
  const capabilities = ["process:spawn", `filesystem:write:${specified(own)}`]
  await installTool(mount, { tool_id: "golden", capabilities }, { path: program })
  await script("quiet", ":")
  await untilToolsRun(mount, "quiet")
  const { state, detail } = await ebpfControl(mount)
  if (state === "absent") missing = `no monitor here: ${detail}`
  hasLsm = state === "enforced"
  hasLandlock = (await controlOf(mount, "landlock")).state === "enforced"
})
afterAll(async () => {
  if (requireTools() === undefined) await mount[Symbol.asyncDispose]()
})
beforeEach((context) => skipIf(context, missing))

/** One event in a few words. */
function brief({ type, file, network, call, process, layer, error }: ToolEvent): string {
  const what =
    file !== undefined
      ? `${file.operation} ${file.path}`
      : network !== undefined
        ? `${network.protocol} ${network.direction} ${network.address} ${network.port}`
        : (call ??
          `${process?.name ?? ""} ${process?.child === undefined ? `${process?.status ?? ""}/${process?.signal ?? ""}` : "child"}`)
  return [type, what, layer, error].filter((word) => word !== undefined).join(" ")
}

test("a tool that does nothing has no violations, though its sandbox was made while it was watched", async () => {
  // More than may wait for calls.
  await together(Array.from({ length: 8 }, () => runTool(mount, "quiet")))
  await untilRecorded(mount)
  const all = records(mount).filter(({ tool_id }) => tool_id === "quiet")
  expect(all.length).toBeGreaterThanOrEqual(9)
  expect(all.map(({ events }) => events?.denials)).toEqual(all.map(() => 0))
})

test("a program's events are what it did, in that order", async () => {
  expect((await runTool(mount, "golden", [own])).code).toBe(7)
  const events = await lastEvents(mount)
  const begin = events.findIndex(({ file }) => file?.path === "/run/tool/golden")
  const main = events[begin]?.pid
  const whole = hasLsm ? `${own}/` : ""
  const lsm = (text: string): string => (hasLsm ? `${text} bpf-lsm EPERM` : `${text} network ENETUNREACH`)
  const tcp = (text: string): string => (hasLandlock ? `${text} permissions EACCES` : lsm(text))
  const unix = hasLsm ? "FILE_ACCESS WRITE @golden" : "FILE_ACCESS WRITE @golden ECONNREFUSED"
  const mine = events.filter(({ pid, anomaly }, at) => pid === main && at >= begin && anomaly === undefined)
  expect(mine.map(brief)).toEqual([
    "PROCESS_START EXECUTE /run/tool/golden",
    "FILE_ACCESS READ /usr/bin/true",
    `FILE_ACCESS ${hasLsm ? "CREATE" : "WRITE"} ${whole}golden.txt`,
    `FILE_ACCESS WRITE ${whole}golden.txt`,
    "FILE_ACCESS RENAME golden.txt",
    "FILE_ACCESS DELETE golden-2.txt",
    "FILE_ACCESS CREATE golden.d",
    "FILE_ACCESS DELETE golden.d",
    "FILE_ACCESS READ /no/such/golden ENOENT",
    "POLICY_VIOLATION WRITE /usr/golden mounts EROFS",
    tcp("POLICY_VIOLATION TCP OUTBOUND 192.0.2.1 80"),
    "NETWORK_ACCESS TCP INBOUND :: 4711",
    lsm("POLICY_VIOLATION UDP OUTBOUND 192.0.2.1 53"),
    unix,
    "POLICY_VIOLATION ptrace seccomp EPERM",
    "POLICY_VIOLATION mount seccomp EPERM",
    "POLICY_VIOLATION setuid seccomp EPERM",
    "PROCESS_START golden child",
    "PROCESS_START golden child",
    "PROCESS_EXIT golden 7/",
  ])
  const [first, second] = mine.flatMap(({ process }) => process?.child ?? [])
  const of = (pid: number | undefined): string[] => events.filter((each) => each.pid === pid).map(brief)
  expect(of(first)).toEqual(["PROCESS_START EXECUTE /proc/self/exe", "PROCESS_EXIT exe 7/"])
  expect(of(second)).toEqual(["PROCESS_EXIT golden /9"])
})

test("each event has its run and tool, the time that it was, and users and devices of the host", async () => {
  const before = Date.now()
  await runTool(mount, "golden", [own])
  const events = await lastEvents(mount)
  const { run_id, tool_id } = await lastRecord(mount)
  expect(new Set(events.map(({ run, tool }) => `${run} ${tool}`))).toEqual(new Set([`${run_id} ${tool_id}`]))
  for (const { time } of events) {
    expect(Date.parse(time)).toBeGreaterThanOrEqual(before - 50)
    expect(Date.parse(time)).toBeLessThanOrEqual(Date.now() + 50)
  }
  const order = events
    .filter(({ anomaly }) => anomaly === undefined)
    .map(({ monotonic_ns }) => BigInt(monotonic_ns))
  expect(order.some((each, at) => each < (order[at - 1] ?? 0n) - 1_000_000n)).toBe(false)
  expect(events.find(({ file }) => file?.path === "/run/tool/golden")?.file).toMatchObject({
    uid: 65_534,
    gid: 65_534,
  })
})

test("the record counts what the events tell", async () => {
  await runTool(mount, "golden", [own])
  const events = await lastEvents(mount)
  const { events: counts } = await lastRecord(mount)
  const told = events.filter(({ type }) => type !== "SYSCALL_ANOMALY" && type !== "THRESHOLD_EXCEEDED")
  const seconds = (some: (event: ToolEvent) => boolean): number => told.filter(some).length
  const denials = seconds(({ layer }) => layer !== undefined)
  const byLayer = Object.values(counts?.denials_by_layer ?? {}).reduce((sum, each) => sum + each, 0)
  expect(counts).toMatchObject({
    not_recorded: 0,
    programs_started: seconds(({ type, file }) => type === "PROCESS_START" && file !== undefined),
    processes_started: seconds(({ process }) => process?.child !== undefined),
    denials,
    // The third is Landlock's, before the monitor's hook.
    connections: hasLsm && hasLandlock ? 2 : 3,
    anomalies: events.length - told.length,
  })
  expect(byLayer).toBe(denials)
  // What ends after the tool's own program is read too.
  expect(counts?.recorded).toBeLessThanOrEqual(told.length)
  expect(counts?.recorded).toBeGreaterThanOrEqual(told.length - 3)
})

test("a flood is counted exactly, told as far as a run may, and another tool's events are all there", async () => {
  const made = 60_000
  await installTool(
    mount,
    { tool_id: "flood", capabilities: ["process:spawn"], cpu_quota_percent: 100 },
    { script: `#!/usr/bin/perl\nfor (1..${made}) { open(my $f, "<", "/usr/bin/true"); close($f) }` },
  )
  const flood = runTool(mount, "flood")
  expect((await runTool(mount, "golden", [own])).code).toBe(7)
  expect((await flood).code).toBe(0)
  await untilRecorded(mount)
  const all = records(mount)
  const [flooded, golden] = ["flood", "golden"].map(
    (name) => all.filter(({ tool_id }) => tool_id === name).at(-1)?.events,
  )
  expect(golden?.not_recorded).toBe(0)
  expect(flooded?.files_opened).toBeGreaterThanOrEqual(made)
  // The interpreter and its libraries.
  expect(flooded?.files_opened).toBeLessThan(made + 200)
  expect(flooded?.not_recorded).toBeGreaterThan(0)
  const sum = (flooded?.recorded ?? 0) + (flooded?.not_recorded ?? 0)
  expect(sum).toBeGreaterThanOrEqual(flooded?.files_opened ?? 0)
})

test("twenty tools at once: each event belongs to the run that made it", async () => {
  await script("named", 'cat "/no/$1" 2>/dev/null; sh -c "cat /no/$1" 2>/dev/null; :')
  const names = Array.from({ length: 20 }, (_, n) => `file-${n}-end`)
  const ran = await Promise.all(names.map((name) => runTool(mount, "named", [name])))
  expect(ran.map(({ code, stderr }) => [code, stderr])).toEqual(names.map(() => [0, ""]))
  const byRun = new Map<string, Set<string>>()
  for (const { run, file } of await eventsOf(mount, "--tool", "named"))
    if (file?.path.startsWith("/no/") === true) byRun.set(run, (byRun.get(run) ?? new Set()).add(file.path))
  const found = [...byRun.values()].map((paths) => [...paths])
  expect(found.map((paths) => paths.length)).toEqual(names.map(() => 1))
  expect(found.flat().sort()).toEqual(names.map((name) => `/no/${name}`).sort())
})

test("after many that end at once, the next is watched for as long as it runs", async () => {
  await script("late", "sleep 3; cat /no/such/late 2>/dev/null; :")
  await Promise.all(Array.from({ length: 20 }, () => runTool(mount, "quiet")))
  expect((await runTool(mount, "late")).code).toBe(0)
  const events = await lastEvents(mount)
  expect(events.map(({ file }) => file?.path)).toContain("/no/such/late")
})

test("programs outside of sandboxes make no events", async () => {
  const since = new Date().toISOString()
  await exec("cat", ["/no/such/file"])
  await mount.exec("ls", [mount.work])
  await runTool(mount, "quiet")
  const events = await eventsOf(mount, "--since", since)
  expect(new Set(events.map(({ tool }) => tool))).toEqual(new Set(["quiet"]))
})

test("rules and limits speak: the vault, another host, memory", async () => {
  await script("curious", `cat ${mount.mountpoint}/vault/secrets /clawfs/vault/x 2>/dev/null; :`)
  await runTool(mount, "curious")
  const vault = await lastEvents(mount, "--type", "SYSCALL_ANOMALY")
  expect(
    vault.map(({ anomaly }) => anomaly?.rule),
    JSON.stringify(await lastEvents(mount)),
  ).toEqual(["vault-access", "vault-access"])
  await runTool(mount, "golden", [own])
  const hosts = await lastEvents(mount, "--type", "SYSCALL_ANOMALY")
  expect(hosts.map(({ anomaly }) => anomaly?.detail)).toContain("TCP to 192.0.2.1, port 80")
  await script("sleepers", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do sleep 1.2 & done; wait")
  await runTool(mount, "sleepers")
  const limits = await lastEvents(mount, "--type", "THRESHOLD_EXCEEDED")
  expect(limits.map(({ threshold }) => threshold?.metric)).toContain("PID_COUNT")
})

test("follow shows what comes, until it is interrupted; a name can't steer the terminal", async () => {
  const follower = spawn(process.execPath, [cli, "events", "-f", "--tool", "odd", mount.mountpoint])
  let shown = ""
  follower.stdout.on("data", (chunk: Buffer) => (shown += chunk.toString()))
  const ended = new Promise<NodeJS.Signals | null>((resolve) =>
    follower.once("exit", (_code, signal) => resolve(signal)),
  )
  try {
    await script("odd", `cat "$(printf '/no/\\033[31mred')" 2>/dev/null; :`)
    await runTool(mount, "odd")
    expect(await waitUntil(() => shown.includes("READ /no/\\x1b[31mred (ENOENT)"), 30_000)).toBe(true)
    expect(shown).not.toContain("\u001b")
  } finally {
    follower.kill("SIGINT")
  }
  expect(await ended).toBe("SIGINT")
})

test("follow ends with its reader", async () => {
  const follow = `"$0" "$1" events -f "$2" | head -n 1`
  const ended = mount.exec("sh", ["-c", follow, process.execPath, cli, mount.mountpoint])
  const over = new AbortController()
  void ended.finally(() => over.abort())
  const isOver = async (): Promise<boolean> => {
    await runTool(mount, "golden", [own])
    return over.signal.aborted
  }
  expect(await waitUntil(isOver, 30_000)).toBe(true)
  expect((await ended).stdout.split("\n").length).toBe(2)
})

test("words that mean nothing are refused", async () => {
  const { code, stderr } = await mount.clawfsAnyway(["events", "--type", "NOTHING", mount.mountpoint])
  expect([code, stderr]).toEqual([64, expect.stringContaining('there is no type "NOTHING"')])
  const since = await mount.clawfsAnyway(["events", "--since", "soon", mount.mountpoint])
  expect([since.code, since.stderr]).toEqual([64, expect.stringContaining('"soon" is no time')])
})

test("what is required and not enforced keeps tools from running", async (context) => {
  skipIf(context, hasLsm ? "BPF LSM works here: the monitor is enforced" : undefined)
  setPolicy({ required: ["ebpf"] })
  try {
    const { code, stderr } = await runTool(mount, "quiet")
    expect([code, stderr]).toEqual([126, expect.stringContaining("does not enforce what is required: ebpf")])
  } finally {
    setPolicy()
  }
})

/** Whether a process has something of the kernel's BPF open. */
function hasBpf(pid: number): boolean {
  try {
    const directory = `/proc/${pid}/fd`
    return readdirSync(directory).some((fd) => readlinkSync(join(directory, fd)).includes("bpf"))
  } catch {
    // It has ended.
    return false
  }
}

test("nothing stays when the daemon is killed, and the next one watches again", async () => {
  const runner = runnerOf(await mount.serverPid())
  expect(hasBpf(runner)).toBe(true)
  process.kill(await mount.serverPid(), "SIGKILL")
  expect(await waitUntil(() => !existsSync(`/proc/${runner}`), 30_000)).toBe(true)
  await runTool(mount, "quiet")
  expect((await lastEvents(mount)).length).toBeGreaterThan(0)
})
