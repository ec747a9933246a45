/** Programs wait for some threads as they would for the kernel's own code. */
import { setPriority } from "node:os"
import { describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"

const PRIORITY = -10

/** The calling thread goes before other work where it may (root; setpriority(2) concerns one thread alone). */
export function raisePriority(log?: Log): void {
  try {
    setPriority(0, PRIORITY)
  } catch (cause) {
    log?.debug("priority stays", { reason: describe(cause) })
  }
}
