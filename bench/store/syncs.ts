/** fsync beside ext4's, and of eight programs at once beside one's. */
import { join } from "node:path"
import { median, type Row } from "../rows.ts"
import type { Place } from "./place.ts"

const ROUNDS = 5
const SYNCS = 200
const PROGRAMS = 8

/** Nanoseconds an append of 512 bytes with its fsync. */
async function syncsOf(place: Place): Promise<number> {
  const big = join(place.dir, "big")
  await place.client("seq-write", big, 1)
  return (await place.client("small", place.dir, big, 1, 1, SYNCS)).get("small.fsync") ?? NaN
}

async function atOnce(place: Place): Promise<number> {
  const places: Place[] = []
  for (let i = 0; i < PROGRAMS; i += 1) places.push(await place.fresh(`p${i}`))
  const times = await Promise.all(places.map(syncsOf))
  // Syncs a nanosecond, of all together.
  return times.reduce((sum, time) => sum + 1 / time, 0)
}

export async function* syncs(clawfs: Place, ext4: Place): AsyncGenerator<Row> {
  const ratios: number[] = []
  const speedups: number[] = []
  const ours: number[] = []
  for (let i = 0; i <= ROUNDS; i += 1) {
    const at = await clawfs.fresh("sync")
    const alone = await syncsOf(at)
    const beside = await syncsOf(await ext4.fresh("sync"))
    const together = await atOnce(at)
    if (i === 0) continue
    ours.push(alone)
    ratios.push(alone / beside)
    speedups.push(together * alone)
  }
  const note = `${(median(ours) / 1000).toFixed(0)} us`
  yield { name: "fsync", value: median(ratios), unit: "x ext4", atMost: 1.3, note }
  yield { name: `fsync.${PROGRAMS}-programs`, value: median(speedups), unit: "x one", atLeast: 4 }
}
