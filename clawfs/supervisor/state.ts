/**
 * `STORE/supervisor.json`: who serves the store and how it fares, for `clawfs status` and for the next start. Written
 * whole and renamed, so a reader never sees half of it.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { SupervisorState } from "../../schema/supervisor-state.ts"
import { isRunning } from "../sys/process-identity.ts"

const FILE = "supervisor.json"

export function writeState(store: string, state: SupervisorState): void {
  const path = join(store, FILE)
  writeFileSync(`${path}.new`, `${JSON.stringify(state)}\n`, { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

export function removeState(store: string): void {
  rmSync(join(store, FILE), { force: true })
}

/** The state of a supervisor that is alive; undefined when none is. */
export function readState(store: string): SupervisorState | undefined {
  let text: string
  try {
    text = readFileSync(join(store, FILE), "utf8")
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw cause
  }
  const state = SupervisorState.safeParse(JSON.parse(text))
  return state.success && isRunning(state.data.pid, state.data.started) ? state.data : undefined
}
