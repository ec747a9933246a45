/** From a locked vault to its keys: by its TPM, or by what a person has. */
import { Fault } from "../clawfs/core/fault.ts"
import { SuspendWatch } from "../clawfs/sys/suspend.ts"
import { HeldRoot } from "../keyring/held-root.ts"
import { ProtectorKind, PROTECTOR_NAMES, type Opener } from "../keyring/protector.ts"
import { KEY_BYTES } from "../keyring/secret.ts"
import { SecretOpener, type PersonSecret } from "../keyring/secret-protector.ts"
import { SecretStack } from "../keyring/secret-stack.ts"
import { TpmOpener, sealedBy } from "../keyring/tpm-protector.ts"
import { Tpm } from "../keyring/tpm.ts"
import { Audit } from "./audit.ts"
import type { VaultDatabase } from "./database.ts"
import { settleCounter } from "./counter.ts"
import { VaultKeys, damaged } from "./keys.ts"
import { Protectors, placeOf } from "./protectors.ts"
import { readState, type VaultState } from "./state.ts"

export interface Given {
  /** What a person gave; without it the TPM is asked. */
  readonly person?: PersonSecret | undefined
  readonly pin?: Buffer | undefined
  /** Whether the kernel may keep the root key; false for a short look. */
  readonly inKernel?: boolean
  /** Tells whether the machine was suspended since; the kernel's clocks unless given. */
  readonly sleep?: Pick<SuspendWatch, "hasSlept">
  /** Takes the database as it is, whatever the counter and the sums of its rows say. */
  readonly anyAge?: boolean
}

export interface Unlocked {
  readonly keys: VaultKeys
  /** Number of the protector that opened it. */
  readonly protector: number
}

/**
 * Throws a `Fault`: "denied" for a wrong secret, or a database that is older than the TPM's counter; "corrupt" for one with rows
 * of different times.
 */
export function unlock(db: VaultDatabase, given: Given = {}): Unlocked {
  const state = readState(db)
  const { counter: place } = state
  if (place === undefined || given.anyAge === true) return openBy(db, state, given, personOpener(given))
  using tpm = reachable(place.tcti, given)
  const counter = settleCounter(tpm, state)
  const { person, pin } = given
  if (person !== undefined || counter === undefined) {
    requireOwnTpm(db, tpm)
    return openBy(db, state, given, personOpener(given))
  }
  return openBy(db, state, given, new TpmOpener(tpm, counter, place.base, pin))
}

/** A counter can be made in any TPM, with any value above the last: it says something in the right one alone. */
function requireOwnTpm(db: VaultDatabase, tpm: Tpm): void {
  const identity = tpm.identity()
  for (const { kind, sealed } of new Protectors(db).list())
    if (kind === ProtectorKind.TPM && !sealedBy(sealed).equals(identity))
      throw new Fault("denied", "this is another TPM than the vault's, or it was cleared", {
        hint: "clawfs vault adopt, with a passphrase or recovery words, takes the vault as it is",
      })
}

function reachable(tcti: string, { person }: Given): Tpm {
  try {
    return new Tpm(tcti)
  } catch (thrown) {
    if (!(thrown instanceof Fault) || person === undefined) throw thrown
    throw new Fault("unsupported", `the vault's TPM can't be asked: ${thrown.message}`, {
      cause: thrown,
      hint: "if it is gone for good, clawfs vault adopt takes the vault as it is",
    })
  }
}

function personOpener({ person }: Given): Opener {
  if (person !== undefined) return new SecretOpener(person)
  throw new Fault("locked", "the vault has no TPM that could open it", {
    hint: "give the passphrase, the recovery words or the key file",
  })
}

function openBy(db: VaultDatabase, state: VaultState, given: Given, opener: Opener): Unlocked {
  const { idleSeconds, checkValue } = state
  const rows = new Protectors(db).list().filter(({ kind }) => kind === opener.kind)
  if (rows.length === 0)
    throw new Fault("not-found", `the vault has no protector of the kind ${PROTECTOR_NAMES[opener.kind]}`, {
      hint: "clawfs vault protector list",
    })
  using stack = new SecretStack(SECRET_ROOM)
  return stack.borrow(KEY_BYTES, (root) => {
    for (const row of rows) {
      if (!opener.open(row, placeOf(state, row.number), root)) continue
      const { inKernel = true, sleep = new SuspendWatch() } = given
      const held = new HeldRoot(root, { idleSeconds, number: state.epoch, inKernel, sleep })
      const keys = new VaultKeys(held, state.uuid, state.epoch)
      try {
        if (!keys.isRight(checkValue)) throw damaged(`protector ${row.number}`)
        if (given.anyAge !== true) new Audit(db).verifyRows(keys)
        return { keys, protector: row.number }
      } catch (thrown) {
        keys[Symbol.dispose]()
        throw thrown
      }
    }
    throw new Fault("denied", `this ${WRONG[opener.kind]} does not open the vault`)
  })
}

const SECRET_ROOM = 4096
const WRONG: Readonly<Record<ProtectorKind, string>> = {
  1: "TPM",
  2: "passphrase",
  3: "recovery key",
  4: "key file",
}
