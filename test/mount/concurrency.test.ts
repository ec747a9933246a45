import { join } from "node:path"
import { expect, test } from "vitest"
import { together } from "../helpers/exec.ts"
import { openTarget, type Target } from "../helpers/mount.ts"
import { expectNoFailures, loadReport, seed, summary } from "../helpers/reports.ts"
import { requireTarget, skipIf } from "../helpers/requirements.ts"
import type { Report } from "../model/report.ts"

const processes = [0, 1, 2, 3]

async function makeDirectories(target: Target, names: readonly string[]): Promise<string[]> {
  const paths = names.map((name) => join(target.work, name))
  await target.run("mkdir", paths)
  return paths
}

async function listAll(target: Target): Promise<string[]> {
  const { stdout } = await target.run("find", [target.work, "-mindepth", "2"])
  return stdout.split("\n").filter(Boolean).sort()
}

test("processes that work in the same directories with names of their own get what they expect", async (context) => {
  skipIf(context, requireTarget())
  await using target = await openTarget()
  const directories = await makeDirectories(target, ["a", "b", "c"])
  const reports = await together(
    processes.map((process) =>
      loadReport(target, "test/model/churn.ts", ["--process", process, "--seconds", 4, ...directories]),
    ),
  )
  console.log(summary(reports))
  expectNoFailures(reports)
  const expected = reports.flatMap(({ details }) => details as string[]).sort()
  expect(await listAll(target)).toEqual(expected)
  await target.mount?.remount()
  expect(await listAll(target)).toEqual(expected)
})

test("whoever has made a name sees it in every later listing, however many list and change the directory", async (context) => {
  skipIf(context, requireTarget())
  await using target = await openTarget()
  const [directory = ""] = await makeDirectories(target, ["listed"])
  const reports = await together(
    processes.map((process) => loadReport(target, "test/model/listings.ts", [directory, process, 8])),
  )
  console.log(summary(reports))
  expectNoFailures(reports)
})

test("of several processes that do the same thing at the same time exactly one is successful", async (context) => {
  skipIf(context, requireTarget())
  await using target = await openTarget()
  const [directory = ""] = await makeDirectories(target, ["races"])
  expectNoFailures([await loadReport(target, "test/model/races.ts", ["setup", directory])].map(withOne))
  const reports = await together(
    processes.map(() => loadReport(target, "test/model/races.ts", ["winners", directory])),
  )
  console.log(summary(reports))
  expectNoFailures(reports)
  const wins = reports.map(({ details }) => details as Record<string, number[]>)
  for (const race of Object.keys(wins[0] ?? {})) {
    const rounds = wins.flatMap((each) => each[race] ?? []).sort((a, b) => a - b)
    expect(rounds, race).toEqual(Array.from({ length: 300 }, (_, i) => i))
  }
})

/** The setup counts no operations. */
const withOne = (report: Report): Report => ({ ...report, operations: 1 })

test("processes that fight for the same names see only errors that the fight explains", async (context) => {
  skipIf(context, requireTarget())
  await using target = await openTarget()
  const [directory = ""] = await makeDirectories(target, ["fight"])
  const reports = await together(
    processes.map((process) =>
      loadReport(target, "test/model/races.ts", ["chaos", directory, seed + process, 6]),
    ),
  )
  console.log(summary(reports))
  expectNoFailures(reports)
  await target.mount?.remount()
  // everything that is listed exists, and everything can be removed
  expect((await target.run("find", [directory, "-ls"])).stderr).toBe("")
  await target.run("rm", ["-r", directory])
  expect((await target.run("ls", ["-A", target.work])).stdout).toBe("")
})

test("records that several processes append to one file are all there and whole", async (context) => {
  skipIf(context, requireTarget())
  await using target = await openTarget()
  const reports = await together(
    processes.map((process) => loadReport(target, "test/model/races.ts", ["append", target.work, process])),
  )
  expectNoFailures(reports)
  await target.mount?.remount()
  const { stdout } = await target.run("cat", [join(target.work, "appended")])
  const lines = stdout.split("\n").slice(0, -1)
  expect(lines).toHaveLength(4000)
  for (const process of processes) {
    const own = lines.filter((line) => line.startsWith(`${process} `))
    const whole = own.map((_, i) => `${process} ${i} `.padEnd(99, String.fromCharCode(97 + process)))
    expect(own).toEqual(whole)
  }
})

test("writers of neighbouring stripes of one file do not disturb each other", async (context) => {
  skipIf(context, requireTarget())
  await using target = await openTarget()
  const stripes = (...args: number[]) =>
    loadReport(target, "test/model/races.ts", ["stripes", target.work, ...args])
  expectNoFailures(await together(processes.map((process) => stripes(process, processes.length))))
  await target.mount?.remount()
  expectNoFailures([await loadReport(target, "test/model/races.ts", ["stripes-check", target.work])])
})

test("a listing shows what its process has just created and removed while others list and change", async (context) => {
  skipIf(context, requireTarget())
  await using target = await openTarget()
  const [directory = ""] = await makeDirectories(target, ["busy"])
  await loadReport(target, "test/model/scan.ts", ["fill", 300, directory])
  const reports = await together(
    ["change", "change", "change", "list", "list"].map((role) =>
      loadReport(target, "test/model/own-view.ts", [role, directory, 6]),
    ),
  )
  console.log(summary(reports))
  expectNoFailures(reports)
})

test("a large directory that others change lists each name that stays exactly once", async (context) => {
  skipIf(context, requireTarget())
  await using target = await openTarget()
  const [directory = ""] = await makeDirectories(target, ["large"])
  const count = 5000
  await loadReport(target, "test/model/scan.ts", ["fill", count, directory])
  const reports = await together([
    ...[0, 1].map((process) =>
      loadReport(target, "test/model/churn.ts", ["--process", process, "--seconds", 3, directory]),
    ),
    ...[0, 1].map(() => loadReport(target, "test/model/scan.ts", ["list", count, directory, 6])),
  ])
  console.log(summary(reports))
  expectNoFailures(reports)
})
