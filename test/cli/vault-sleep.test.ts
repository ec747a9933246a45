/** `clawfs vault unlock` on a machine that is about to sleep. */
import { existsSync } from "node:fs"
import { beforeEach, expect, test } from "vitest"
import { TestBus, requireBus } from "../helpers/logind.ts"
import { skipIf } from "../helpers/requirements.ts"
import { requireBuild } from "./harness.ts"
import { VaultPlace } from "./vault-place.ts"

beforeEach((context) => skipIf(context, requireBuild(), requireBus()))

test("the machine sleeps when the vault's process is gone", async () => {
  await using bus = await TestBus.start()
  await using manager = await bus.logind()
  await using place = await VaultPlace.make()
  const env = { DBUS_SYSTEM_BUS_ADDRESS: bus.address }
  expect((await place.run(["unlock", ...place.passphrase], { env })).code).toBe(0)
  expect(await manager.hears("lock")).toBe("lock sleep ClawFS delay")
  await expect.poll(async () => (await place.run(["status"])).stdout).toMatch(/^sleep {7}locked before$/m)
  const pid = await place.pid()
  manager.tell("sleep")
  await manager.hears("slept")
  await expect.poll(() => existsSync(`/proc/${pid}/maps`)).toBe(false)
  expect((await place.run(["list"])).code).toBe(77)
  const { stdout } = await place.run(["status"])
  expect(stdout).toContain("state       locked")
})
