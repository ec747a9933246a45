/** One process a vault: flock(2) on `VAULT/lock`, which the kernel gives back with the process. */
import { closeSync, openSync } from "node:fs"
import { join } from "node:path"
import { Fault } from "../../clawfs/core/fault.ts"
import { flock } from "../../clawfs/sys/libc.ts"

const LOCK_EX_NB = 6

/** Throws `Fault("busy")` when another process has the vault. Closing the descriptor gives the lock back. */
export function lockVault(directory: string): number {
  const fd = openSync(join(directory, "lock"), "a", 0o600)
  if (flock(fd, LOCK_EX_NB) === 0) return fd
  closeSync(fd)
  throw new Fault("busy", `the vault in ${directory} is in use by another process`, {
    hint: "clawfs vault lock",
  })
}
