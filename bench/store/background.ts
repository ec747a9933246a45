/**
 * What programs notice of the cleaner and of a scrub: latency of small files without and with them, in turns. `gc --now` is
 * measured too and has no goal: somebody waits for it.
 */
import { join } from "node:path"
import { numbers, sleep } from "../command.ts"
import { compiled } from "../paths.ts"
import { median, type Row } from "../rows.ts"
import { clawfs, type Place } from "./place.ts"

const ROUNDS = 5
const SECONDS = 5
const MEBIBYTES = 768
const FILES = 768
/** The cleaner looks every second whether there is something to do. */
const BEGINS_MS = 1500

async function p99(place: Place): Promise<number> {
  const at = await place.fresh("latency")
  const program = compiled("search", "latency-client.js")
  const { stdout } = await at.on([process.execPath, program, at.dir, String(SECONDS)])
  return numbers(stdout).get("p99") ?? NaN
}

/** Files of 1 MiB, of which three of four are deleted again: dead bytes in every segment. What the disk has to do for that is not measured. */
async function makeDead(place: Place): Promise<void> {
  const at = await place.fresh("dead")
  await at.client("fill", at.dir, 0, FILES, (MEBIBYTES / FILES) * 2 ** 20)
  await at.on(["sh", "-c", `cd ${at.dir} && ls | awk 'NR % 4' | xargs rm; sync -f .`])
}

/** More is dead than the cleaner leaves (docs/FORMAT.md §2): it has work. */
async function isCleanerDue(place: Place, mount: string): Promise<boolean> {
  const { stdout } = await place.on(clawfs("status", mount, "--json"))
  const { log } = JSON.parse(stdout) as { log: { liveBytes: number; deadBytes: number } }
  return log.deadBytes > 64 * 2 ** 20 + log.liveBytes / 4
}

/** It would go on by itself, so it is stopped, which fails if it had come to its end. */
async function besideScrub(place: Place, mount: string): Promise<number> {
  await place.on(clawfs("scrub", "start", mount))
  const value = await p99(place)
  await place.on(clawfs("scrub", "stop", mount))
  return value
}

/** While the cleaner works by itself. */
async function besideCleaner(place: Place, mount: string): Promise<number> {
  await makeDead(place)
  await sleep(BEGINS_MS)
  const value = await p99(place)
  if (!(await isCleanerDue(place, mount))) throw new Error("the cleaner was done before the end")
  await place.on(clawfs("gc", "--now", mount))
  return value
}

async function besideOrder(place: Place, mount: string): Promise<number> {
  await makeDead(place)
  const ordered = place.on(clawfs("gc", "--now", mount))
  const value = await p99(place)
  await ordered
  return value
}

export async function* background(place: Place): AsyncGenerator<Row> {
  const mount = place.target.mount ?? ""
  const big = await place.fresh("big")
  await big.client("seq-write", join(big.dir, "file"), 1024)
  await p99(place)
  const measures = {
    scrub: () => besideScrub(place, mount),
    cleaner: () => besideCleaner(place, mount),
    "gc-now": () => besideOrder(place, mount),
  }
  const kinds = Object.keys(measures) as (keyof typeof measures)[]
  const ratios = new Map<string, number[]>(kinds.map((kind) => [kind, []]))
  const idle: number[] = [await p99(place)]
  for (let i = 0; i < ROUNDS; i += 1) {
    for (const kind of kinds) {
      const [before = NaN, busy, after] = [idle.at(-1), await measures[kind](), await p99(place)]
      idle.push(after)
      ratios.get(kind)?.push((2 * busy) / (before + after))
    }
  }
  const note = `p99 ${median(idle).toFixed(0)} us without`
  for (const kind of kinds) {
    const row = { name: `p99.${kind}`, value: median(ratios.get(kind) ?? []), unit: "x idle", note }
    yield kind === "gc-now" ? row : { ...row, atMost: 1.1 }
  }
}
