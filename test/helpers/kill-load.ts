/** Mixed load of several processes while the server is killed again and again: shared by the quick and the long test. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect } from "vitest"
import type { Report } from "../model/report.ts"
import { sleep, together } from "./exec.ts"
import type { Mount } from "./mount.ts"
import { expectNoFailures, loadReport, runChecked, seed, summary } from "./reports.ts"

export interface KillLoad {
  /** The processes that work on trees of their own. */
  readonly trees: number
  /** The most that the load may take; a killer normally ends it earlier. */
  readonly seconds: number
}

const sqliteWriters = 2

/** Runs the load next to `during`, ends it when that is over, and checks everything, also after a new mount. */
export async function loadWhile(
  mount: Mount,
  load: KillLoad,
  during: () => Promise<void>,
): Promise<Report[]> {
  const stop = join(mount.scratch, "stop")
  const shared = ["shared-a", "shared-b"].map((name) => join(mount.work, name))
  await mount.run("mkdir", shared)
  const until = ["--seconds", load.seconds, "--until", stop]
  const limit = { timeoutSeconds: load.seconds + 60 }
  const trees = Array.from({ length: load.trees }, (_, i) => {
    const directory = join(mount.work, `tree-${i}`)
    return { directory, dump: join(mount.scratch, `tree-${i}.json`) }
  })
  const working = [
    ...trees.map(({ directory, dump }, i) =>
      loadReport(
        mount,
        "test/model/load.ts",
        ["--seed", seed + i, ...until, "--dump", dump, directory],
        limit,
      ),
    ),
    ...[0, 1].map((i) =>
      loadReport(mount, "test/model/churn.ts", ["--process", i, ...until, ...shared], limit),
    ),
  ]
  const others = [fsx(mount, load, stop), sqlite(mount, load, stop)]
  const end = () => writeFileSync(stop, "")
  const rest = together([during().finally(end), ...others])
  const [reports] = await Promise.allSettled([together(working), rest]).then(() =>
    Promise.all([together(working), rest]),
  )
  expectNoFailures(reports)
  await mount.remount()
  const pairs = trees.flatMap(({ directory, dump }) => [directory, dump])
  console.log(await runChecked(mount, "test/model/verify.ts", pairs))
  const names = reports.slice(load.trees).flatMap(({ details }) => details as string[])
  const { stdout } = await mount.run("find", [...shared, "-mindepth", "1"])
  expect(stdout.split("\n").filter(Boolean).sort()).toEqual(names.sort())
  await runChecked(mount, "test/model/sqlite-check.ts", [join(mount.work, "data.db"), sqliteWriters])
  return reports
}

async function fsx(mount: Mount, load: KillLoad, stop: string): Promise<void> {
  const args = [
    "--ops",
    100_000_000,
    "--seconds",
    load.seconds,
    "--until",
    stop,
    "--seed",
    seed,
    "--shrink",
    0,
  ]
  const limit = { timeoutSeconds: load.seconds + 60 }
  expect(await runChecked(mount, "test/model/fsx.ts", [...args, join(mount.work, "fsx")], limit)).toContain(
    "all equal",
  )
}

/** Two writers with a write-ahead log: memory shared between processes through the mount. */
async function sqlite(mount: Mount, load: KillLoad, stop: string): Promise<void> {
  const limit = { timeoutSeconds: load.seconds + 60 }
  const file = join(mount.work, "data.db")
  await loadReport(mount, "test/model/sqlite-writer.ts", ["wal", file, 0, 0], limit)
  const write = (writer: number) =>
    loadReport(mount, "test/model/sqlite-writer.ts", ["wal", file, writer, 100_000_000, stop], limit)
  expectNoFailures(await together(Array.from({ length: sqliteWriters }, (_, i) => write(i))))
}

/** SIGKILL to the server, again and again; between two kills it gets time to serve. */
export async function killAgainAndAgain(mount: Mount, kills: number, pauseMs: number): Promise<void> {
  for (let i = 0; i < kills; i++) {
    await sleep(pauseMs)
    await mount.killServer()
  }
  await sleep(pauseMs)
  const { server } = await mount.status()
  console.log(`${kills} kills, ${server.restarts} restarts`)
  expect(server.restarts).toBeGreaterThanOrEqual(kills)
}

/** What the load said, and how long the longest operation had to wait. */
export function printLoad(reports: readonly Report[]): void {
  console.log(summary(reports))
  const kinds = new Map<string, number>()
  for (const { succeeded } of reports) {
    for (const [kind, count] of Object.entries(succeeded)) kinds.set(kind, (kinds.get(kind) ?? 0) + count)
  }
  console.log([...kinds].map(([kind, count]) => `${kind} ${count}`).join(", "))
}
