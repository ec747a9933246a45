/**
 * `make bench-sandbox`: how long it takes to run /bin/true as a tool, next to a bare spawn, bubblewrap with the same
 * namespaces, crun and sandbox-runtime where they are installed. One after the other in turn, so that what slows the machine
 * down slows all; in between a pause, in which ClawFS makes what the next call finds ready, or else everybody would pay for it.
 * Calls without a pause are rows of their own, and what the filter costs a system call.
 *
 *   node build/bench/sandbox/main.js [--rounds N] [--pause MS] [--dir DIR] [--json FILE]
 */
import { spawn, spawnSync } from "node:child_process"
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { loadavg } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { describeMachine } from "../machine.ts"
import { summarize } from "../samples.ts"
import { prepareCrun, type Crun } from "./crun.ts"
import { filterCosts } from "./filter.ts"
import { prepareSrt } from "./srt.ts"

const PROGRAM = "/usr/bin/true"
const NOBODY = 65_534
const WARM_UP = 5
/** Through tools/bin, with control groups, filter and record: against bubblewrap alone, and in milliseconds. */
const GOALS = { ratio: 1.6, coldMs: 12, warmMs: 5, waitingKib: 3 * 1024, filterNs: 15 } as const

type Argv = readonly string[]
/** What is made for each time counts. */
type Target = readonly [name: string, argv: Argv | (() => Promise<Argv>), asNobody: boolean]

const NAMESPACES = [
  ...[
    "--unshare-all",
    "--unshare-user",
    "--disable-userns",
    "--uid",
    String(NOBODY),
    "--gid",
    String(NOBODY),
  ],
  ...["--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv"],
]
const ROOT = [
  ...["--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"],
  ...["--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"],
]

function clawfs(...args: string[]): string {
  const main = fileURLToPath(new URL("../../../dist/clawfs/cli/main.js", import.meta.url))
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: "utf8" })
  if (status !== 0) throw new Error(`clawfs ${args.join(" ")}: ${stderr}`)
  return stdout
}

/** A mount with the program as a tool, of which so many sandboxes wait for a call. */
function prepareTool(directory: string, waiting: number): string {
  const [store, mountpoint, tool] = ["store", "mnt", "tool"].map((name) =>
    join(directory, `${name}-${waiting}`),
  ) as [string, string, string]
  for (const path of [mountpoint, tool]) mkdirSync(path)
  copyFileSync(PROGRAM, join(tool, "entry"))
  const manifest = {
    tool_id: "true",
    version: "1.0.0",
    kind: "native",
    entry: "entry",
    cpu_quota_percent: 100,
  }
  writeFileSync(join(tool, "tool.json"), JSON.stringify(manifest))
  clawfs("init", store)
  clawfs("mount", store, mountpoint)
  writeFileSync(join(mountpoint, "system", "sandbox.json"), JSON.stringify({ waiting }))
  clawfs("tool", "install", tool, "--mount", mountpoint)
  return mountpoint
}

function crunAndItsWay({ name, argv, through }: Crun): Target[] {
  const way: Target[] = through.length === 0 ? [] : [["nsenter alone", [...through, PROGRAM], false]]
  return [[name, argv, false], ...way]
}

async function timed([name, argv, asNobody]: Target): Promise<number> {
  const user = asNobody && process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}
  const start = performance.now()
  const [program = "", ...args] = typeof argv === "function" ? await argv() : argv
  return await new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"], cwd: "/", ...user })
    child.once("error", reject)
    child.once("exit", (code) =>
      code === 0
        ? resolve(performance.now() - start)
        : reject(new Error(`${name}: exit ${code ?? "by a signal"}`)),
    )
  })
}

interface Waiting {
  /** Of the processes that wait to become a sandbox, in KiB that belong to them alone. */
  readonly processes: readonly number[]
  /** Of the sandboxes that wait for a call: three processes each. */
  readonly sandboxes: readonly number[]
}

function waitingKib(): Waiting {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => ({ pid, comm: textOf(`/proc/${pid}/comm`).trim(), parent: parentOf(pid) }))
  const named = (pid: string | undefined, comm: string): boolean =>
    all.some((each) => each.pid === pid && each.comm === comm)
  const firsts = all.filter(({ comm, parent }) => comm === "bwrap" && named(parent, "bwrap"))
  return {
    processes: all.filter(({ comm }) => comm === "clawfs-ready").map(({ pid }) => privateKib(pid)),
    sandboxes: firsts.map(({ pid, parent }) =>
      [parent, pid, ...all.filter((each) => each.parent === pid).map((each) => each.pid)]
        .map(privateKib)
        .reduce((sum, kib) => sum + kib, 0),
    ),
  }
}

function privateKib(pid: string): number {
  const text = textOf(`/proc/${pid}/smaps_rollup`)
  return [...text.matchAll(/^Private_\w+:\s+(\d+) kB/gm)].reduce((sum, [, kib]) => sum + Number(kib), 0)
}

function parentOf(pid: string): string {
  return /^PPid:\s+(\d+)/m.exec(textOf(`/proc/${pid}/status`))?.[1] ?? ""
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1")
  } catch {
    // It has just ended.
    return ""
  }
}

