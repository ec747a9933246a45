/** On what the figures were taken. */
import { readFileSync } from "node:fs"
import { cpus, loadavg, release, totalmem } from "node:os"
import { run, sleep } from "./command.ts"
import { root } from "./paths.ts"

export interface Machine {
  readonly kernel: string
  readonly cpu: string
  readonly cores: number
  readonly memoryGB: number
  readonly load: number
  readonly node: string
  readonly cc: string
  readonly git: string
  readonly revision: string
}

const firstLineOf = async (...argv: string[]): Promise<string> => {
  try {
    return (await run(argv, { timeoutMs: 10_000 })).stdout.split("\n")[0] ?? ""
  } catch {
    return "unknown"
  }
}

export async function describeMachine(): Promise<Machine> {
  const cpu = cpus()
  return {
    kernel: release(),
    cpu: cpu[0]?.model ?? "unknown",
    cores: cpu.length,
    memoryGB: Math.round(totalmem() / 1e9),
    load: loadavg()[0] ?? 0,
    node: process.version,
    cc: await firstLineOf("cc", "--version"),
    git: await firstLineOf("git", "--version"),
    revision: await firstLineOf("git", "-C", root, "describe", "--always", "--dirty"),
  }
}

/** Jiffies that all CPUs spent on other than idling, and in total. */
function cpuTimes(): { busy: number; total: number } {
  const fields = (/^cpu\s+(.*)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1] ?? "").split(" ").map(Number)
  const total = fields.reduce((sum, value) => sum + value, 0)
  return { total, busy: total - (fields[3] ?? 0) - (fields[4] ?? 0) }
}

/** How busy the CPUs are while nothing of ours runs: above a few percent, somebody else is measured too. */
export async function busyPercent(milliseconds: number): Promise<number> {
  const before = cpuTimes()
  await sleep(milliseconds)
  const after = cpuTimes()
  return (100 * (after.busy - before.busy)) / Math.max(1, after.total - before.total)
}

/** Waits until the CPUs are nearly idle, as long as the patience lasts, and says how busy they are then. */
export async function waitForQuiet(patience: { seconds: number }): Promise<number> {
  for (;;) {
    const started = Date.now()
    const busy = await busyPercent(200)
    if (busy < 15 || patience.seconds <= 0) return busy
    await sleep(1000)
    patience.seconds -= (Date.now() - started) / 1000
  }
}
