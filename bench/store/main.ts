/** `make bench-store`: what encryption, durability, background work and snapshots cost, with the goals of issue 3's kind. */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { prepareDisk } from "../disk.ts"
import { drive, type Options } from "../driver.ts"
import { buildClient } from "../fixtures.ts"
import type { Guard } from "../mounts.ts"
import type { Row } from "../rows.ts"
import { startTargets, type TargetName } from "../targets.ts"
import { background } from "./background.ts"
import { encrypted } from "./encrypted.ts"
import { million, storeOf } from "./million.ts"
import { Place } from "./place.ts"
import { snapshots } from "./snapshots.ts"
import { syncs } from "./syncs.ts"

const usage = `usage: node build/bench/store/main.js [options]
  --only A,B       of encrypted, fsync, background, snapshot, million
  --files N        of the part "million" (default 1000000)
  --dir DIR        where to work (default /var/tmp)
  --json FILE      where to save (default bench/results/store-<date>.json)
`

async function* measure(
  only: ReadonlySet<string>,
  guard: Guard,
  { work, dir, numbers: { files = 0 } }: Options,
): AsyncGenerator<Row> {
  const disk = await prepareDisk(dir, false)
  process.stdout.write(`disk: ${disk.description}\n`)
  const client = await buildClient()
  const names: TargetName[] = ["clawfs", "ext4", "gocryptfs"]
  const { targets, missing } = await startTargets(names, disk.path, guard)
  for (const [name, reason] of missing) process.stdout.write(`${name} is missing: ${reason}\n`)
  const place = (name: TargetName): Place => {
    const target = targets.find((each) => each.name === name)
    if (target === undefined) throw new Error(`${name} could not be started`)
    return new Place(client, target)
  }
  const keys = join(work, "keys")
  mkdirSync(keys, { mode: 0o700 })
  if (only.has("encrypted")) yield* encrypted(place("clawfs"), place("gocryptfs"), keys)
  if (only.has("fsync")) yield* syncs(place("clawfs"), place("ext4"))
  if (only.has("background")) yield* background(place("clawfs"))
  if (only.has("snapshot")) yield* snapshots(place("clawfs"))
  if (only.has("million")) yield* million(place("clawfs"), storeOf(join(disk.path, "clawfs")), files)
}

await drive({
  name: "store",
  usage,
  parts: ["encrypted", "fsync", "background", "snapshot", "million"],
  numbers: { files: 1_000_000 },
  measure,
})
