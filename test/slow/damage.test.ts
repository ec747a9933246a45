/** Every byte flipped, every length that a file can be cut to, every sector zeroed or swapped, one at a time. */
import { cpus } from "node:os"
import { expect, test } from "vitest"
import { KINDS, countOf } from "../damage/damages.ts"
import { trial } from "../damage/run.ts"
import { SAMPLES } from "../damage/samples.ts"
import { seed } from "../unit/support/random.ts"

const PROCESSES = Math.max(1, Math.min(4, cpus().length))
/** CLAWFS_TEST_DAMAGES=1000: so many of each kind and store. */
const LIMIT = Number(process.env["CLAWFS_TEST_DAMAGES"] ?? Infinity)

for (const [name, make] of Object.entries(SAMPLES))
  for (const kind of KINDS)
    test(`a store ${name} survives every damage of kind ${kind}`, { timeout: 4 * 3_600_000 }, async () => {
      const image = make()
      const count = countOf(image, kind)
      const step = PROCESSES * Math.max(1, Math.floor(count / LIMIT))
      const shares = Array.from({ length: PROCESSES }, (_, first) =>
        trial({ image, kind, first, step, limit: count, seed }),
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
