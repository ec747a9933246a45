/**
 * A runner in short: starts sandboxes as that does, by the built code, one after the other, and kills itself so that each is
 * caught at another point of its start. Arguments: what to kill, how many milliseconds after the last was asked for, a word
 * that the processes are known by.
 *   runner: this process alone · both: its keeper as well · keeper: that first, this process when it notices
 */
import { openSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { compiledModules } from "../helpers/programs.ts"

type Modules = typeof import("../../clawfs/runner/keeper.ts") &
  typeof import("../../clawfs/runner/launch.ts") &
  typeof import("../../clawfs/runner/sandbox.ts") &
  typeof import("../../clawfs/runner/cgroup.ts") &
  typeof import("../../clawfs/runner/ready.ts") &
  typeof import("../../clawfs/seccomp/compile.ts") &
  typeof import("../../clawfs/seccomp/tool-list.ts") &
  typeof import("../../clawfs/core/log.ts")

const AT_ONCE = 6
const GAP_MS = 0.6

const built = async (name: string): Promise<object> =>
  (await import(pathToFileURL(join(compiledModules, "clawfs", `${name}.js`)).href)) as object

const names = [
  ...["keeper", "launch", "sandbox", "cgroup", "ready"].map((name) => `runner/${name}`),
  ...["seccomp/compile", "seccomp/tool-list", "core/log"],
]
const loaded = await Promise.all(names.map(built))
const { Keeper, Sandbox, memoryFileWith, Cgroups, Ready, compile, toolList, Log } = Object.assign(
  {},
  ...loaded,
) as Modules

const [what = "", delay = "0", word = ""] = process.argv.slice(2)
const limits = {
  memory_limit_mb: 64,
  cpu_quota_percent: 100,
  pids_limit: 16,
  timeout_seconds: 60,
  io_limit_mb: null,
}
const keeper = new Keeper("/usr/bin/bwrap", () => process.kill(process.pid, "SIGKILL"))
const ready = new Ready(
  keeper,
  new Cgroups({ ...limits, pids_limit: 100 }),
  new Log("test", { level: "error" }),
)
const nothing = openSync("/dev/null", "r+")
const tool = openSync("/bin/dash", "r")
const program = compile(toolList(true)).program

function begin(): void {
  const sandbox = new Sandbox({
    slot: ready.take(limits).slot,
    plan: {
      ...{ grants: [], network: [], link: undefined, secrets: [], maySpawn: true },
      ...{ environment: {}, limits, tmpBytes: 1024 * 1024 },
    },
    place: { mountpoint: "/clawfs", toolName: "t", scriptName: undefined },
    files: {
      ...{ terminal: undefined, tool, script: undefined, grants: [] },
      ...{ seccomp: memoryFileWith("seccomp", program), secrets: [] },
    },
    landlock: 0,
    ungrouped: { memory: false, pids: false },
  })
  sandbox.begin({
    ...{ stdio: [nothing, nothing, 2], environment: {}, directory: "/tmp" },
    command: ["/run/tool/t", "-c", "sleep 1000", word],
  })
}

/** Timers are too coarse; the event loop goes on. */
async function pause(ms: number): Promise<void> {
  for (const end = performance.now() + ms; performance.now() < end;)
    await new Promise((resolve) => setImmediate(resolve))
}

ready.fill()
// As long as the one that waits needs to be ready.
await pause(30)
for (let at = 0; at < AT_ONCE; at += 1) {
  begin()
  await pause(GAP_MS)
}
await pause(Number(delay))
if (what !== "runner" && keeper.pid !== undefined) process.kill(keeper.pid, "SIGKILL")
if (what !== "keeper") process.kill(process.pid, "SIGKILL")
