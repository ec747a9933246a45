/** Makes a process that was forked with a channel end with the process that started it, however that ends. */
import { checked } from "./ffi.ts"
import { prctl } from "./libc.ts"

const PR_SET_PDEATHSIG = 1
const SIGKILL = 9

function end(): void {
  process.kill(process.pid, "SIGKILL")
}

/**
 * From now on this process is killed when its parent is gone or has closed the channel between them. The kernel's signal
 * (prctl(2)) also reaches a process that waits in a system call; it is not sent for a parent that was gone before it was
 * asked for, and neither is the event of a channel that closed while this program's modules were being loaded.
 *
 * `last` is done before when the channel was closed, for which the parent must still be there.
 */
export function killWithParent(last: () => Promise<void> = () => Promise.resolve()): void {
  checked("prctl", prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
  process.on("disconnect", () => void last().finally(end))
  if (!process.connected) end()
}
