/**
 * A process of its own that outlives whatever hangs: it aborts the FUSE connections of one test mount when the time is
 * over, and removes mount, processes and files when the test process dies without having cleaned up.
 * Arguments: the base directory and the seconds. Standard input carries one JSON line per order; its end without the
 * order "done" means that the test process died. Prints "aborted" when the time was over.
 */
import { rmSync } from "node:fs"
import { createInterface } from "node:readline"
import {
  abortConnections,
  detachMounts,
  kill,
  mountsBelow,
  processesNaming,
  type ProcessId,
} from "./mountinfo.ts"

/** What the test process tells: the processes to end in an emergency, or that everything was cleaned up. */
export type Order = { readonly processes: readonly ProcessId[] } | { readonly done: true }

const [base = "", seconds = "170"] = process.argv.slice(2)
let processes: readonly ProcessId[] = []
let isDone = false

setTimeout(
  () => {
    process.stdout.write(`aborted ${abortConnections(base)}\n`)
  },
  Number(seconds) * 1000,
).unref()

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const order = JSON.parse(line) as Order
    if ("done" in order) isDone = true
    else processes = order.processes
  })
  .on("close", () => {
    if (!isDone) cleanUp()
    process.exitCode = 0
  })

function cleanUp(): void {
  abortConnections(base)
  processes.forEach(kill)
  for (const { id } of processesNaming(base)) if (id.pid !== process.pid) kill(id)
  detachMounts(base)
  if (mountsBelow(base).length === 0) rmSync(base, { recursive: true, force: true })
}
