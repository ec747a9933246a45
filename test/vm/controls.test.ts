/**
 * What holds tools where the kernel has all of it: AppArmor, control groups of version 2, the BPF LSM by the policy's lists. Run
 * in the virtual machine (`make test-vm`); what a kernel lacks is skipped, with the reason.
 */
import { chmodSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs"
import { release } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import type { SandboxStatus } from "../../schema/sandbox.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { skipIf } from "../helpers/requirements.ts"
import { controlOf, lastEvents } from "../tools/events.ts"
import { installTool, lastRecord, requireTools, runTool, runnerOf, untilToolsRun } from "../tools/tools.ts"

const MIB = 1024 * 1024

let mount: Mount
let denied: string
beforeAll(async () => {
  if (requireTools() !== undefined) return
  mount = await mountClawfs({ limitSeconds: 1200 })
  denied = join(mount.work, "denied")
  writeFileSync(denied, "not for tools")
  const policy = {
    monitor: { deny_files: [denied], exec_files: ["/bin/sh", "/usr/bin/dash", "/usr/bin/cat"] },
  }
  writeFileSync(join(mount.mountpoint, "system", "sandbox.json"), JSON.stringify(policy))
})
afterAll(async () => {
  if (requireTools() === undefined) await mount[Symbol.asyncDispose]()
})
beforeEach((context) => skipIf(context, requireTools()))

const named = (path: string): string => path.replace(mount.mountpoint, "/clawfs")
const script = (name: string, text: string, more: object = {}): Promise<void> =>
  installTool(
    mount,
    { tool_id: name, capabilities: ["process:spawn"], ...more },
    { script: `#!/bin/sh\n${text}` },
  )

test("every control is enforced here, so nothing below is skipped for want of one", async (context) => {
  skipIf(context, process.env["CLAWFS_VM"] === "1" ? undefined : "other machines lack some")
  await script("first", "exit 0")
  await untilToolsRun(mount, "first")
  const { stdout } = await mount.clawfsAnyway(["sandbox", "status", "--json", mount.mountpoint])
  const { controls } = JSON.parse(stdout) as SandboxStatus
  // Landlock of Linux 6.1 knows no ports.
  const isOld = release().startsWith("6.1.")
  const weaker = controls.filter(({ name, state }) => state !== "enforced" && !(isOld && name === "landlock"))
  // This machine's /usr is another machine's directory.
  expect(weaker).toEqual([
    expect.objectContaining({
      ...{ name: "io", state: "absent", detail: "/usr is on no disk that can be named" },
    }),
  ])
})

describe("AppArmor", () => {
  let isThere = false
  beforeAll(async () => {
    if (requireTools() !== undefined) return
    await script("confined", 'cat /proc/self/attr/current; cat "$1"; echo x > "$2"; exit 0')
    isThere = (await controlOf(mount, "apparmor")).state === "enforced"
  })
  beforeEach((context) => skipIf(context, isThere ? undefined : "no AppArmor here"))

  test("a tool runs under a profile of its own, and writes to the caller's files and pipes all the same", async () => {
    const piped = await runTool(mount, "confined", ["/etc/ld.so.cache", "/tmp/x"])
    expect([piped.code, piped.stdout]).toEqual([
      0,
      expect.stringMatching(/^clawfs-tool-\d+-\d+-[0-9a-f]{16} \(enforce\)\n/),
    ])
    const out = join(mount.scratch, "out")
    const command = `${join(mount.mountpoint, "tools", "bin", "confined")} /dev/null /tmp/x >"$0"`
    const redirected = await mount.exec("sh", ["-c", command, out])
    expect([redirected.code, redirected.stderr]).toEqual([0, ""])
    expect(readFileSync(out, "utf8")).toMatch(/^clawfs-tool-.* \(enforce\)\n$/)
  })

  test("a profile for one caller's files goes with the call, the tool's own with the runner", async () => {
    const own = runnerOf(await mount.serverPid())
    const loaded = (): string[] =>
      readFileSync("/sys/kernel/security/apparmor/profiles", "utf8")
        .split("\n")
        .filter((line) => line.startsWith(`clawfs-tool-${own}-`))
    const before = loaded().length
    await mount.exec("sh", [
      "-c",
      `${join(mount.mountpoint, "tools", "bin", "confined")} /dev/null /tmp/x >"$0"`,
      join(mount.scratch, "out-2"),
    ])
    await expect.poll(() => loaded().length).toBe(before)
    process.kill(own, "SIGKILL")
    // The next one takes longer to begin than a launcher waits, where the processor is emulated.
    await expect.poll(async () => (await runTool(mount, "confined", ["/dev/null", "/tmp/x"])).code).toBe(0)
    expect(loaded()).toEqual([])
  })

  test("sockets of the internet are denied by it to a tool without network, and that is told", async (context) => {
    await installTool(
      mount,
      { tool_id: "udp", capabilities: ["process:spawn"] },
      { script: "#!/bin/bash\nexec 3<>/dev/udp/127.0.0.1/53" },
    )
    const { stderr } = await runTool(mount, "udp")
    expect(stderr).toContain("Permission denied")
    const { state, detail } = await controlOf(mount, "ebpf")
    skipIf(context, state === "absent" ? detail : undefined)
    const sockets = (await lastEvents(mount)).filter(({ call }) => call === "socket")
    expect(sockets.map(({ type, layer, error }) => [type, layer, error])).toEqual([
      ["POLICY_VIOLATION", "permissions", "EACCES"],
    ])
  })
})

describe("control groups, version 2", () => {
  const groups = (pid: number): string[] =>
    readdirSync("/sys/fs/cgroup")
      .filter((name) => name.startsWith(`clawfs-${pid}-`))
      .map((name) => join("/sys/fs/cgroup", name))

  test("a run's limits are those of its manifest, within the totals of all", async (context) => {
    await script("limits", "exit 0", { memory_limit_mb: 32, cpu_quota_percent: 20, pids_limit: 8 })
    const { detail } = await controlOf(mount, "memory")
    skipIf(context, detail.includes("version 2") ? undefined : "the control groups are of version 1")
    expect((await runTool(mount, "limits")).code).toBe(0)
    const [base = ""] = groups(runnerOf(await mount.serverPid()))
    const value = (...path: string[]): string => readFileSync(join(base, ...path), "utf8").trim()
    expect([value("memory.max"), value("cpu.max"), value("pids.max")]).toEqual([
      String(2048 * MIB),
      "1000000 1000000",
      "1024",
    ])
    await expect.poll(() => readdirSync(base).some((name) => name.startsWith("run-"))).toBe(true)
    // Those that wait have the limits of the last tool; bubblewrap's own process is one more.
    const waiting = readdirSync(base).filter((name) => name.startsWith("run-"))
    await expect
      .poll(() => waiting.map((name) => value(name, "memory.max")))
      .toEqual(expect.arrayContaining([String(32 * MIB)]))
    const [run = ""] = waiting.filter((name) => value(name, "memory.max") === String(32 * MIB))
    expect([value(run, "cpu.max"), value(run, "pids.max"), value(run, "memory.swap.max")]).toEqual([
      "200000 1000000",
      "9",
      "0",
    ])
    expect(value(run, "memory.oom.group")).toBe("1")
    expect((await lastRecord(mount)).usage.cpu_us).toBeGreaterThan(0)
  })
})

describe("the policy's lists, by the BPF LSM", () => {
  let reason: string | undefined
  beforeAll(async () => {
    if (requireTools() !== undefined) return
    mkdirSync(join(mount.work, "open"), { recursive: true })
    chmodSync(join(mount.work, "open"), 0o777)
    const capabilities = ["process:spawn", `filesystem:read:${named(mount.work)}`]
    await script("lists", 'cat "$1/denied"; /usr/bin/id; echo "$?"', { capabilities })
    const { state, detail } = await controlOf(mount, "ebpf")
    reason = state === "enforced" ? undefined : detail
  })
  beforeEach((context) => skipIf(context, reason))

  test("a file of deny_files is not opened, granted as it is; a program that is not in exec_files does not start", async () => {
    const { stdout, stderr } = await runTool(mount, "lists", [mount.work])
    expect(stdout).toBe("126\n")
    expect(stderr).toContain("denied: Operation not permitted")
    expect(stderr).toMatch(/id: (Operation not permitted|Permission denied)/)
    const told = (await lastEvents(mount)).filter(({ layer }) => layer === "bpf-lsm")
    expect(told.map(({ file }) => file?.path)).toEqual([denied, "/usr/bin/id"])
  })
})

test("a machine that allows no user namespaces runs no tool, and says what would help", async (context) => {
  skipIf(context, process.env["CLAWFS_VM"] === "1" ? undefined : "it would be so for everybody here")
  const setting = "/proc/sys/user/max_user_namespaces"
  const before = readFileSync(setting)
  await script("anything", "exit 0")
  writeFileSync(setting, "0")
  try {
    // The next one tries again.
    process.kill(runnerOf(await mount.serverPid()), "SIGKILL")
    await expect
      .poll(async () => (await runTool(mount, "anything")).stderr)
      .toContain("this machine does not enforce what is required: namespaces")
    expect(await controlOf(mount, "namespaces")).toMatchObject({
      state: "absent",
      hint: "sysctl user.max_user_namespaces=10000",
    })
  } finally {
    writeFileSync(setting, before)
  }
})
