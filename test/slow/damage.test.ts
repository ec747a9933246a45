/**
 * One small store with every byte flipped, cut to every length that its files can have, every sector zeroed or swapped, one
 * at a time; and some thousand damages of each kind of larger ones.
 *
 *   CLAWFS_TEST_DAMAGES  how many of each kind, of the larger stores (1000)
 *   CLAWFS_TEST_SEED     others
 */
import { cpus } from "node:os"
import { expect, test } from "vitest"
import { KINDS, countOf } from "../damage/damages.ts"
import { trial } from "../damage/run.ts"
import { SAMPLES, smallStore } from "../damage/samples.ts"
import { seed } from "../unit/support/random.ts"

const PROCESSES = Math.max(1, Math.min(4, cpus().length))
const LIMIT = Number(process.env["CLAWFS_TEST_DAMAGES"] ?? 1000)
const STORES = [
  ["that is small", smallStore, Infinity] as const,
  ...Object.entries(SAMPLES).map(([name, make]) => [name, make, LIMIT] as const),
]

for (const [name, make, limit] of STORES)
  for (const kind of KINDS)
    test(`a store ${name} survives damage of kind ${kind}`, { timeout: 8 * 3_600_000 }, async () => {
      const image = make()
      const count = countOf(image, kind)
      const step = PROCESSES * Math.max(1, Math.floor(count / limit))
      const shares = Array.from({ length: PROCESSES }, (_, share) =>
        trial({ image, kind, first: (share * step) / PROCESSES, step, limit: count, seed }),
      )
      const tallies = await Promise.all(shares)
      expect(tallies.flatMap(({ broken }) => broken).join("\n")).toBe("")
      const sum = (part: "tried" | "same" | "refused"): number =>
        tallies.reduce((so, tally) => so + tally[part], 0)
      process.stdout.write(
        `${name}, ${kind}: ${sum("tried")} damages, ${sum("same")} without effect, ${sum("refused")} refused at the start\n`,
      )
      expect(sum("same")).toBeLessThan(sum("tried"))
    })