/** Busy: a processor that sleeps would be paid for by the next. */
async function paused(ms: number): Promise<void> {
  for (const end = performance.now() + ms; performance.now() < end;)
    await new Promise((resolve) => setImmediate(resolve))
}

async function measure(
  targets: readonly Target[],
  rounds: number,
  pauseMs: number,
): Promise<Map<string, number[]>> {
  const times = new Map(targets.map(([name]) => [name, [] as number[]]))
  for (let round = -WARM_UP; round < rounds; round += 1)
    for (const target of targets) {
      await paused(pauseMs)
      const ms = await timed(target)
      if (round >= 0) times.get(target[0])?.push(ms)
    }
  return times
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "100" },
      pause: { type: "string", default: "40" },
      dir: { type: "string", default: "/var/tmp" },
      json: { type: "string" },
    },
  })
  const directory = mkdtempSync(join(values.dir, "clawfs-bench-sandbox-"))
  const machine = await describeMachine()
  process.stdout.write(
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}; load ${loadavg()[0]?.toFixed(1) ?? "?"}\n`,
  )
  const mountpoints: string[] = []
  const rounds = Number(values.rounds)
  const srt = await prepareSrt()
  const crun = await prepareCrun(directory, PROGRAM)
  try {
    if (typeof srt === "string") process.stdout.write(`MISSING  ${srt}\n`)
    for (const waiting of [2, 0]) mountpoints.push(prepareTool(directory, waiting))
    if (typeof crun === "string") process.stdout.write(`MISSING  ${crun}\n`)
    const [warm, cold] = ["a sandbox waits", "none waits"].map((how, at): Target => [
      `tools/bin/true, ${how}`,
      [join(mountpoints[at] ?? "", "tools", "bin", "true")],
      false,
    ]) as [Target, Target]
    const bwrap: Target = ["bubblewrap alone", ["bwrap", ...NAMESPACES, ...ROOT, "--", PROGRAM], true]
    const targets: Target[] = [
      ["spawn alone", [PROGRAM], false],
      bwrap,
      ...(typeof crun === "string" ? [] : crunAndItsWay(crun)),
      ...(typeof srt === "string" ? [] : [["sandbox-runtime", () => srt.argv(PROGRAM), false] as const]),
      warm,
      cold,
    ]
    const times = await measure(targets, rounds, Number(values.pause))
    const inARow = [warm, cold].map(([name, ...more]): Target => [`${name}, no pause`, ...more])
    for (const target of inARow)
      for (const [name, all] of await measure([target], rounds, 0)) times.set(name, all)
    const waiting = waitingKib()
    const rows = [...times].map(([name, all]) => ({ name, ...summarize(all), all }))
    const medianOf = ([name]: Target): number => rows.find((row) => row.name === name)?.median ?? Number.NaN
    const [own, alone] = [medianOf(warm), medianOf(bwrap)]
    process.stdout.write(`${"ms".padEnd(34)}  median     min     max   it / bubblewrap\n`)
    for (const { name, median = 0, min = 0, max = 0 } of rows)
      process.stdout.write(
        `${name.padEnd(34)}${[median, min, max].map((ms) => ms.toFixed(2).padStart(8)).join("")}${(median / alone).toFixed(2).padStart(18)}\n`,
      )
    const goal = (what: string, value: number, most: number): void => {
      const verdict = value <= most ? "met" : "MISSED"
      process.stdout.write(`goal ${what}: ${value.toFixed(2)} of ${most}: ${verdict}\n`)
    }
    goal("warm, ms", own, GOALS.warmMs)
    goal("cold, ms", medianOf(cold), GOALS.coldMs)
    goal("warm, times bubblewrap", own / alone, GOALS.ratio)
    goal("cold, times bubblewrap", medianOf(cold) / alone, GOALS.ratio)
    goal("KiB of a sandbox that waits", Math.max(...waiting.sandboxes), GOALS.waitingKib)
    const isolated = [...NAMESPACES, ...ROOT]
    const compile = (name: string, output: string): void => {
      const list = join(directory, `${name}.json`)
      writeFileSync(list, clawfs("seccomp", "print", name))
      clawfs("seccomp", "compile", list, "-o", output)
    }
    const costs = filterCosts(directory, isolated, compile, 9)
    const [without = 0, shortest = 0, filtered = 0] = [costs.without, costs.shortest, costs.filtered].map(
      (all) => summarize(all)?.median,
    )
    process.stdout.write(
      `getppid: ${without.toFixed(0)} ns without a filter, ${shortest.toFixed(0)} ns with one that allows everything, ${filtered.toFixed(0)} ns with that of tools\n`,
    )
    goal("ns of the filter a system call", filtered - without, GOALS.filterNs)
    process.stdout.write(`KiB of a process that waits: ${waiting.processes.join(", ")}\n`)
    if (values.json !== undefined)
      writeFileSync(
        values.json,
        `${JSON.stringify({ machine, load: loadavg(), rows, waiting }, undefined, 2)}\n`,
      )
  } finally {
    if (typeof srt !== "string") await srt[Symbol.asyncDispose]()
    if (typeof crun !== "string") crun[Symbol.dispose]()
    // On a busy machine a daemon may take longer to end than that waits: its mount is gone all the same.
    for (const mountpoint of mountpoints) spawnSync("umount", [mountpoint])
    rmSync(directory, { recursive: true, force: true })
  }
}

try {
  await main()
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
