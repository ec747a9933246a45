/**
 * Puts up states that a power cut may leave of a recording, opens each and judges it. Prints one line of JSON: a Verdict.
 *
 *   node build/test-programs/test/crash/judge.js '{ "recording": …, "cli": …, "loads": […], "seed": …, "states": …, … }'
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Random } from "../model/random.ts"
import { checkStore, openerOf, putUp } from "./check.ts"
import { choices, moments, type Choice } from "./choices.ts"
import { Disk, type Pending } from "./disk.ts"
import { fsck } from "../../clawfs/fsck/fsck.ts"
import { FeedCheck } from "./feed-check.ts"
import { Promises, compare, trackCheck } from "./promises.ts"
import { secondLife } from "./second-life.ts"
import { INITIAL, KEYS, readRecording } from "./recording.ts"
import type { Load } from "./session.ts"
import { readKeyFiles } from "./unlocking.ts"

export interface JudgeOrder {
  readonly recording: string
  /** The program whose store module opens the states. */
  readonly cli: string
  readonly loads: readonly Load[]
  readonly seed: number
  /** How many states to judge in all, by this judge and those beside it. */
  readonly states: number
  readonly judge: number
  readonly judges: number
  /** An empty directory to put stores up in. */
  readonly place: string
  /** Ends at so many broken states. */
  readonly failures: number
  /** Names that are to stay as they are, with their digests. */
  readonly fixed?: readonly (readonly [string, string])[]
  /** Nobody read the change feed: it tells everything. */
  readonly hasWholeFeed?: boolean
  /** Where to leave the stores that turn out broken. */
  readonly keep?: string
}

export interface Failure {
  /** Operations that had happened, and what of the pending ones was there. */
  readonly moment: number
  readonly choice: string
  readonly broken: readonly string[]
  readonly pending: readonly string[]
}

export interface Verdict {
  readonly states: number
  readonly moments: number
  readonly failures: readonly Failure[]
}

/** Few moments have so many pending operations that all of these differ. */
const STATES_PER_MOMENT = 12
const STATES_ON_AVERAGE = 9
/** One in so many stores is used again and checked after another power cut. */
const STATES_PER_SECOND_LIFE = 3
/** ... and one in so many is gone through by fsck, which reads every row and compares its sum. */
const STATES_PER_FSCK = 5

const order = JSON.parse(process.argv[2] ?? "") as JudgeOrder
const recording = readRecording(order.recording)
const open = await openerOf(order.cli, readKeyFiles(join(order.recording, KEYS)))
const disk = new Disk(recording, (name) => readFileSync(join(order.recording, INITIAL, name)))
const promises = new Promises(recording.ops)
const checks = new Map(order.loads.map((load) => [load.track, trackCheck(load)]))
const fixed = new Map(order.fixed)
const feed = new FeedCheck()
const { place } = order
const failures: Failure[] = []
let [states, judged] = [0, 0]

const count = Math.ceil(order.states / STATES_ON_AVERAGE)
const chosen = moments(recording.ops, count, new Random(order.seed))
for (const [index, moment] of chosen.entries()) {
  if (index % order.judges !== order.judge || failures.length >= order.failures) continue
  disk.advance(moment)
  promises.advance(moment)
  judged += 1
  const random = new Random(order.seed + 7919 * moment)
  for (const choice of choices(disk.pending, STATES_PER_MOMENT, random)) judge(moment, choice)
}
const verdict: Verdict = { states, moments: judged, failures }
process.stdout.write(`${JSON.stringify(verdict)}\n`)

function judge(moment: number, choice: Choice): void {
  states += 1
  const directory = join(place, "store")
  putUp(directory, disk.filesWith(choice.keep), states % 2 === 0)
  const broken = checkStore(directory, open, (found, store) => [
    ...[...checks].flatMap(([track, check]) => check(found, promises.of(track))),
    ...compare(fixed, new Map([...found.picture].filter(([name]) => fixed.has(name)))),
    ...(order.hasWholeFeed === true ? feed.check(store) : []),
    ...(states % STATES_PER_FSCK === 0 ? fsckOf(directory) : []),
  ])
  if (broken.length === 0 && states % STATES_PER_SECOND_LIFE === 0)
    broken.push(...secondLife(directory, join(place, "copy"), open))
  if (broken.length === 0) return
  if (order.keep !== undefined) {
    const kept = join(order.keep, `moment-${moment}-state-${order.judge}-${states}`)
    putUp(kept, disk.filesWith(choice.keep), states % 2 === 0)
  }
  failures.push({ moment, choice: choice.name, broken: broken.slice(0, 6), pending: listed(choice) })
}

function fsckOf(directory: string): string[] {
  const { findings } = fsck({ directory, isOnline: true, repair: false })
  return findings.map(({ kind, message }) => `fsck: ${kind}: ${message}`)
}

/** The pending operations, those that did not arrive as a whole marked. */
function listed(choice: Choice): string[] {
  return disk.pending.map((each) => {
    const kept = choice.keep(each)
    const state = kept === "all" ? "there  " : kept === "nothing" ? "missing" : "torn   "
    return `${state} ${describe(each)}`
  })
}

function describe({ index, op }: Pending): string {
  switch (op.op) {
    case "write":
      return `${index}: write ${op.length} bytes to file ${op.file} at ${op.at}`
    case "truncate":
      return `${index}: truncate file ${op.file} to ${op.size}`
    case "create":
      return `${index}: create ${op.name} as file ${op.file}`
    case "unlink":
      return `${index}: unlink ${op.name}`
  }
}
