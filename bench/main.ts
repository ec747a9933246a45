/** `make bench`: starts the targets, runs the groups in interleaved rounds, prints and saves what came out. */
import { mkdirSync } from "node:fs"
import { setPriority } from "node:os"
import { parseArgs } from "node:util"
import { stopCommands, message, sleep } from "./command.ts"
import { prepareDisk } from "./disk.ts"
import { buildClient } from "./fixtures.ts"
import type { Bench, Failure, Group } from "./group.ts"
import { runGroup } from "./group.ts"
import { growth } from "./growth.ts"
import { busyPercent, describeMachine } from "./machine.ts"
import { memory, micro, sequential, small } from "./micro.ts"
import { Guard, claimWorkDir, ensureFusectl, removeWork, workDir } from "./mounts.ts"
import { source } from "./paths.ts"
import { files, git, npm } from "./programs.ts"
import { print, save } from "./report.ts"
import type { Report } from "./report.ts"
import { Samples, summarize } from "./samples.ts"
import type { TargetName } from "./targets.ts"
import { startTargets, targetNames } from "./targets.ts"

const usage = `usage: node build/bench/main.js [options]
  --quick          a look in under two minutes: smaller files, fewer rounds, no npm
  --rows A,B       only these groups or rows (micro, uncached.stat, hot, small, seq, git, grep, npm, files, growth, memory)
  --peers X,Y      only these besides ClawFS (${targetNames.slice(1).join(", ")})
  --rounds N       exactly N rounds of every group, however long they take
  --wait SECONDS   before rounds wait for a quiet machine, so long in all (default 0)
  --million        also 10^6 files: cost per operation and the server's memory
  --dir DIR        where the disk lies (default /var/tmp)
  --raw            work in DIR itself, not on an ext4 made for this run
  --json FILE      where to save (default bench/results/<date>.json)
`

interface Options {
  readonly isQuick: boolean
  readonly rows: readonly string[]
  readonly peers: readonly TargetName[]
  readonly rounds: number | undefined
  readonly waitSeconds: number
  readonly wantsMillion: boolean
  readonly dir: string
  readonly isRaw: boolean
  readonly json: string
}

const isTargetName = (name: string): name is TargetName => (targetNames as readonly string[]).includes(name)

function parsePeers(text: string | undefined): TargetName[] {
  if (text === undefined) return [...targetNames]
  const names = text.split(",")
  const peers = names.filter(isTargetName)
  const stranger = names.find((name) => !isTargetName(name))
  if (stranger !== undefined) throw new Error(`unknown peer "${stranger}", have ${targetNames.join(", ")}`)
  return ["clawfs", ...peers.filter((name) => name !== "clawfs")]
}

function parseCount(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1)
    throw new Error(`--${name} must be a positive integer, got "${text}"`)
  return count
}

function parseOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      quick: { type: "boolean", default: false },
      rows: { type: "string" },
      peers: { type: "string" },
      rounds: { type: "string" },
      wait: { type: "string" },
      million: { type: "boolean", default: false },
      dir: { type: "string", default: "/var/tmp" },
      raw: { type: "boolean", default: false },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  })
  if (values.help) return undefined
  const date = new Date()
    .toISOString()
    .replace(/\.\d+Z$/, "")
    .replaceAll(":", "-")
  return {
    isQuick: values.quick,
    rows: values.rows?.split(",") ?? [],
    peers: parsePeers(values.peers),
    rounds: parseCount("rounds", values.rounds),
    waitSeconds: parseCount("wait", values.wait) ?? 0,
    wantsMillion: values.million,
    dir: values.dir,
    isRaw: values.raw,
    json: values.json ?? source("results", `${date}.json`),
  }
}

const related = (row: string, wanted: string): boolean => row === wanted || row.startsWith(`${wanted}.`)

