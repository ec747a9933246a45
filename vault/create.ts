/** A new vault. */
import { randomBytes } from "node:crypto"
import { Fault } from "../clawfs/core/fault.ts"
import { HeldRoot } from "../keyring/held-root.ts"
import { ProtectorKind } from "../keyring/protector.ts"
import { randomSecret, wipe } from "../keyring/secret.ts"
import { makeFixed, sealFor, type PersonSecret } from "../keyring/secret-protector.ts"
import { makeTpmFixed, sealToTpm } from "../keyring/tpm-protector.ts"
import { Tpm, checkTcti } from "../keyring/tpm.ts"
import { Audit, type Subject } from "./audit.ts"
import { VaultDatabase } from "./database.ts"
import { VaultKeys } from "./keys.ts"
import { Protectors, placeOf } from "./protectors.ts"
import { writeState, type CounterPlace } from "./state.ts"

export interface TpmChoice {
  readonly tcti: string
  readonly pcrs: readonly number[]
  readonly pin?: Buffer | undefined
}

export interface NewVault {
  /** One at least. */
  readonly people: readonly PersonSecret[]
  readonly tpm?: TpmChoice | undefined
  readonly idleSeconds: number
  readonly subject: Subject
}

const FIRST_EPOCH = 1

/** Makes the vault in `directory`, locked; all of it or nothing. */
export function createVault(directory: string, options: NewVault): void {
  const { people, tpm: choice, idleSeconds, subject } = options
  if (people.length + (choice === undefined ? 0 : 1) < 2 || people.length === 0)
    throw new Fault("invalid", "a vault has at least two protectors, one of which is not a TPM")
  using tpm = choice === undefined ? undefined : new Tpm(checkTcti(choice.tcti))
  VaultDatabase.create(directory, (db) => {
    const root = randomSecret()
    try {
      const held = new HeldRoot(root, { idleSeconds: 0, inKernel: false })
      using keys = new VaultKeys(held, randomBytes(16), FIRST_EPOCH)
      const protectors = new Protectors(db)
      const created = Date.now()
      let counter: CounterPlace | undefined
      if (tpm !== undefined && choice !== undefined) {
        const made = tpm.newCounter()
        const value = tpm.read(made)
        counter = {
          ...{ tcti: choice.tcti, index: made.index, name: made.name },
          base: value - BigInt(FIRST_EPOCH),
        }
        const fixed = makeTpmFixed(choice.pcrs, choice.pin !== undefined)
        const sealed = sealToTpm(tpm, fixed, root, { name: made.name, value }, choice.pin)
        protectors.add(keys, { number: 1, kind: ProtectorKind.TPM, created, fixed, sealed })
      }
      for (const person of people) {
        const number = protectors.nextNumber()
        const fixed = makeFixed(person, placeOf(keys, number))
        const sealed = sealFor(person.kind, fixed, placeOf(keys, number), root)
        protectors.add(keys, { number, kind: person.kind, created, fixed, sealed })
      }
      writeState(db, {
        ...{ uuid: keys.uuid, created, epoch: FIRST_EPOCH, rotated: created, counter, idleSeconds },
        checkValue: keys.checkValue(),
        auditKey: Audit.begin(db, keys),
      })
      new Audit(db).append(keys, { event: "init", outcome: "done", subject })
    } finally {
      wipe(root)
    }
  })
}
