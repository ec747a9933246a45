import { expect, test } from "vitest"
import { memoryMib } from "../helpers/memory.ts"
import { openTarget } from "../helpers/mount.ts"
import { runChecked } from "../helpers/reports.ts"
import { requireTarget, skipIf } from "../helpers/requirements.ts"

const count = Number(process.env["CLAWFS_TEST_FILES"] ?? 1_000_000)

async function makeMany(shape: "flat" | "tree"): Promise<void> {
  await using target = await openTarget({ limitSeconds: 1700 })
  const memory = async () => {
    const pid = await target.mount?.serverPid()
    return pid === undefined ? "no server" : `server ${memoryMib(pid)} MiB`
  }
  console.log(`before: ${await memory()}`)
  console.log(
    await runChecked(target, "test/model/many.ts", [shape, count, target.work], { timeoutSeconds: 1500 }),
  )
  console.log(`after: ${await memory()}`)
  if (target.mount === undefined) return
  const { inodes } = await target.mount.status()
  expect(inodes.used).toBeGreaterThan(count - 20_000)
  await target.mount.remount()
  console.log(`mounted again: ${await memory()}`)
  expect((await target.mount.status()).inodes.used).toBe(inodes.used)
}

test("a directory of a million files lists each of them", async (context) => {
  skipIf(context, requireTarget())
  await makeMany("flat")
})

test("a tree of a million files lists each of them", async (context) => {
  skipIf(context, requireTarget())
  await makeMany("tree")
})
