/** `clawfs vault mount` and `unmount`. */
import { readdirSync, realpathSync, statSync } from "node:fs"
import { resolve } from "node:path"
import { Fault } from "../../core/fault.ts"
import { mountAt } from "../../sys/mountinfo.ts"
import { ExitCode } from "../exit-code.ts"
import { requireFuse } from "../fuse-device.ts"
import type { VaultAction } from "../vault/action.ts"
import { callVault } from "../vault/client.ts"

/** Where the specification has it. */
const DEFAULT_MOUNTPOINT = "/clawfs/vault"
const VAULT_TYPE = "fuse.clawfs-vault"

/** An existing, empty directory, resolved. A dead mount of a vault on it does not count: it is taken away. */
export function mountpointOf(given: string): string {
  requireFuse()
  const place = resolve(given)
  if (mountAt(place)?.type === VAULT_TYPE) return place
  try {
    const path = realpathSync(given)
    if (!statSync(path).isDirectory()) throw new Fault("invalid", `${path} is not a directory`)
    if (readdirSync(path).length > 0) throw new Fault("not-empty", `the directory ${path} is not empty`)
    return path
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "ENOENT")
      throw new Fault("not-found", `there is no directory ${given} to mount on`, { cause })
    if (code === "EACCES") throw new Fault("denied", `no permission to reach ${given}`, { cause })
    throw cause
  }
}

export function mountOn(directory: string, mountpoint: string): void {
  callVault(directory, "mount", { directory: mountpoint })
}

export function mount({ directory, operands, terminal }: VaultAction): ExitCode {
  const mountpoint = mountpointOf(operands[0] ?? DEFAULT_MOUNTPOINT)
  mountOn(directory, mountpoint)
  terminal.note(`the vault is mounted on ${mountpoint}`)
  return ExitCode.OK
}

export function unmount({ directory }: VaultAction): ExitCode {
  callVault(directory, "unmount")
  return ExitCode.OK
}
