/**
 * What watching costs, and how fast events are read: `node build/bench/monitor/main.js [ROUNDS]`. The same client runs in turn
 * without the monitor, beside it, and watched by it; rounds are interleaved, medians of CPU time are compared.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { productModule } from "../paths.ts"

const root = fileURLToPath(new URL("../../..", import.meta.url))
const SOURCE = join(root, "bench/monitor/client.c")

/** Of what was built, as far as it is used here. */
interface Mark {
  readonly slot: number
  readonly run: number
  readonly flags: number
}
interface Program extends Disposable {
  readonly withoutLsm: string | undefined
  readonly ring: { readonly fd: number }
  mark(pidFd: number, mark: Mark, recordsPerSecond: number, group: undefined): void
  looksAtCalls: boolean
  counts(mark: Mark): { readonly sent: number; readonly dropped: number }
}
interface Ring extends Disposable {
  drain(most: number, onRecord: (bytes: Buffer, view: DataView, at: number, length: number) => void): number
}

const built = async (path: string): Promise<unknown> => await import(productModule(path))
const { MonitorProgram, RING_BYTES } = (await built("clawfs/monitor/program.js")) as {
  MonitorProgram: { load(hasGroups: boolean): Program | { readonly reason: string } }
  RING_BYTES: number
}
const { BpfRing } = (await built("clawfs/sys/bpf-ring.js")) as {
  BpfRing: new (fd: number, size: number) => Ring
}
const { ProcessHandle } = (await built("clawfs/sys/processes.js")) as {
  ProcessHandle: new (pid: number) => Disposable & { readonly fd: number }
}
const { readRecord } = (await built("schema/events.js")) as {
  readRecord: (bytes: Buffer, view: DataView, at: number, length: number) => object | undefined
}
const CALLS = { open: 200_000, getppid: 1_000_000 } as const
const FLOOD = 2_000_000
const TICK_MS = 5
/** Not ours: the client's. */
const CPU = 1
const GOALS = { bystanderPercent: 5, watchedNs: 300, eventsPerSecond: 500_000 } as const

type Call = keyof typeof CALLS
/** The monitor is not there; no tool runs; one runs, and it is not this one; it is this one. */
const STATES = ["off", "idle", "bystander", "watched"] as const
type State = (typeof STATES)[number]

let nextRun = 1

interface Cost {
  readonly cpu: number
  readonly elapsed: number
}

/** Nanoseconds of one call. */
async function measure(
  client: string,
  call: Call,
  calls: number,
  mark?: (pidFd: number) => void,
): Promise<Cost> {
  const child = spawn(client, [String(CPU), String(calls), call], { stdio: ["pipe", "pipe", "inherit"] })
  let text = ""
  const ready = new Promise((resolve) => child.stdout.once("data", resolve))
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()))
  const closed = new Promise((resolve) => child.once("close", resolve))
  await ready
  using handle = new ProcessHandle(child.pid ?? 0)
  mark?.(handle.fd)
  child.stdin.end("\n")
  await closed
  const [cpu = NaN, elapsed = NaN] = (text.split("\n")[1] ?? "").split(" ").map(Number)
  return { cpu, elapsed }
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN

function loaded(): Program {
  const program = MonitorProgram.load(false)
  if ("reason" in program) throw new Error(program.reason)
  return program
}

/** Reads and decodes as the monitor does; stops when it is disposed of. */
class Drain implements Disposable {
  readonly #ring: Ring
  readonly #timer: NodeJS.Timeout
  records = 0
  bytes = 0

  constructor(program: Program) {
    this.#ring = new BpfRing(program.ring.fd, RING_BYTES)
    this.#timer = setInterval(() => this.drain(), TICK_MS)
  }

  drain(): void {
    this.#ring.drain(Number.MAX_SAFE_INTEGER, (bytes, view, at, length) => {
      if (readRecord(bytes, view, at, length) !== undefined) this.records += 1
      this.bytes += length
    })
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#ring[Symbol.dispose]()
  }
}

/** CPU time: what others do on this machine does not count. */
async function inState(client: string, state: State, call: Call): Promise<number> {
  if (state === "off") return (await measure(client, call, CALLS[call])).cpu
  using program = loaded()
  if (state === "idle") return (await measure(client, call, CALLS[call])).cpu
  program.looksAtCalls = true
  if (state === "bystander") return (await measure(client, call, CALLS[call])).cpu
  using _ = new Drain(program)
  const mark = { slot: 0, run: nextRun++, flags: 0 }
  const cost = await measure(client, call, CALLS[call], (fd) => program.mark(fd, mark, 1e9, undefined))
  return cost.cpu
}

async function overhead(client: string, rounds: number): Promise<void> {
  for (const call of Object.keys(CALLS) as Call[]) {
    const times = new Map<State, number[]>(STATES.map((state) => [state, []]))
    for (let round = 0; round < rounds; round += 1)
      for (const state of STATES) times.get(state)?.push(await inState(client, state, call))
    const [off = NaN, idle = NaN, bystander = NaN, watched = NaN] = STATES.map((state) =>
      median(times.get(state) ?? []),
    )
    const percent = (100 * (bystander - off)) / off
    console.log(
      `${call === "open" ? "open + close" : call}: off ${off.toFixed(0)} ns, idle ${idle.toFixed(0)} ns, bystander ${bystander.toFixed(0)} ns (${percent.toFixed(1)} %` +
        `${call === "open" ? `, goal ≤ ${GOALS.bystanderPercent} %` : ""}), watched +${(watched - off).toFixed(0)} ns` +
        (call === "open" ? ` (goal ≤ ${GOALS.watchedNs})` : ""),
    )
  }
}

async function flood(client: string): Promise<void> {
  using program = loaded()
  program.looksAtCalls = true
  using drain = new Drain(program)
  const mark = { slot: 0, run: nextRun++, flags: 0 }
  const before = process.cpuUsage()
  const { elapsed } = await measure(client, "open", FLOOD, (fd) => program.mark(fd, mark, 1e9, undefined))
  drain.drain()
  const { sent, dropped } = program.counts(mark)
  const { user, system } = process.cpuUsage(before)
  const rate = 1e9 / elapsed
  console.log(
    `flood: ${FLOOD} opens at ${rate.toFixed(0)}/s, ${drain.records} records read and decoded (${(drain.bytes / drain.records).toFixed(0)} bytes and ${((user + system) / drain.records).toFixed(2)} µs of CPU each), ` +
      `${dropped} dropped of ${sent + dropped}, ring ${RING_BYTES} bytes (goal ≥ ${GOALS.eventsPerSecond}/s, 0 dropped)`,
  )
}

const directory = mkdtempSync(join(tmpdir(), "bench-monitor-"))
try {
  const client = join(directory, "client")
  const compiled = spawn("cc", ["-O2", "-o", client, SOURCE], { stdio: "inherit" })
  if ((await new Promise((resolve) => compiled.once("close", resolve))) !== 0) throw new Error("no client")
  {
    using program = loaded()
    console.log(program.withoutLsm === undefined ? "LSM hooks" : `tracepoints: ${program.withoutLsm}`)
  }
  await overhead(client, Number(process.argv[2] ?? 9))
  for (let round = 0; round < 3; round += 1) await flood(client)
} finally {
  rmSync(directory, { recursive: true })
}
