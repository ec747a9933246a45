/**
 * Where the audit ended when this machine saw the vault last: in the kernel, in the keyring of the vault's owner, outside of the
 * database. A vault.db that was put back to an earlier state does not have that end, though all in it fits together. It is there
 * until the machine is switched off, or 30 days. Its owner's programs could remove it, or write an older one; nobody can make up a newer one.
 */
import { Fault } from "../clawfs/core/fault.ts"
import { Ring, addKey, expireKey, readKey } from "../clawfs/sys/keyctl.ts"
import type { Audit } from "./audit.ts"
import type { VaultKeys } from "./keys.ts"

const MAC_BYTES = 32
const NOTE_BYTES = 8 + MAC_BYTES
/** Since it was written last: there is not much room in a user's keyring for vaults that are no more. */
const KEPT_SECONDS = 30 * 86_400

/** Others can see it: nothing in it is secret. */
function nameOf({ uuid }: Pick<VaultKeys, "uuid">): string {
  return `clawfs:vault-end:${uuid.toString("hex")}`
}

export class NotedEnd {
  readonly #audit: Audit
  #seq = -1

  constructor(audit: Audit) {
    this.#audit = audit
  }

  /** How many rows the database is behind what was noted; 0: it has that end, or none was noted. */
  behind(keys: VaultKeys): number {
    const note = Buffer.alloc(NOTE_BYTES)
    if (!readKey(nameOf(keys), note, Ring.USER)) return 0
    const seq = Number(note.readBigUInt64LE())
    if (this.#audit.has(keys, seq, note.subarray(8))) return 0
    // One that went on from an earlier state may be as long, or longer.
    return Math.max(1, seq - this.#audit.end(keys).seq)
  }

  /** Throws `Fault("denied")` for a database that was put back to an earlier state. */
  requireNewest(keys: VaultKeys): void {
    const rows = this.behind(keys)
    if (rows === 0) return
    throw new Fault(
      "denied",
      `the vault is older than when this machine saw it last: its audit lacks ${rows} ${rows === 1 ? "row" : "rows"} or more`,
      { hint: "if this is a backup that you have restored yourself: clawfs vault adopt" },
    )
  }

  /** Notes the present end, if it is another one. False where the kernel keeps nothing. */
  note(keys: VaultKeys): boolean {
    const { seq, mac } = this.#audit.end(keys)
    if (seq === this.#seq) return true
    const note = Buffer.alloc(NOTE_BYTES)
    note.writeBigUInt64LE(BigInt(seq))
    mac.copy(note, 8)
    try {
      addKey(nameOf(keys), note, Ring.USER)
      expireKey(nameOf(keys), KEPT_SECONDS, Ring.USER)
    } catch (thrown) {
      if (thrown instanceof Fault) return false
      throw thrown
    }
    this.#seq = seq
    return true
  }
}
