/** As test/unit/server/mixes.test.ts, with 1,000 mixes, or as many as CLAWFS_TEST_MIXES says. */
import { expect, test, vi } from "vitest"
import { runMixes } from "../unit/support/mix.ts"
import { seed } from "../unit/support/random.ts"

vi.mock(import("node:fs"), async (original) => {
  const { withSmallDisk } = await import("../unit/support/small-statfs.ts")
  return withSmallDisk(await original())
})

const mixes = Number(process.env["CLAWFS_TEST_MIXES"] ?? 1000)

test("a store comes whole out of a great many random mixes", { timeout: mixes * 20_000 }, async () => {
  const { problems, kills, refusals, segments } = await runMixes(seed, mixes)
  expect(problems).toEqual([])
  expect(kills).toBeGreaterThan(mixes)
  expect(refusals).toBeGreaterThan(0)
  expect(segments).toBeGreaterThan(2 * mixes)
})
