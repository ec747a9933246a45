/** What programs notice of the cleaner and of a scrub: latency of small files without and with them, in turns. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { numbers } from "../command.ts"
import { compiled } from "../paths.ts"
import { median, type Row } from "../rows.ts"
import { clawfs, type Place } from "./place.ts"

const ROUNDS = 5
const SECONDS = 6
const MEBIBYTES = 768
const FILES = 768

async function p99(place: Place): Promise<number> {
  const at = await place.fresh("latency")
  const program = compiled("search", "latency-client.js")
  const { stdout } = await at.on([process.execPath, program, at.dir, String(SECONDS)])
  return numbers(stdout).get("p99") ?? NaN
}

/** Files of 1 MiB, of which three of four are deleted again: dead bytes in every segment. */
async function makeDead(place: Place): Promise<void> {
  const at = await place.fresh("dead")
  await at.client("fill", at.dir, 0, FILES, (MEBIBYTES / FILES) * 2 ** 20)
  await at.on(["sh", "-c", `cd ${at.dir} && ls | awk 'NR % 4' | xargs rm`])
}

/** Runs `command` until the latency was measured. */
async function beside(place: Place, command: readonly string[]): Promise<number> {
  const [file = "", ...args] = command
  const child = spawn(file, args, { stdio: "ignore" })
  const ended = once(child, "exit")
  const value = await p99(place)
  child.kill("SIGINT")
  await ended
  return value
}

export async function* background(place: Place): AsyncGenerator<Row> {
  const mount = place.target.mount ?? ""
  const big = await place.fresh("big")
  await big.client("seq-write", join(big.dir, "file"), 1024)
  await p99(place)
  const ratios: Record<"cleaner" | "scrub", number[]> = { cleaner: [], scrub: [] }
  const idle: number[] = []
  for (let i = 0; i < ROUNDS; i += 1) {
    const before = await p99(place)
    const scrub = await beside(place, clawfs("scrub", "start", "--wait", mount))
    const between = await p99(place)
    await makeDead(place)
    const cleaner = await beside(place, clawfs("gc", "--now", mount))
    idle.push(before, between)
    ratios.scrub.push(scrub / Math.min(before, between))
    ratios.cleaner.push(cleaner / Math.min(before, between))
  }
  const note = `p99 ${median(idle).toFixed(0)} us without`
  for (const name of ["cleaner", "scrub"] as const)
    yield { name: `p99.${name}`, value: median(ratios[name]), unit: "x idle", atMost: 1.1, note }
}
