import { expect, test } from "vitest"
import { sleep } from "../helpers/exec.ts"
import { killAgainAndAgain, loadWhile, printLoad } from "../helpers/kill-load.ts"
import { mountClawfs } from "../helpers/mount.ts"
import { plainDirectory, requireFuse, skipIf } from "../helpers/requirements.ts"

const noMount = plainDirectory === undefined ? undefined : "there is no server to kill in a plain directory"

test("no operation fails and no byte is wrong while the server is killed twenty times under load", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs()
  printLoad(await loadWhile(mount, { trees: 3, seconds: 120 }, () => killAgainAndAgain(mount, 20, 200)))
})

test("no operation fails when the server dies between a commit and its answer", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs({ env: { CLAWFS_TEST_KILL_AFTER_COMMIT: "400" } })
  const untilItDiedOften = async () => {
    const end = performance.now() + 50_000
    let restarts = 0
    while (restarts <= 10 && performance.now() < end) {
      await sleep(2000)
      restarts = (await mount.status()).server.restarts
    }
    console.log(`${restarts} deaths`)
    expect(restarts).toBeGreaterThan(10)
  }
  printLoad(await loadWhile(mount, { trees: 3, seconds: 60 }, untilItDiedOften))
})

test("with the writeback cache nothing is lost either when the server is killed", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs({ flags: ["--writeback"] })
  printLoad(await loadWhile(mount, { trees: 2, seconds: 60 }, () => killAgainAndAgain(mount, 7, 300)))
})

test("no operation on an encrypted tree fails and no byte is wrong while the server is killed", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs({ encrypted: true })
  printLoad(await loadWhile(mount, { trees: 2, seconds: 60 }, () => killAgainAndAgain(mount, 8, 200)))
})

test("a server that is killed while nothing happens is replaced, and locks are still held", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs()
  const lock = `${mount.work}/lock`
  const holder = mount.run("flock", [
    "-x",
    lock,
    "sh",
    "-c",
    `touch ${lock}ed; while [ ! -e ${lock}-release ]; do sleep 0.1; done`,
  ])
  await sleep(500)
  await mount.killServerAndWait()
  expect((await mount.exec("flock", ["-n", "-x", lock, "true"])).code).toBe(1)
  await mount.run("touch", [`${lock}-release`])
  await holder
  expect((await mount.exec("flock", ["-n", "-x", lock, "true"])).code).toBe(0)
})
