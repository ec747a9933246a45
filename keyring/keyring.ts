/**
 * Where the keys of unlocked trees outlive a killed server: in the supervisor's session keyring, which each server
 * inherits and which goes with the last of them. Not on disk, not in swap, not in a core dump.
 */
import { Fault, describe } from "../clawfs/core/fault.ts"
import { addKey, dropKey, joinSessionKeyring, readKey } from "../clawfs/sys/keyctl.ts"
import { KEY_BYTES, newSecret, wipe } from "./secret.ts"
import { TreeKey, type KeyIdentity } from "./tree-key.ts"

export { joinSessionKeyring }

/** Store, number and generation: a key that was re-keyed away is never taken for its successor. Nothing secret. */
function nameOf({ uuid, id, generation }: KeyIdentity): string {
  return `clawfs:${uuid.toString("hex")}:${id}:${generation}`
}

/** Keeps a key. Returns why it can't be kept where the kernel offers no keyring, as in many containers. */
export function keepKey(key: TreeKey): string | undefined {
  const bytes = key.expose()
  try {
    addKey(nameOf(key.identity), bytes)
    return undefined
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw thrown
    return describe(thrown)
  } finally {
    wipe(bytes)
  }
}

/** A key that was kept, by this server or one before it. */
export function keptKey(identity: KeyIdentity): TreeKey | undefined {
  const bytes = newSecret(KEY_BYTES)
  if (readKey(nameOf(identity), bytes)) return new TreeKey(identity, bytes)
  wipe(bytes)
  return undefined
}

export function dropKept(identity: KeyIdentity): void {
  dropKey(nameOf(identity))
}
