/** Tools for tests: made, installed and run on a mount as a user would, with what their sandboxes leave behind. */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { call } from "../../clawfs/api/client.ts"
import type { RunRecord } from "../../schema/run-record.ts"
import { run, waitUntil, type ExecOptions, type Finished } from "../helpers/exec.ts"
import type { Mount } from "../helpers/mount.ts"
import { repository } from "../helpers/programs.ts"
import { requireFuse, requirePrograms } from "../helpers/requirements.ts"

/** Of a launcher, when no daemon can be reached. */
const NO_RUNNER = 125

export const launcher = join(repository, "dist", "clawfs", "runner", "launcher")

/** The reason why no tool can be run here, or undefined. */
export function requireTools(): string | undefined {
  const missing = requireFuse() ?? requirePrograms("bwrap", "cc")
  if (missing !== undefined) return missing
  return existsSync(launcher) ? undefined : `${launcher} is not built: run scripts/build-native.sh`
}

export interface Manifest {
  readonly tool_id: string
  readonly version?: string
  readonly kind?: "native" | "script"
  readonly [field: string]: unknown
}

/** Runs on the mount's scratch directory: a tool whose file is `file`, or has the text `script`. */
export async function installTool(
  mount: Mount,
  manifest: Manifest,
  file: { readonly path: string } | { readonly script: string },
  ...options: string[]
): Promise<void> {
  const directory = join(mount.scratch, `${manifest.tool_id}-${manifest.version ?? "1.0.0"}`)
  mkdirSync(directory, { recursive: true })
  const entry = join(directory, "entry")
  if ("path" in file) copyFileSync(file.path, entry)
  else writeFileSync(entry, file.script)
  chmodSync(entry, 0o755)
  const kind = "path" in file ? "native" : "script"
  const whole = { version: "1.0.0", kind, entry: "entry", ...manifest }
  writeFileSync(join(directory, "tool.json"), JSON.stringify(whole))
  await mount.clawfs(["tool", "install", directory, "--mount", mount.mountpoint, ...options])
}

export function toolPath(mount: Mount, name: string): string {
  return join(mount.mountpoint, "tools", "bin", name)
}

/** Executes a tool's file, whatever its exit status. */
export function runTool(
  mount: Mount,
  name: string,
  args: readonly string[] = [],
  options: ExecOptions = {},
): Promise<Finished> {
  return mount.exec(toolPath(mount, name), args, { timeoutSeconds: 60, ...options })
}

/** Where the processor is emulated, the runner may take longer to begin than a launcher waits for it. */
export async function untilToolsRun(mount: Mount, name: string, ...args: string[]): Promise<void> {
  const runs = async (): Promise<boolean> => (await runTool(mount, name, args)).code !== NO_RUNNER
  if (!(await waitUntil(runs, 60_000))) throw new Error(`no tool can be run: ${mount.log()}`)
}

/** Compiles `test/tools/hostile.c`. */
export async function hostileProgram(mount: Mount): Promise<string> {
  const path = join(mount.scratch, "hostile")
  if (!existsSync(path))
    await run("cc", ["-static", "-O1", "-o", path, join(repository, "test", "tools", "hostile.c")])
  return path
}

/** The records of all runs, the oldest first. */
export function records(mount: Mount): RunRecord[] {
  const directory = join(mount.mountpoint, "system", "runs")
  return readdirSync(directory)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => JSON.parse(readFileSync(join(directory, name), "utf8")) as RunRecord)
}

export function newestRecord(mount: Mount): RunRecord {
  const newest = records(mount).at(-1)
  if (newest === undefined) throw new Error("there is no record")
  return newest
}

/** What is over is recorded then: callers are told a moment before. */
export async function untilRecorded(mount: Mount): Promise<void> {
  await call(mount.store, "tools.running")
}

/** Of the tool that was called last. */
export async function lastRecord(mount: Mount): Promise<RunRecord> {
  await untilRecorded(mount)
  return newestRecord(mount)
}

/** Sandboxes that wait for a call, unless the policy says another number (schema/sandbox.ts). */
export const MOST_WARM = 4

