/** Who serves a store, as far as its files tell. */
import { Fault } from "../core/fault.ts"
import type { SupervisorState } from "../../schema/supervisor-state.ts"
import { readState } from "../supervisor/state.ts"

/** The state that a running supervisor wrote; undefined when none runs. */
export function supervisorOf(store: string): SupervisorState | undefined {
  try {
    return readState(store)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "EACCES" || code === "EPERM")
      throw new Fault("denied", `no permission to read the store ${store}`, { cause })
    if (code === "ENOTDIR" || cause instanceof SyntaxError) return undefined
    throw cause
  }
}
