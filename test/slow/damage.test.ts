/**
 * One small store with every byte flipped, cut to every length that its files can have, every sector zeroed or swapped, one
 * at a time; and some thousand damages of each kind of larger ones.
 *
 *   CLAWFS_TEST_DAMAGES      how many of each kind, of the larger stores (1000)
 *   CLAWFS_TEST_DAMAGE_PART  "3/100": the third of a hundred parts of all that, so that it can be done bit by bit
 *   CLAWFS_TEST_SEED         others
 */
import { cpus } from "node:os"
import { expect, test } from "vitest"
import { KINDS, countOf } from "../damage/damages.ts"
import { trial } from "../damage/run.ts"
import { SAMPLES, smallStore } from "../damage/samples.ts"
import { seed } from "../unit/support/random.ts"

const PROCESSES = Math.max(1, Math.min(4, cpus().length))
const LIMIT = Number(process.env["CLAWFS_TEST_DAMAGES"] ?? 1000)
const [PART, PARTS] = partOf(process.env["CLAWFS_TEST_DAMAGE_PART"] ?? "1/1")
const STORES = [
  ["that is small", smallStore, Infinity] as const,
  ...Object.entries(SAMPLES).map(([name, make]) => [name, make, LIMIT] as const),
]

for (const [name, make, limit] of STORES)
  for (const kind of KINDS)
    test(`a store ${name} survives damage of kind ${kind}`, { timeout: 8 * 3_600_000 }, async () => {
      const image = make()
      const count = countOf(image, kind)
      const stride = Math.max(1, Math.floor(count / limit))
      const tries = Math.ceil(count / stride)
      const [from, to] = [PART - 1, PART].map((part) => Math.floor((tries * part) / PARTS)) as [
        number,
        number,
      ]
      const shares = Array.from({ length: Math.min(PROCESSES, to - from) }, (_, share) => {
        const most = Math.ceil((to - from - share) / PROCESSES)
        return trial({
          image,
          kind,
          first: (from + share) * stride,
          step: PROCESSES * stride,
          limit: most,
          seed,
        })
      })
      const tallies = await Promise.all(shares)
      expect(tallies.flatMap(({ broken }) => broken).join("\n")).toBe("")
      const sum = (part: "tried" | "same" | "refused"): number =>
        tallies.reduce((so, tally) => so + tally[part], 0)
      process.stdout.write(
        `${name}, ${kind}: ${sum("tried")} damages of ${tries} (part ${PART} of ${PARTS}), ${sum("same")} without effect, ${sum("refused")} refused at the start\n`,
      )
      // A small part may hit nothing that is in use.
      if (PARTS === 1) expect(sum("same")).toBeLessThan(sum("tried"))
    })

function partOf(text: string): [part: number, parts: number] {
  const [, part, parts] = /^(\d+)\/(\d+)$/.exec(text) ?? []
  const found: [number, number] = [Number(part), Number(parts)]
  if (found[0] >= 1 && found[0] <= found[1]) return found
  throw new Error(`CLAWFS_TEST_DAMAGE_PART=${text} is none, such as 3/100`)
}
