/** The daemon, its extractor and the launchers of tools run under lists of system calls of their own. */
import { readFileSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import type { SandboxStatus } from "../../schema/sandbox.ts"
import { launcherList } from "../../clawfs/seccomp/launcher-list.ts"
import { hasLibseccomp } from "../../clawfs/sys/libseccomp.ts"
import { waitUntil } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { requirePrograms, skipIf } from "../helpers/requirements.ts"
import { installTool, requireTools, runTool, toolPath } from "../tools/tools.ts"

const reason = requireTools() ?? (hasLibseccomp ? undefined : "needs libseccomp")

let mount: Mount
beforeAll(async () => {
  if (reason !== undefined) return
  mount = await mountClawfs({ limitSeconds: 120 })
  const script = { script: '#!/bin/sh\necho started\nexec sleep "$1"\n' }
  await installTool(mount, { tool_id: "waits", capabilities: ["process:spawn"] }, script)
})
afterAll(async () => {
  if (reason === undefined) await mount[Symbol.asyncDispose]()
})
beforeEach((context) => skipIf(context, reason))

/** A process as /proc has it; undefined for one that is gone. */
function statusOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/status`, "latin1")
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw thrown
  }
}

const fieldOf = (status: string, name: string): number =>
  Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1])

/** `pid` and all that descend from it. */
function family(pid: number): number[] {
  const parents = new Map<number, number>()
  for (const entry of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const status = statusOf(Number(entry))
    if (status !== undefined) parents.set(Number(entry), fieldOf(status, "PPid"))
  }
  const found = [pid]
  for (const each of found)
    found.push(...[...parents].filter(([, parent]) => parent === each).map(([child]) => child))
  return found
}

test("every process of the daemon, tools included, has its list, and status says so", async () => {
  await runTool(mount, "waits", ["0"])
  const processes = family(await mount.supervisorPid()).flatMap((pid) => statusOf(pid) ?? [])
  // Supervisor, server and runner at least.
  expect(processes.length).toBeGreaterThanOrEqual(3)
  expect([...new Set(processes.map((status) => fieldOf(status, "Seccomp")))]).toEqual([2])
  const { stdout } = await mount.clawfs(["sandbox", "status", "--json", mount.mountpoint])
  const { controls } = JSON.parse(stdout) as SandboxStatus
  expect(controls.find(({ name }) => name === "daemon")?.state).toBe("enforced")
})

test("a launcher that waits has its list, and can gain no privileges", async () => {
  const running = runTool(mount, "waits", ["2"])
  const launchers = (): string[] =>
    readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .flatMap((pid) => statusOf(Number(pid)) ?? [])
      .filter((status) => /^Name:\twaits$/m.test(status) && fieldOf(status, "Uid") === process.getuid?.())
  expect(await waitUntil(() => launchers().length > 0, 10_000)).toBe(true)
  expect(launchers().map((status) => [fieldOf(status, "Seccomp"), fieldOf(status, "NoNewPrivs")])).toEqual([
    [2, 1],
  ])
  await running
})

test("what a launcher does is what its list allows: a long text, a signal, an end", async (context) => {
  skipIf(context, requirePrograms("strace"))
  const path = toolPath(mount, "waits")
  // A shell that tells itself to end, and has become the launcher by then.
  const ended = '(sleep 0.5; kill -TERM $$) & exec "$0" 30'
  const traces = await Promise.all(
    [
      [path, "0", "x".repeat(100_000)],
      ["sh", "-c", ended, path],
    ].map(async (words, at) => {
      const file = join(mount.scratch, `trace-${at}`)
      await mount.exec("strace", ["-qq", "-o", file, ...words], { timeoutSeconds: 30 })
      const text = readFileSync(file, "latin1")
      return text.slice(text.indexOf(`execve("${path}"`))
    }),
  )
  const text = traces.join("")
  // The launcher tells the runner of SIGTERM, 15.
  expect(text).toContain(String.raw`sendto(3, "\17", 1,`)
  const calls = new Set([...text.matchAll(/^(\w+)\(/gm)].map(([, name]) => name ?? ""))
  const listed = new Set(launcherList().syscalls.map(({ name }) => name))
  // Before its list is in force it becomes the program, and looks at its descriptors.
  const before = new Set(["execve", "arch_prctl", "prlimit64", "prctl", "set_tid_address"])
  expect(calls.has("recvfrom")).toBe(true)
  expect([...calls].filter((name) => !listed.has(name) && !before.has(name))).toEqual([])
  expect(text).not.toMatch(/EPERM/)
})
