/** Has the states of a recording judged by several processes at once, and sums up. */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { availableParallelism } from "node:os"
import { basename, join } from "node:path"
import { run, together } from "../helpers/exec.ts"
import { program } from "../helpers/programs.ts"
import type { AftermathOrder } from "./aftermath.ts"
import type { Failure, JudgeOrder, Verdict } from "./judge.ts"
import { memoryDirectory } from "./memory-directory.ts"
import type { Recorded } from "./record.ts"

export interface Trial extends Omit<
  JudgeOrder,
  "recording" | "judge" | "judges" | "place" | "keep" | "failures"
> {
  readonly name: string
  readonly recorded: Recorded
  readonly failures?: number
}

/** Broken stores, and the recordings that they are of, are left in this directory. */
const keep = process.env["CLAWFS_TEST_CRASH_KEEP"]
const JUDGES = Math.min(availableParallelism(), 4)
const LIMIT_SECONDS = 3600

export async function judge({ name, recorded, failures = 3, ...trial }: Trial): Promise<Failure[]> {
  const started = performance.now()
  const source = program("test/crash/judge.ts")
  const kept = keep === undefined ? undefined : join(keep, basename(recorded.directory))
  const order = {
    ...trial,
    recording: recorded.directory,
    failures,
    ...(kept === undefined ? {} : { keep: kept }),
  }
  const verdicts = await together(
    Array.from({ length: JUDGES }, async (_, judge) => {
      const place = mkdtempSync(join(memoryDirectory, "clawfs-crash-"))
      const one: JudgeOrder = { ...order, judge, judges: JUDGES, place }
      const limit = { timeoutSeconds: LIMIT_SECONDS }
      try {
        return JSON.parse(
          (await run(process.execPath, [source, JSON.stringify(one)], limit)).stdout,
        ) as Verdict
      } finally {
        rmSync(place, { recursive: true, force: true })
      }
    }),
  )
  const sum = (of: (verdict: Verdict) => number): number =>
    verdicts.reduce((total, each) => total + of(each), 0)
  const found = verdicts.flatMap((verdict) => verdict.failures)
  const seconds = (performance.now() - started) / 1000
  console.log(
    `${name}: ${recorded.operations} operations, ${recorded.segments} segments recorded in ${recorded.seconds.toFixed(1)} s; ` +
      `${sum(({ states }) => states)} states at ${sum(({ moments }) => moments)} moments judged in ` +
      `${seconds.toFixed(1)} s, ${found.length} broken (seed ${trial.seed})`,
  )
  if (kept !== undefined && found.length > 0) {
    mkdirSync(kept, { recursive: true })
    cpSync(recorded.directory, join(kept, "recording"), { recursive: true })
  }
  return found
}

/** Returns what a start makes of the store: names with their digests. */
export async function putUpAftermath(order: AftermathOrder): Promise<[string, string][]> {
  const { stdout } = await run(process.execPath, [program("test/crash/aftermath.ts"), JSON.stringify(order)])
  return JSON.parse(stdout) as [string, string][]
}

/** Failures as text that a person can follow. */
export function told(failures: readonly Failure[]): string[] {
  return failures.map(({ moment, choice, broken, pending }) =>
    [
      `power cut after operation ${moment}, ${choice}:`,
      ...broken.map((each) => `  ${each}`),
      ...pending.slice(-60).map((each) => `    ${each}`),
    ].join("\n"),
  )
}
