/** Prints the tables and writes the JSON. */
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import type { Failure } from "./group.ts"
import { unitOf } from "./goals.ts"
import type { Goal } from "./goals.ts"
import type { Machine } from "./machine.ts"
import type { Samples, Summary, Verdict } from "./samples.ts"
import { spread } from "./samples.ts"
import type { Target, TargetName } from "./targets.ts"

export interface Report {
  readonly machine: Machine
  readonly disk: string
  readonly targets: readonly Target[]
  readonly missing: ReadonlyMap<TargetName, string>
  readonly failures: readonly Failure[]
  readonly samples: Samples
  readonly isQuick: boolean
  readonly seconds: number
  readonly busyPercent: number
}

const rowWidth = 26
const columnWidth = 16

/** Three significant digits, without an exponent. */
export function digits(value: number): string {
  if (value === 0) return "0"
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toFixed(Math.min(decimals, 4))
}

const percent = (summary: Summary): string =>
  summary.rounds < 2 ? "once" : `±${(spread(summary) * 100).toFixed(0)}%`
const range = ({ min, max }: Summary): string => `${digits(min)}–${digits(max)}`
const limit = ({ atMost, atLeast }: Goal): string =>
  atMost === undefined ? `≥ ${atLeast ?? 0}` : `≤ ${atMost}`

export function verdictText({ goal, measured, isMet, isClear }: Verdict): string {
  const against = goal.against === "value" ? "" : ` × ${goal.against}`
  const word = isMet ? "met" : "MISSED"
  const doubt = isClear ? "" : ", not in every round"
  return `goal ${limit(goal)}${against}: ${digits(measured.median)} (${range(measured)}) ${word}${doubt}`
}

function cell(summary: Summary | undefined): string {
  return (summary ? `${digits(summary.median)} ${percent(summary)}` : "–").padStart(columnWidth)
}

/** The ratio ClawFS / peer; `~` marks noise. */
function ratioCell(samples: Samples, row: string, peer: TargetName): string {
  const comparison = samples.compare(row, peer)
  if (peer === "clawfs" || !comparison) return " ".repeat(columnWidth)
  return `${comparison.isSignal ? "" : "~"}${digits(comparison.ratio.median)} ×`.padStart(columnWidth)
}

export function printRow(samples: Samples, row: string, names: readonly TargetName[]): void {
  const medians = names.map((name) => cell(samples.summary(row, name))).join("")
  console.log(`${row.padEnd(rowWidth)}${unitOf(row).padEnd(6)}${medians}`)
  const ratios = names.map((name) => ratioCell(samples, row, name)).join("")
  const rounds = `  n = ${Math.max(...names.map((name) => samples.values(row, name).length))}`
  if (ratios.trim() !== "") console.log(`${rounds.padEnd(rowWidth + 6)}${ratios}`)
  const verdict = samples.verdict(row)
  if (verdict) console.log(`  ${verdictText(verdict)}`)
}

export function printHeader(names: readonly TargetName[]): void {
  console.log(
    `\n${"row".padEnd(rowWidth)}${"unit".padEnd(6)}${names.map((name) => name.padStart(columnWidth)).join("")}`,
  )
}

function printTable(report: Report, rows: readonly string[]): void {
  const names = report.targets.map((target) => target.name)
  const groups = new Set(rows.map((row) => row.split(".")[0] ?? ""))
  for (const group of groups) {
    const members = rows.filter((row) => row.split(".")[0] === group)
    const present = names.filter((name) => members.some((row) => report.samples.values(row, name).length > 0))
    printHeader(present)
    for (const row of members) printRow(report.samples, row, present)
  }
}

function printGoals(samples: Samples): void {
  const verdicts = samples.rows().flatMap((row) => {
    const verdict = samples.verdict(row)
    return verdict ? [{ row, verdict }] : []
  })
  if (verdicts.length === 0) return
  const met = verdicts.filter(({ verdict }) => verdict.isMet).length
  console.log(`\ngoals: ${met} of ${verdicts.length} met`)
  for (const { row, verdict } of verdicts) {
    if (!verdict.isMet || !verdict.isClear) console.log(`  ${row.padEnd(rowWidth)}${verdictText(verdict)}`)
  }
}

export function print(report: Report): void {
  const { machine } = report
  console.log(
    `\nmachine: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGB} GB, Linux ${machine.kernel}`,
  )
  console.log(`disk: ${report.disk}`)
  const noisy =
    report.busyPercent > 10 ? ": something else was measured too, believe only what is marked as signal" : ""
  console.log(
    `between rounds the CPUs were ${report.busyPercent.toFixed(0)} % busy with other things${noisy}`,
  )
  for (const { name, version, options } of report.targets)
    console.log(`  ${name.padEnd(12)} ${version}: ${options}`)
  for (const [name, reason] of report.missing) console.log(`  ${name.padEnd(12)} MISSING: ${reason}`)
  console.log("cells: median ± half the range; below: ClawFS / peer, ~ = rounds overlap, so it may be noise")
  printTable(report, report.samples.rows())
  printGoals(report.samples)
  for (const { group, target, error } of report.failures)
    console.log(`failed: ${group} on ${target}: ${error}`)
  console.log(
    `\n${report.seconds.toFixed(0)} s${report.isQuick ? ", --quick: for a look, not for a claim" : ""}`,
  )
}

export function toJson(report: Report): object {
  const { samples, targets } = report
  const names = targets.map((target) => target.name)
  const rows = samples.rows().map((row) => ({
    row,
    unit: unitOf(row),
    targets: Object.fromEntries(
      names.flatMap((name) => {
        const summary = samples.summary(row, name)
        return summary ? [[name, { ...summary, values: samples.values(row, name) }]] : []
      }),
    ),
    ratios: names.flatMap((name) => (name === "clawfs" ? [] : (samples.compare(row, name) ?? []))),
    goal: samples.verdict(row) ?? null,
  }))
  return {
    date: new Date().toISOString(),
    machine: report.machine,
    busyPercent: report.busyPercent,
    disk: report.disk,
    isQuick: report.isQuick,
    seconds: report.seconds,
    targets: targets.map(({ name, version, options }) => ({ name, version, options })),
    missing: Object.fromEntries(report.missing),
    failures: report.failures,
    rows,
  }
}

export function save(report: Report, file: string): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(toJson(report), null, 1)}\n`)
  console.log(`saved ${file}`)
}
