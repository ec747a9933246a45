/** Runs the load programs of test/model in processes of their own and judges what they report. */
import { expect } from "vitest"
import type { Report } from "../model/report.ts"
import type { ExecOptions } from "./exec.ts"
import type { Target } from "./mount.ts"
import { program } from "./programs.ts"

/** The base of all seeds; CLAWFS_TEST_SEED gives another one. */
export const seed = Number(process.env["CLAWFS_TEST_SEED"] ?? 1)

/** Runs a program such as "test/model/load.ts" to its end; its last line is its report. */
export async function loadReport(
  target: Target,
  source: string,
  args: readonly (string | number)[],
  options: ExecOptions = {},
): Promise<Report> {
  const { stdout } = await target.run(process.execPath, [program(source), ...args.map(String)], options)
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Report
}

/** Runs a program that fails by itself when something is wrong, and prints what it says. */
export async function runChecked(
  target: Target,
  source: string,
  args: readonly (string | number)[],
  options: ExecOptions = {},
): Promise<string> {
  const { stdout } = await target.run(process.execPath, [program(source), ...args.map(String)], options)
  return stdout.trim()
}

export function expectNoFailures(reports: readonly Report[]): void {
  expect(reports.flatMap(({ failures }) => failures)).toEqual([])
  for (const { operations } of reports) expect(operations).toBeGreaterThan(0)
}

/** One line for the log: how much was done and how long the longest operation took. */
export function summary(reports: readonly Report[]): string {
  const operations = reports.reduce((sum, report) => sum + report.operations, 0)
  const longest = reports.reduce((a, b) => (a.longestStallMs > b.longestStallMs ? a : b))
  const stalls = reports.reduce((sum, report) => sum + report.stalls, 0)
  return `${operations} operations, longest ${longest.longestStallMs} ms (${longest.longestStall}), ${stalls} over 50 ms`
}
