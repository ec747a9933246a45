/** The work of `clawfs scrub`. */
import { setTimeout as sleep } from "node:timers/promises"
import { call } from "../../api/client.ts"
import { Fault } from "../../core/fault.ts"
import type { ScrubStatus } from "../../server/scrubbing.ts"
import { isClawfs } from "../../sys/clawfs-mounts.ts"
import { UsageError } from "../command.ts"
import { ACTIONS, type ScrubInvocation } from "../commands/scrub.ts"
import { supervisorOf } from "../daemon.ts"
import { ExitCode } from "../exit-code.ts"
import { locate } from "../mountpoint.ts"
import { describeScrub } from "../scrub-report.ts"
import { inspectStore } from "../store-files.ts"

const DEFAULT_LIMIT = 20
const MOST_LIMIT = 100_000
const POLL_MS = 200

export async function runScrub({ values, operands, terminal }: ScrubInvocation): Promise<ExitCode> {
  const [action, path = ""] = operands
  if (!ACTIONS.some((each) => each === action))
    throw new UsageError(`scrub: the action is one of ${ACTIONS.join(", ")}, got "${action ?? ""}"`)
  const limit = limitOf(values.limit)
  const store = storeOf(path)
  const isMounted = supervisorOf(store) !== undefined
  const isJson = values.json === true
  if (action === "start" && !isMounted)
    return (await import("./scrub-offline.ts")).scrubOffline(store, limit, isJson, terminal)
  if (!isMounted)
    throw new Fault("not-found", `${store} is not mounted`, { hint: `clawfs scrub start ${store}` })
  if (action === "stop") {
    await call(store, "scrub.stop")
    return ExitCode.OK
  }
  if (action === "start") {
    await call(store, "scrub.start", { limit })
    if (values.wait !== true) return ExitCode.OK
    await ended(store)
  }
  const status = await statusOf(store)
  if (isJson) terminal.out(JSON.stringify(status, undefined, 2))
  else terminal.out(describeScrub(status).join("\n"))
  if (status.failure !== undefined) throw new Fault("io", `the scrub failed: ${status.failure}`)
  return status.errors === 0 ? ExitCode.OK : ExitCode.NO
}

function limitOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_LIMIT
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN
  if (value <= MOST_LIMIT) return value
  throw new UsageError(`scrub: --limit takes MiB a second, up to ${MOST_LIMIT}, 0 for none, got "${text}"`)
}

/** The store at a path on a mount, or the store itself. */
function storeOf(operand: string): string {
  const { entry } = locate(operand)
  return isClawfs(entry) ? entry.source : inspectStore(operand).path
}

async function statusOf(store: string): Promise<ScrubStatus> {
  return (await call(store, "scrub.status")) as ScrubStatus
}

/** A server that dies meanwhile is replaced, and the new one goes on with the scrub. */
async function ended(store: string): Promise<void> {
  for (;;) {
    await sleep(POLL_MS)
    try {
      if ((await statusOf(store)).state !== "running") return
    } catch (thrown) {
      const isAway = thrown instanceof Fault && (thrown.kind === "not-found" || thrown.kind === "io")
      if (!isAway || supervisorOf(store) === undefined) throw thrown
    }
  }
}
