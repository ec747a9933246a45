/** Makes a helper process end with the process that started it, however that ends. */
import { checked } from "./ffi.ts"
import { prctl } from "./libc.ts"

const PR_SET_PDEATHSIG = 1
const SIGKILL = 9

/** The kernel sends SIGKILL to this process when the thread that started it is gone (prctl(2)). */
export function killWithParent(): void {
  checked("prctl", prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
}
