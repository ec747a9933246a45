/** A migration under SIGKILL at a hundred points of its work. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { requireMounts } from "../cli/harness.ts"
import { killAtRandom } from "../cli/migrate-kills.ts"
import { Surroundings } from "../cli/migrate-setting.ts"
import { requirePostgres } from "../helpers/ironclaw/postgres-server.ts"
import { skipIf } from "../helpers/requirements.ts"

/** As long as the test may take. */
const MOST_SECONDS = 1800

let around: Surroundings
const reason = requirePostgres() ?? requireMounts()
beforeEach((context) => skipIf(context, reason))
beforeAll(async () => {
  if (reason === undefined) around = await Surroundings.make(MOST_SECONDS)
})
afterAll(async () => {
  if (reason === undefined) await around[Symbol.asyncDispose]()
})

test("killed at a hundred random points, it ends with the same bytes", async () => {
  const kills = await killAtRandom(around, { documents: 100, messages: 400 }, { rounds: 5, points: 20 })
  expect(kills).toBeGreaterThan(80)
})
