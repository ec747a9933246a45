/** A migration under SIGKILL at a hundred moments. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { contents, requireMounts } from "../cli/harness.ts"
import { Surroundings } from "../cli/migrate-setting.ts"
import { requirePostgres } from "../helpers/ironclaw/postgres-server.ts"
import { skipIf } from "../helpers/requirements.ts"

const KILLS = 100
/** From the start of the program to some time after its end on a machine that is not busy. */
const [FIRST_MS, STEP_MS] = [300, 25]

let around: Surroundings
const reason = requirePostgres() ?? requireMounts()
beforeEach((context) => skipIf(context, reason))
beforeAll(async () => {
  if (reason === undefined) around = await Surroundings.make()
})
afterAll(async () => {
  if (reason === undefined) await around[Symbol.asyncDispose]()
})

test("killed at a hundred moments, it ends with the same bytes", async () => {
  await using undisturbed = await around.setting({ documents: 100, messages: 400 })
  expect((await undisturbed.run("postgres")).code).toBe(0)
  const wanted = contents(undisturbed.scene.mnt)
  for (let kills = 0; kills < KILLS;) {
    await using setting = await around.mounted(undisturbed.database)
    for (let afterMs = FIRST_MS; kills < KILLS && !(await setting.killed(afterMs)); afterMs += STEP_MS)
      kills += 1
    expect((await setting.run("postgres")).code).toBe(0)
    expect(contents(setting.scene.mnt)).toEqual(wanted)
  }
})
