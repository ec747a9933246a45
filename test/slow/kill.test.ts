import { expect, test } from "vitest"
import { sleep } from "../helpers/exec.ts"
import { killAgainAndAgain, loadWhile, printLoad } from "../helpers/kill-load.ts"
import { mountClawfs } from "../helpers/mount.ts"
import { plainDirectory, requireFuse, skipIf } from "../helpers/requirements.ts"

const noMount = plainDirectory === undefined ? undefined : "there is no server to kill in a plain directory"
const limitSeconds = 1700
/** Of servers with an encrypted tree. */
const KILLS = Number(process.env["CLAWFS_TEST_KILLS"] ?? 200)

test("no operation fails and no byte is wrong over three hundred kills", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs({ limitSeconds })
  printLoad(await loadWhile(mount, { trees: 3, seconds: 1500 }, () => killAgainAndAgain(mount, 300, 400)))
})

test("no operation fails when the server dies three hundred times between a commit and its answer", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs({ limitSeconds, env: { CLAWFS_TEST_KILL_AFTER_COMMIT: "300" } })
  const untilThreeHundred = async () => {
    while ((await mount.status()).server.restarts < 300) await sleep(1000)
  }
  printLoad(await loadWhile(mount, { trees: 3, seconds: 1500 }, untilThreeHundred))
})

test("with the writeback cache nothing is lost over a hundred kills", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs({ limitSeconds, flags: ["--writeback"] })
  const reports = await loadWhile(mount, { trees: 3, seconds: 900 }, () => killAgainAndAgain(mount, 100, 400))
  expect(reports).not.toEqual([])
  printLoad(reports)
})

test("no operation on an encrypted tree fails and no byte is wrong over hundreds of kills", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs({ limitSeconds, encrypted: true })
  printLoad(await loadWhile(mount, { trees: 3, seconds: 1500 }, () => killAgainAndAgain(mount, KILLS, 400)))
})

test("nor when the server dies hundreds of times between a commit and its answer", async (context) => {
  skipIf(context, noMount, requireFuse())
  const env = { CLAWFS_TEST_KILL_AFTER_COMMIT: "300" }
  await using mount = await mountClawfs({ limitSeconds, encrypted: true, env })
  const untilSo = async () => {
    while ((await mount.status()).server.restarts < KILLS) await sleep(1000)
  }
  printLoad(await loadWhile(mount, { trees: 3, seconds: 1500 }, untilSo))
})