/** A process of the runner that waits for a tool (keeper.c), and the one that looks after all of them. */
const OWN_PROCESSES: readonly string[] = ["clawfs-ready", "clawfs-keeper"]

/**
 * What sandboxes of this mount's runner have left: processes, zombies included, and control groups of single runs; without
 * the processes and sandboxes, and their groups, that wait for a tool.
 */
export function leftovers(runner: number): string[] {
  const groups = ["", "memory", "cpu", "cpuacct", "pids"].flatMap((hierarchy) => {
    const directory = join("/sys/fs/cgroup", hierarchy)
    return groupsOf(directory, runner).flatMap((base) => directoriesIn(base))
  })
  const waiting = waitingIn(runner)
  const processes = processesBelow(runner)
    .filter(({ pid, comm }) => !OWN_PROCESSES.includes(comm) && !waiting.has(pid))
    .map(({ pid, comm }) => `process ${pid} ${comm}`)
  return [...groups.filter((group) => !isWaiting(group, waiting)), ...processes]
}

interface Process {
  readonly pid: number
  readonly comm: string
}

/** All that descend from `ancestor`. */
export function processesBelow(ancestor: number): Process[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && descendsFrom(Number(name), ancestor))
    .map((name) => ({ pid: Number(name), comm: wordIn(`/proc/${name}/comm`) }))
}

/** Of a sandbox that waits: bubblewrap's own, its first inside, and what becomes the tool's program. */
export const WAITING_PROCESSES = 3

/**
 * The processes of sandboxes that wait for a call, of which there may be so many. What a killed one has left has lost its first
 * process, or is one too many.
 */
export function waitingIn(runner: number): ReadonlySet<number> {
  const all = processesBelow(runner).map((each) => ({ ...each, parent: parentOf(each.pid) }))
  const below = (pid: number): Process[] => all.filter(({ parent }) => parent === pid)
  const keepers = all.filter(({ comm }) => comm === "clawfs-keeper").map(({ pid }) => pid)
  const sandboxes = all.flatMap(({ pid, comm, parent }) => {
    const [first, ...more] = below(pid)
    const isOuter = comm === "bwrap" && keepers.includes(parent) && first?.comm === "bwrap"
    if (!isOuter || more.length > 0) return []
    const [starter, ...others] = below(first.pid)
    const isWaiting = starter?.comm === "clawfs-waiting" && others.length === 0
    return isWaiting && below(starter.pid).length === 0 ? [[pid, first.pid, starter.pid]] : []
  })
  return new Set(sandboxes.slice(0, MOST_WARM).flat())
}

/** Whether a tool is still to come into a group. */
function isWaiting(group: string, waiting: ReadonlySet<number>): boolean {
  const pids = wordIn(join(group, "cgroup.procs")).split("\n")
  return pids.some((pid) => waiting.has(Number(pid)) || wordIn(`/proc/${pid}/comm`) === "clawfs-ready")
}

function wordIn(path: string): string {
  try {
    return readFileSync(path, "latin1").trim()
  } catch {
    // It has just ended.
    return ""
  }
}

function groupsOf(directory: string, runner: number): string[] {
  return directoriesIn(directory).filter((path) => path.startsWith(join(directory, `clawfs-${runner}-`)))
}

function directoriesIn(directory: string): string[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory, { withFileTypes: true })
    .filter((each) => each.isDirectory())
    .map(({ name }) => join(directory, name))
}

function parentOf(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1")
    return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[1])
  } catch {
    // It has just ended.
    return 0
  }
}

function descendsFrom(pid: number, ancestor: number): boolean {
  for (let at = parentOf(pid); at > 1; at = parentOf(at)) if (at === ancestor) return true
  return false
}

/** The process that runs this mount's tools. */
export function runnerOf(server: number): number {
  const found = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && parentOf(Number(name)) === server)
    .find((pid) => commandLineOf(pid).includes("runner-main.js"))
  if (found === undefined) throw new Error("no runner runs")
  return Number(found)
}

function commandLineOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1")
  } catch {
    // It has just ended.
    return ""
  }
}