function selectGroups(options: Options): Group[] {
  const all = [
    memory(),
    micro(options),
    small(options),
    sequential(options),
    git(options),
    npm(options),
    files(options),
    growth(options),
  ]
  if (options.rows.length === 0) return all.filter(({ name }) => !(options.isQuick && name === "npm"))
  const selected = all.filter(({ name, rows }) =>
    options.rows.some(
      (wanted) => wanted === name || rows.some((row) => related(wanted, row) || related(row, wanted)),
    ),
  )
  if (selected.length === 0) throw new Error(`no such row: ${options.rows.join(", ")}`)
  return selected
}

/** Less than what is promised (15 and 2 minutes), because a round that has begun is finished. */
const fullSeconds = 800
const quickSeconds = 100

const note = (text: string): void => {
  process.stderr.write(`bench: ${text}\n`)
}

async function measure(options: Options, guard: Guard): Promise<Report> {
  const started = Date.now()
  const machine = await describeMachine()
  const busy: number[] = [await busyPercent(1000)]
  ensureFusectl(guard)
  const client = await buildClient()
  const disk = await prepareDisk(options.dir, options.isRaw)
  const { targets, missing } = await startTargets(options.peers, disk.path, guard)
  for (const [name, reason] of missing) note(`${name} is missing: ${reason}`)

  const bench: Bench = {
    client,
    disk: disk.path,
    guard,
    isQuick: options.isQuick,
    wantsMillion: options.wantsMillion,
  }
  const samples = new Samples()
  const failures: Failure[] = []
  const patience = { seconds: options.waitSeconds }
  const groups = selectGroups(options)
  let waiting = groups.reduce((sum, group) => sum + group.budgetSeconds, 0)
  for (const group of groups) {
    // A group may take its share of the time that is left: one that overran shortens those behind it.
    const waited = options.waitSeconds - Math.max(0, patience.seconds)
    const left = (options.isQuick ? quickSeconds : fullSeconds) + waited - (Date.now() - started) / 1000
    const secondsLeft = (left * group.budgetSeconds) / waiting
    waiting -= group.budgetSeconds
    const { rounds } = options
    failures.push(
      ...(await runGroup({ bench, group, targets, samples, rounds, note, busy, patience, secondsLeft })),
    )
  }
  const seconds = (Date.now() - started) / 1000
  return {
    machine,
    disk: disk.description,
    targets,
    missing,
    failures,
    samples,
    isQuick: options.isQuick,
    seconds,
    busyPercent: summarize(busy)?.median ?? 0,
  }
}

async function main(): Promise<number> {
  let options: Options | undefined
  try {
    options = parseOptions()
    if (options) selectGroups(options)
  } catch (error) {
    process.stderr.write(`bench: ${message(error)}\n${usage}`)
    return 64
  }
  if (!options) {
    process.stdout.write(usage)
    return 0
  }
  if (process.getuid?.() !== 0) {
    process.stderr.write("bench: must run as root: it mounts, and drops the kernel's caches\n")
    return 77
  }
  // Inherited by every client and server alike: other programs on the machine get in between less often.
  setPriority(-5)
  mkdirSync(options.dir, { recursive: true })
  try {
    claimWorkDir(options.dir)
  } catch (error) {
    note(message(error))
    return 75
  }
  const guard = new Guard()
  guard.add(() => removeWork(workDir(options.dir)))
  const interrupt = (signal: NodeJS.Signals): void => {
    note(`${signal}: cleaning up`)
    stopCommands()
    guard.release()
    // A moment to reap the servers: not every container has an init that would.
    setTimeout(() => process.exit(130), 300)
  }
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt)
  process.on("exit", () => guard.release())
  let report: Report
  try {
    report = await measure(options, guard)
  } finally {
    stopCommands()
    guard.release()
    await sleep(300)
  }
  print(report)
  save(report, options.json)
  return report.failures.some(({ target }) => target === "clawfs") ? 1 : 0
}

process.exitCode = await main()
