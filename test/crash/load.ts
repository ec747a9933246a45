/**
 * Does steps of a plan in a directory on a mount and marks each.
 *
 *   node build/test-programs/test/crash/load.js '{ "directory": …, "marks": …, "track": …, "plan": …, "from": …, "to": … }'
 */
import {
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs"
import { join } from "node:path"
import { pattern } from "../model/random.ts"
import { marker } from "./marks.ts"
import { childrenOf, stopAndKill } from "./stop.ts"
import { isPromise, type PlanOptions, type Step } from "./draft.ts"
import { carryOut, unlock } from "./orders.ts"
import { makePlan } from "./plan.ts"

export interface LoadOrder {
  readonly directory: string
  readonly marks: string
  readonly track: string
  readonly plan: PlanOptions
  readonly from: number
  readonly to: number
  /** Where supervisor.json tells who serves. */
  readonly store: string
  readonly keys: string
}

const order = JSON.parse(process.argv[2] ?? "") as LoadOrder
const mark = marker(order.marks)
const steps = makePlan(order.plan)

if (order.from > 0 && order.plan.tree?.encrypted === true) await unlock(order, keyAfter(order.from))

for (const [index, step] of steps.slice(order.from, order.to).entries()) {
  const number = order.from + index + 1
  mark({ track: order.track, begun: number })
  await perform(step)
  mark({ track: order.track, done: number, durable: isPromise(step) })
}

/** The key file that opens the tree after `done` steps. */
function keyAfter(done: number): number {
  const last = steps.slice(0, done).findLast(({ op }) => op === "rekey" || op === "encrypt")
  if (last?.op === "rekey") return last.to
  return last?.op === "encrypt" ? last.key : 1
}

function perform(step: Step): void | Promise<void> {
  const path = (name: string): string => join(order.directory, name)
  switch (step.op) {
    case "mkdir":
      mkdirSync(path(step.path))
      return
    case "create":
      closeSync(openSync(path(step.path), "wx"))
      return
    case "write":
      withFile(path(step.path), constants.O_WRONLY | (step.sync ? constants.O_DSYNC : 0), (fd) => {
        const written = writeSync(fd, pattern(step.seed, step.length), 0, step.length, step.at)
        if (written !== step.length) throw new Error(`write(2) took ${written} of ${step.length} bytes`)
      })
      return
    case "truncate":
      withFile(path(step.path), constants.O_WRONLY, (fd) => ftruncateSync(fd, step.size))
      return
    case "rename":
      renameSync(path(step.path), path(step.to))
      return
    case "unlink":
      unlinkSync(path(step.path))
      return
    case "fsync":
      withFile(path(step.path), constants.O_RDONLY, fsyncSync)
      return
    case "pause":
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, step.ms)
      return
    case "kill":
      return killServer()
    default:
      return carryOut(step, order)
  }
}

function withFile(path: string, flags: number, use: (fd: number) => void): void {
  const fd = openSync(path, flags)
  try {
    use(fd)
  } finally {
    closeSync(fd)
  }
}

async function killServer(): Promise<void> {
  const { pid } = JSON.parse(readFileSync(join(order.store, "supervisor.json"), "utf8")) as { pid: number }
  await stopAndKill(childrenOf(pid))
}
