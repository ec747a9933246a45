/**
 * Judges damages of a store in a process of its own, which may hang or die of one: the number of the damage that is being
 * looked at is told first. `node build/test-programs/test/damage/judging.js ORDER DIRECTORY`: the order as a JSON file, and where stores may be put up.
 */
import { mkdirSync, readFileSync, rmSync, writeSync } from "node:fs"
import { join } from "node:path"
import { countOf, damageOf, damaged, nameOf, type Kind } from "./damages.ts"
import { putUp, readImage } from "./image.ts"
import { judge } from "./judge.ts"
import { look } from "./sight.ts"

export interface Order {
  /** A store, which is not changed. */
  readonly store: string
  readonly kind: Kind
  /** Damages `first`, `first + step` … are judged, `limit` of them at most. */
  readonly first: number
  readonly step: number
  readonly limit: number
  readonly seed: number
}

/** Told line by line as JSON. */
export type Report =
  | { readonly is: "trying"; readonly damage: string }
  | { readonly is: "broken"; readonly damage: string; readonly problems: readonly string[] }
  | {
      readonly is: "done"
      readonly tried: number
      readonly same: number
      readonly refused: number
      readonly peakKib: number
    }

const MOST_BROKEN = 20

function run(order: Order, place: string, tell: (report: Report) => void): void {
  mkdirSync(place, { recursive: true })
  try {
    const image = readImage(order.store)
    const directory = join(place, "store")
    putUp(image, directory)
    const right = look(directory)
    // The names are known now, so that those are asked for too that a damaged listing lacks.
    putUp(image, directory)
    const bench = { directory, right: look(directory, right) }
    let [tried, same, refused, broken] = [0, 0, 0, 0]
    const count = countOf(image, order.kind)
    for (
      let index = order.first;
      index < count && tried < order.limit && broken < MOST_BROKEN;
      index += order.step
    ) {
      const damage = damageOf(
        image,
        order.kind,
        index,
        (Math.imul(index + order.seed, 0x9e37_79b1) >>> 8) & 0xffff,
      )
      const state = damaged(image, damage)
      if (state === undefined) continue
      if (tried % 8 === 0) tell({ is: "trying", damage: nameOf(damage) })
      tried += 1
      const shortened = damage.kind === "truncate" ? damage.file : undefined
      const verdict = judge(state, bench, shortened)
      if (verdict.isSame) same += 1
      if (verdict.isRefused) refused += 1
      if (verdict.problems.length === 0) continue
      broken += 1
      tell({ is: "broken", damage: nameOf(damage), problems: verdict.problems.slice(0, 5) })
    }
    tell({ is: "done", tried, same, refused, peakKib: process.resourceUsage().maxRSS })
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}

const [, , path = "", place = ""] = process.argv
const order = JSON.parse(readFileSync(path, "utf8")) as Order
run(order, place, (report) => void writeSync(1, `${JSON.stringify(report)}\n`))
