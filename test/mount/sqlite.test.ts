import { join } from "node:path"
import { test } from "vitest"
import { together } from "../helpers/exec.ts"
import { openTarget } from "../helpers/mount.ts"
import { expectNoFailures, loadReport, runChecked, summary } from "../helpers/reports.ts"
import { requireTarget, skipIf } from "../helpers/requirements.ts"

const writers = [0, 1, 2, 3]

async function writeTogether(mode: "wal" | "delete", transactions: number): Promise<void> {
  await using target = await openTarget()
  const file = join(target.work, "data.db")
  await loadReport(target, "test/model/sqlite-writer.ts", [mode, file, 0, 0])
  const reports = await together(
    writers.map((writer) =>
      loadReport(target, "test/model/sqlite-writer.ts", [mode, file, writer, transactions], {
        timeoutSeconds: 120,
      }),
    ),
  )
  console.log(`${mode}: ${summary(reports)}`)
  expectNoFailures(reports)
  await runChecked(target, "test/model/sqlite-check.ts", [file, writers.length, transactions])
  await target.mount?.remount()
  await runChecked(target, "test/model/sqlite-check.ts", [file, writers.length, transactions])
}

test("SQLite with a write-ahead log loses no transaction of four writers", async (context) => {
  skipIf(context, requireTarget())
  await writeTogether("wal", 500)
})

test("SQLite with a rollback journal loses no transaction of four writers", async (context) => {
  skipIf(context, requireTarget())
  await writeTogether("delete", 150)
})
