/** Runs judges in processes of their own, and notices those that hang, die or take too much memory. */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { memoryDirectory } from "../crash/memory-directory.ts"
import { program } from "../helpers/programs.ts"
import type { Order, Report } from "./judging.ts"
import { putUp, type Image } from "./image.ts"
import type { Kind } from "./damages.ts"

export interface Tally {
  tried: number
  same: number
  refused: number
  /** A sentence each. */
  readonly broken: string[]
}

/** No damage may keep anything waiting for longer: eight take a second on an idle machine. */
const HANG_SECONDS = 120
/** Of the whole process; a store of some 200 KiB needs about 120 MiB. */
const MOST_KIB = 512 * 1024

export interface Trial {
  readonly image: Image
  readonly kind: Kind
  readonly first: number
  readonly step: number
  readonly limit: number
  readonly seed: number
}

/** Judges damages `first`, `first + step` … of an image. */
export async function trial({ image, ...rest }: Trial): Promise<Tally> {
  const place = mkdtempSync(join(memoryDirectory, "clawfs-damage-run-"))
  try {
    const store = join(place, "store")
    putUp(image, store)
    const order: Order = { store, ...rest }
    const path = join(place, "order.json")
    writeFileSync(path, JSON.stringify({ ...order, limit: Math.min(order.limit, 1e9) }))
    return await judged(path, join(place, "tmp"))
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}

async function judged(order: string, scratch: string): Promise<Tally> {
  const tally: Tally = { tried: 0, same: 0, refused: 0, broken: [] }
  const child = spawn(process.execPath, [program("test/damage/judging.ts"), order, scratch], {
    stdio: ["ignore", "pipe", "pipe"],
  })
  let [trying, isDone, errors] = ["nothing", false, ""]
  let timer = setTimeout(() => child.kill("SIGKILL"), HANG_SECONDS * 1000)
  child.stderr.on("data", (bytes: Buffer) => (errors = `${errors}${bytes.toString()}`.slice(-2000)))
  for await (const line of createInterface({ input: child.stdout })) {
    const report = JSON.parse(line) as Report
    clearTimeout(timer)
    timer = setTimeout(() => child.kill("SIGKILL"), HANG_SECONDS * 1000)
    if (report.is === "trying") trying = report.damage
    else if (report.is === "broken") tally.broken.push(`${report.damage}: ${report.problems.join("; ")}`)
    else {
      isDone = true
      Object.assign(tally, { tried: report.tried, same: report.same, refused: report.refused })
      if (report.peakKib > MOST_KIB) tally.broken.push(`the process took ${report.peakKib} KiB`)
    }
  }
  clearTimeout(timer)
  if (!isDone) tally.broken.push(`the process died or hung at or soon after "${trying}": ${errors}`)
  return tally
}
