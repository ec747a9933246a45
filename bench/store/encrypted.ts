/**
 * An encrypted tree beside gocryptfs: both encrypt contents and names, on the same disk, round by round. A tree that is not
 * encrypted goes along, to tell what encryption costs.
 */
import { randomBytes } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { dropAll } from "../disk.ts"
import { median, type Row } from "../rows.ts"
import { clawfs, type Place } from "./place.ts"

const ROUNDS = 3
const MEBIBYTES = 512
const FILES = 1000
const BATCHES = 2

/** The top of an encrypted tree below `place`. */
async function encryptedTree(place: Place, work: string): Promise<Place> {
  const key = join(work, "key")
  writeFileSync(key, randomBytes(32), { mode: 0o600 })
  const tree = await place.fresh("encrypted")
  await tree.on(clawfs("encrypt", "--key-file", key, tree.dir))
  return tree
}

/** Nanoseconds a MiB or a file, by row. */
async function round(place: Place): Promise<Map<string, number>> {
  const at = await place.fresh("round")
  const file = join(at.dir, "file")
  await at.touchMemory(MEBIBYTES * 2.5)
  const written = await at.client("seq-write", file, MEBIBYTES)
  await dropAll()
  await at.touchMemory(MEBIBYTES * 2.5)
  const read = await at.client("seq-read", file)
  await at.on(["rm", file])
  const small = await at.client("micro", at.dir, at.drop, FILES, BATCHES)
  await place.on(["rm", "-rf", at.dir])
  return new Map([
    ["write", written.get("sync") ?? NaN],
    ["read", read.get("read") ?? NaN],
    ["create", small.get("uncached.create") ?? NaN],
    ["open", small.get("uncached.open") ?? NaN],
  ])
}

export async function* encrypted(clawfsPlace: Place, gocryptfs: Place, work: string): AsyncGenerator<Row> {
  const tree = await encryptedTree(clawfsPlace, work)
  const bare = await clawfsPlace.fresh("plain")
  const rounds: Record<"ours" | "plain" | "theirs", Map<string, number>>[] = []
  for (let i = 0; i <= ROUNDS; i += 1) {
    const [ours, plain, theirs] = [await round(tree), await round(bare), await round(gocryptfs)]
    // The first is not counted: programs in JavaScript are compiled while they run.
    if (i > 0) rounds.push({ ours, plain, theirs })
  }
  const row = (name: string, goal: number): Row => {
    const of = (which: "ours" | "plain" | "theirs"): number[] =>
      rounds.map((each) => each[which].get(name) ?? NaN)
    const ratio = median(of("theirs").map((value, i) => value / (of("ours")[i] ?? NaN)))
    const figure = (nanoseconds: number): string =>
      name === "write" || name === "read"
        ? `${(1e9 / nanoseconds).toFixed(0)} MiB/s`
        : `${(nanoseconds / 1000).toFixed(0)} us`
    const figures = { ours: figure(median(of("ours"))), plain: figure(median(of("plain"))) }
    const note = `${figures.ours}, not encrypted ${figures.plain}, gocryptfs ${figure(median(of("theirs")))}`
    return { name: `encrypted.${name}`, value: ratio, unit: "x gocryptfs", atLeast: goal, note }
  }
  yield row("write", 2)
  yield row("read", 2)
  yield row("create", 1.5)
  yield row("open", 1.5)
}
