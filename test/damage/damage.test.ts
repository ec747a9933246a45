/**
 * A sample of what can happen to the bytes of a store; test/slow/damage.test.ts takes every byte of a small one.
 *
 *   CLAWFS_TEST_DAMAGES  how many of each kind and store (60)
 *   CLAWFS_TEST_SEED     others
 */
import { expect, test } from "vitest"
import { seed } from "../unit/support/random.ts"
import { KINDS, countOf } from "./damages.ts"
import { trial } from "./run.ts"
import { SAMPLES } from "./samples.ts"

const LIMIT = Number(process.env["CLAWFS_TEST_DAMAGES"] ?? 60)

for (const [name, make] of Object.entries(SAMPLES))
  test(`a store ${name} gives right answers or none when its bytes are damaged, and fsck tells which`, async () => {
    const image = make()
    for (const kind of KINDS) {
      const count = countOf(image, kind)
      const step = Math.max(1, Math.floor(count / LIMIT))
      const tally = await trial({ image, kind, first: seed % step, step, limit: LIMIT, seed })
      expect(tally.broken.join("\n")).toBe("")
      // A sector of zeroes can't be zeroed.
      expect(tally.tried).toBeGreaterThan(Math.min(LIMIT, count) / 4)
      // Some damage hits nothing that is in use. All of it would mean that the test looks at nothing.
      expect(tally.same).toBeLessThan(tally.tried)
    }
  })
