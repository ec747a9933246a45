/** One indexer an index: flock(2) on `index/lock`, which goes with the process that has it, however it ends. */
import { openSync } from "node:fs"
import { join } from "node:path"
import { checked } from "../../sys/ffi.ts"
import { flock } from "../../sys/libc.ts"

const LOCK_EX = 2

/** Waits until nobody else writes to the index in `directory`; then it is this process's until that ends. */
export function lockIndex(directory: string): void {
  const fd = openSync(join(directory, "lock"), "a", 0o600)
  checked("flock", flock(fd, LOCK_EX))
}
