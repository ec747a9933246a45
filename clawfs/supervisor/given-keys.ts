/** Keys of encrypted trees that `clawfs mount` was given: the kernel has them before the first server starts. */
import { closeSync, readSync } from "node:fs"
import { Fault } from "../core/fault.ts"
import { keepKey } from "../../keyring/keyring.ts"
import { KEY_BYTES, newSecret, wipe } from "../../keyring/secret.ts"
import { TreeKey } from "../../keyring/tree-key.ts"
import { KEYS_FD, type KeyName } from "./supervisor.ts"

/** Reads a key for each name from `KEYS_FD` into the session keyring, which is open. */
export function keepGivenKeys(names: readonly KeyName[]): void {
  if (names.length === 0) return
  try {
    for (const name of names) keep(name)
  } finally {
    closeSync(KEYS_FD)
  }
}

function keep({ uuid, id, generation }: KeyName): void {
  const bytes = newSecret(KEY_BYTES)
  if (readSync(KEYS_FD, bytes, 0, KEY_BYTES, null) !== KEY_BYTES) {
    wipe(bytes)
    throw new Fault("io", "the key of an encrypted tree did not arrive")
  }
  using key = new TreeKey({ uuid: Buffer.from(uuid, "hex"), id, generation }, bytes)
  const reason = keepKey(key)
  if (reason !== undefined)
    throw new Fault("unsupported", `the kernel keeps no keys here (${reason})`, {
      hint: "mount without a key, then clawfs unlock",
    })
}
