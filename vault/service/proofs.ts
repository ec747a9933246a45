/**
 * A proof that a person is there: the passphrase, the recovery words or the key file, shown again. What gives a secret out or
 * widens who may use it asks for one, because a program that runs as the vault's owner could do everything else too.
 */
import { Fault } from "../../clawfs/core/fault.ts"
import type { SecretKind } from "../../keyring/secret-protector.ts"
import type { PersonText } from "../../schema/vault-api.ts"
import { MOST_FAILURES, WINDOW_MS, tooManyWrong } from "../attempts.ts"
import type { Subject } from "../audit.ts"
import type { VaultDatabase } from "../database.ts"
import { unlock } from "../unlock.ts"
import type { Vault } from "../vault.ts"
import { readAllInto } from "./descriptors.ts"

const MOST_SECRET_BYTES = 8192

/** What a person has, in secret memory, as long as `work` runs. */
export function withPerson<T>(
  vault: Vault,
  { kind, fd }: { readonly kind: SecretKind; readonly fd: number },
  work: (person: { kind: SecretKind; secret: Buffer }) => T,
): T {
  return vault.values.borrow(MOST_SECRET_BYTES + 1, (room) => {
    const length = readAllInto(fd, room, "the passphrase or key")
    return work({ kind, secret: room.subarray(0, length) })
  })
}

export class Proofs {
  readonly #db: VaultDatabase
  readonly #vault: Vault
  #failures: number[] = []

  constructor(db: VaultDatabase, vault: Vault) {
    this.#db = db
    this.#vault = vault
  }

  /** Throws `Fault("denied")` for a wrong secret, "busy" after too many of them; either is a row of the audit. */
  check(proof: PersonText, fd: number, subject: Subject): void {
    const now = Date.now()
    this.#failures = this.#failures.filter((time) => now - time < WINDOW_MS)
    try {
      if (this.#failures.length >= MOST_FAILURES) throw tooManyWrong()
      withPerson(this.#vault, { kind: proof.kind, fd }, (person) =>
        unlock(this.#db, { person, inKernel: false, anyAge: true }).keys[Symbol.dispose](),
      )
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown
      if (thrown.kind === "denied") this.#failures.push(now)
      const refuse = (): never => {
        throw thrown
      }
      // What is not looked at costs nothing to ask: its rows wait for no disk.
      this.#vault.audited("proof", subject, refuse, thrown.kind === "busy")
    }
  }
}
