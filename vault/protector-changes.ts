/** Adding and removing what can unlock an unlocked vault. */
import { Fault } from "../clawfs/core/fault.ts"
import { ProtectorKind } from "../keyring/protector.ts"
import { makeFixed, sealFor, type PersonSecret } from "../keyring/secret-protector.ts"
import { makeTpmFixed, sealToTpm } from "../keyring/tpm-protector.ts"
import { Tpm, checkTcti } from "../keyring/tpm.ts"
import type { Subject } from "./audit.ts"
import type { TpmChoice } from "./create.ts"
import type { VaultDatabase } from "./database.ts"
import type { VaultKeys } from "./keys.ts"
import { Protectors, placeOf } from "./protectors.ts"
import { tpmIfReachable } from "./rotate.ts"
import { readState, writeState } from "./state.ts"

/** What this needs of an unlocked vault. */
interface AuditedVault {
  readonly keys: VaultKeys
  audited<T>(
    event: string,
    subject: Subject,
    work: (about: { detail?: Readonly<Record<string, unknown>> }) => T,
  ): T
}

/** Returns its number. Takes up to a second for a passphrase. */
export function addPerson(
  db: VaultDatabase,
  vault: AuditedVault,
  subject: Subject,
  person: PersonSecret,
): number {
  return vault.audited("protector-add", subject, (about) => {
    const { keys } = vault
    const protectors = new Protectors(db)
    const number = protectors.nextNumber()
    const place = placeOf(keys, number)
    const fixed = makeFixed(person, place)
    const sealed = keys.held.use((root) => sealFor(person.kind, fixed, place, root))
    protectors.add(keys, { number, kind: person.kind, created: Date.now(), fixed, sealed })
    about.detail = { protector: number, kind: person.kind }
    return number
  })
}

/** Seals the root key to a TPM, with a counter of its own. Returns its number. A vault has one TPM at most. */
export function addTpm(db: VaultDatabase, vault: AuditedVault, subject: Subject, choice: TpmChoice): number {
  return vault.audited("protector-add", subject, (about) => {
    const { keys } = vault
    const state = readState(db)
    if (state.counter !== undefined)
      throw new Fault("exists", "the vault has a TPM protector", {
        hint: "clawfs vault protector remove NUMBER, then add it anew",
      })
    using tpm = new Tpm(checkTcti(choice.tcti))
    const { index, name, handle } = tpm.newCounter()
    const value = tpm.read({ index, name, handle })
    const fixed = makeTpmFixed(choice.pcrs, choice.pin !== undefined)
    const sealed = keys.held.use((root) => sealToTpm(tpm, fixed, root, { name, value }, choice.pin))
    const protectors = new Protectors(db)
    const number = protectors.nextNumber()
    protectors.add(keys, { number, kind: ProtectorKind.TPM, created: Date.now(), fixed, sealed })
    const base = value - BigInt(state.epoch)
    writeState(db, { ...state, counter: { tcti: choice.tcti, index, name, base } })
    about.detail = { protector: number, kind: ProtectorKind.TPM }
    return number
  })
}

/** Never the last one that is not a TPM. */
export function removeProtector(
  db: VaultDatabase,
  vault: AuditedVault,
  subject: Subject,
  number: number,
): void {
  const state = readState(db)
  const kind = vault.audited("protector-remove", subject, (about) => {
    about.detail = { protector: number }
    const removed = new Protectors(db).remove(number)
    if (removed.kind === ProtectorKind.TPM) writeState(db, { ...state, counter: undefined })
    return removed.kind
  })
  db.settle()
  if (kind !== ProtectorKind.TPM || state.counter === undefined) return
  using tpm = tpmIfReachable(state.counter.tcti)
  const counter = tpm?.openCounter(state.counter.index, state.counter.name)
  if (counter !== undefined) tpm?.removeCounter(counter)
  if (state.counter.note !== undefined) tpm?.removeNote(state.counter.note)
}
