/** Random mixes of kill, restart, cleaner, snapshot, delete, fill: fsck clean, model equal, space within the factor. */
import { expect, test, vi } from "vitest"
import { runMixes } from "../support/mix.ts"
import { seed } from "../support/random.ts"

vi.mock(import("node:fs"), async (original) => {
  const { withSmallDisk } = await import("../support/small-statfs.ts")
  return withSmallDisk(await original())
})

const mixes = Number(process.env["CLAWFS_TEST_MIXES"] ?? 24)

test(
  "a store comes whole out of random mixes of kills, cleaning, snapshots, deleting and a full disk",
  { timeout: mixes * 20_000 },
  async () => {
    const { problems, kills, refusals, segments } = await runMixes(seed, mixes)
    expect(problems).toEqual([])
    expect(kills).toBeGreaterThan(mixes)
    expect(refusals).toBeGreaterThan(0)
    expect(segments).toBeGreaterThan(2 * mixes)
  },
)
