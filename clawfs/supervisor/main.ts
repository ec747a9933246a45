/**
 * The supervisor as a process of its own, started by `clawfs mount`: its argument is the options as JSON. With an IPC
 * channel it tells its parent once whether the mount is usable; then the parent ends and it goes on.
 */
import { Fault, describe, kindOfThrown } from "../core/fault.ts"
import { present } from "../core/assert.ts"
import { Log } from "../core/log.ts"
import type { FaultReport } from "../server/messages.ts"
import { joinSessionKeyring } from "../../keyring/keyring.ts"
import { keepGivenKeys } from "./given-keys.ts"
import { Supervisor, type SupervisorOptions } from "./supervisor.ts"

export type SupervisorReport =
  { readonly kind: "serving" } | { readonly kind: "failed"; readonly fault: FaultReport }

const options = JSON.parse(present(process.argv[2], "options")) as SupervisorOptions
const log = new Log("supervisor", { level: options.server.logLevel })

function tell(report: SupervisorReport): void {
  if (process.send === undefined || !process.connected) return
  process.send(report, () => {
    if (process.connected) process.disconnect()
  })
}

/** Each mount has keys of its own, which end with it. Where the kernel has no keyrings, they end with a server. */
function openKeyring(): void {
  try {
    joinSessionKeyring()
  } catch (thrown) {
    log.info("keys of encrypted trees will not survive the server", { reason: describe(thrown) })
  }
}

try {
  openKeyring()
  keepGivenKeys(options.keys ?? [])
  const supervisor = await Supervisor.mount(options, log, () => tell({ kind: "serving" }))
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void supervisor.stop())
  process.on("SIGHUP", () => log.info("SIGHUP ignored"))
  await supervisor.run()
} catch (thrown) {
  const { kind, hint } = thrown instanceof Fault ? thrown : { kind: kindOfThrown(thrown), hint: undefined }
  log.error("cannot mount", { reason: describe(thrown) })
  tell({ kind: "failed", fault: { kind, message: describe(thrown), hint } })
  process.exitCode = 1
}
