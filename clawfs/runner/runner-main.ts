/** The runner as a process, started by the server: its argument is the configuration as JSON. It ends with its channel. */
import { present } from "../core/assert.ts"
import { describe, kindOfThrown } from "../core/fault.ts"
import { Log } from "../core/log.ts"
import { Resource, keepDescriptors, limitResource } from "../sys/processes.ts"
import { killWithParent } from "../sys/kill-with-parent.ts"
import type { RunnerConfig, RunnerReport, RunnerRequest } from "./messages.ts"
import { Runner } from "./runner.ts"

/** A run needs some ten here; a tool gets the same limit for itself. */
const MOST_FILES = 4096

const config = JSON.parse(present(process.argv[2], "configuration")) as RunnerConfig
const log = new Log("runner", { level: config.logLevel })

// Whoever ends the mount ends this process; a Ctrl-C in its terminal is not meant for the tools.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => log.debug("signal ignored", { signal }))

function tell(report: RunnerReport): void {
  if (process.connected) process.send?.(report)
}

/** A policy that can't be understood is no reason to end, and the tools that run with it. */
async function statusOf(runner: Runner, id: number): Promise<RunnerReport> {
  try {
    return { kind: "reply", id, ok: true, value: await runner.status() }
  } catch (thrown) {
    const kind = kindOfThrown(thrown)
    return { kind: "reply", id, ok: false, fault: { kind, message: describe(thrown) } }
  }
}

try {
  keepDescriptors()
  // Inherited by every sandbox.
  limitResource(0, Resource.CORE, 0)
  limitResource(0, Resource.NOFILE, MOST_FILES)
  const runner = await Runner.start(config, log, () => {
    // Its sandboxes end with it; the next runner looks after what does not.
    log.error("the keeper of sandboxes died")
    process.kill(process.pid, "SIGKILL")
  })
  process.on("message", ({ id }: RunnerRequest) => void statusOf(runner, id).then(tell))
  killWithParent(() => runner[Symbol.asyncDispose]())
  tell({ kind: "ready" })
} catch (thrown) {
  log.error("tools can't be run", { reason: describe(thrown) })
  process.exitCode = 1
  if (process.connected) process.disconnect()
}
