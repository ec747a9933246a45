/**
 * The TPM's counter against the vault's epoch: a database that was put back to before a rotation is behind the counter, and
 * what was sealed for it opens nowhere any more.
 */
import { Fault } from "../clawfs/core/fault.ts"
import type { Counter, Tpm } from "../keyring/tpm.ts"
import type { VaultState } from "./state.ts"

/**
 * The vault's counter, at the value that the epoch says: a rotation that was killed before it could count is brought to its
 * end. Needs no key. Throws `Fault("denied")` for a database that is older than the counter, and for a TPM without it.
 */
export function settleCounter(tpm: Tpm, { counter: place, epoch }: VaultState): Counter | undefined {
  if (place === undefined) return undefined
  const counter = tpm.openCounter(place.index, place.name)
  if (counter === undefined)
    throw new Fault("denied", "the TPM does not have the counter of this vault: another one, or cleared", {
      hint: "clawfs vault adopt, with a passphrase or recovery words, takes the vault as it is",
    })
  const wanted = place.base + BigInt(epoch)
  const value = tpm.read(counter)
  if (value > wanted)
    throw new Fault("denied", `the vault is older than its TPM's counter (${wanted}, it counts ${value})`, {
      hint: "if this is a backup that you have restored yourself: clawfs vault adopt",
    })
  // A rotation leaves it one behind, never more.
  if (wanted - value > 1n) throw new Fault("corrupt", "the vault's epoch does not fit its TPM's counter")
  if (value < wanted) tpm.increment(counter)
  return counter
}
