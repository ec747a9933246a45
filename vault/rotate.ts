/**
 * A new root key. First everything that needs the TPM, in memory; then one transaction that wraps every key anew and makes the
 * new root key the only one; then the TPM's counter, which kills what was sealed before. There is no state in between that
 * would need a secret to get out of: a kill before the commit changes nothing, after it `settleCounter` ends the work.
 */
import { Fault } from "../clawfs/core/fault.ts"
import { HeldRoot } from "../keyring/held-root.ts"
import { ProtectorKind, type ProtectorRecord } from "../keyring/protector.ts"
import { randomSecret, wipe } from "../keyring/secret.ts"
import { sealFor } from "../keyring/secret-protector.ts"
import { sealToTpm } from "../keyring/tpm-protector.ts"
import { Tpm } from "../keyring/tpm.ts"
import { Audit, type Subject } from "./audit.ts"
import { settleCounter } from "./counter.ts"
import type { VaultDatabase } from "./database.ts"
import { Grants } from "./grants.ts"
import { VaultKeys } from "./keys.ts"
import { Protectors, placeOf, type ProtectorRow } from "./protectors.ts"
import { Secrets } from "./secrets.ts"
import { readState, writeState, type CounterPlace, type VaultState } from "./state.ts"
import { Versions } from "./versions.ts"

const ADOPT = "adopt"

/** Where tests stop the work. */
export type Step = (name: string) => void

export interface Rotation {
  readonly subject: Subject
  /** adopt: the database is older than what is known of it. */
  readonly isBehind?: boolean
  readonly pin?: Buffer | undefined
  readonly step?: Step
}

/** Returns the keys of the next epoch; `keys` are of no use any more, and are disposed. */
export function rotateRoot(db: VaultDatabase, keys: VaultKeys, { subject, pin, step }: Rotation): VaultKeys {
  const state = readState(db)
  using tpm = state.counter === undefined ? undefined : new Tpm(state.counter.tcti)
  if (tpm !== undefined) settleCounter(tpm, state)
  const next = inNewEpoch(db, keys, state, {
    tpm,
    counter: state.counter,
    pin,
    subject,
    event: "rotate-root",
    step,
  })
  step?.("committed")
  if (tpm !== undefined) settleCounter(tpm, readState(db))
  step?.("counted")
  db.settle()
  return next
}

/**
 * Takes a database as it is, though the TPM's counter says that there was a newer one, there is no such TPM any more, or its rows
 * do not fit together: a new root key and a new counter. Where there is no TPM now, the vault goes on without one.
 */
export function adopt(
  db: VaultDatabase,
  keys: VaultKeys,
  { subject, pin, step, isBehind = false }: Rotation,
): VaultKeys {
  const state = readState(db)
  const old = state.counter
  if (old === undefined) {
    if (!isBehind && hasOwnRows(db, keys))
      throw new Fault(
        "invalid",
        "the vault has no TPM and is as it was last written: there is nothing to adopt",
      )
    return inNewEpoch(db, keys, state, { counter: undefined, subject, event: ADOPT, step })
  }
  using tpm = tpmIfReachable(old.tcti)
  if (tpm === undefined)
    return inNewEpoch(db, keys, state, { counter: undefined, subject, event: ADOPT, step })
  const made = tpm.newCounter()
  const base = tpm.read(made) - BigInt(state.epoch + 1)
  const counter = { tcti: old.tcti, index: made.index, name: made.name, base }
  const next = inNewEpoch(db, keys, state, { tpm, counter, pin, subject, event: ADOPT, step })
  // In a TPM that was cleared, the new counter may have got the place of the old one.
  const previous = made.index === old.index ? undefined : tpm.openCounter(old.index, old.name)
  if (previous !== undefined) tpm.removeCounter(previous)
  // The next note is made anew: what it says of a newer history is not to be compared with this one any more.
  if (old.note !== undefined) tpm.removeNote(old.note)
  return next
}

function hasOwnRows(db: VaultDatabase, keys: VaultKeys): boolean {
  try {
    new Audit(db).verifyRows(keys)
    return true
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.kind === "corrupt") return false
    throw thrown
  }
}

/** Undefined where there is no TPM any more. */
export function tpmIfReachable(tcti: string): Tpm | undefined {
  try {
    return new Tpm(tcti)
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.kind === "unsupported") return undefined
    throw thrown
  }
}

interface NewEpoch {
  readonly tpm?: Tpm | undefined
  readonly counter: CounterPlace | undefined
  readonly pin?: Buffer | undefined
  readonly subject: Subject
  readonly event: string
  readonly step?: Step | undefined
}

function inNewEpoch(db: VaultDatabase, keys: VaultKeys, state: VaultState, plan: NewEpoch): VaultKeys {
  const { tpm, counter, pin, subject, event, step } = plan
  const protectors = new Protectors(db)
  const rows = protectors.verified(keys)
  const epoch = state.epoch + 1
  const root = randomSecret()
  const held = new HeldRoot(root, {
    ...{ idleSeconds: state.idleSeconds, number: epoch, inKernel: keys.held.place === "kernel keyring" },
    sleep: keys.held.sleep,
  })
  const next = new VaultKeys(held, state.uuid, epoch)
  try {
    const kept = rows.filter(({ kind }) => kind !== ProtectorKind.TPM || tpm !== undefined)
    const sealed = kept.map((row) => sealedFor(row, next, root, { tpm, counter, pin }))
    step?.("sealed")
    db.transact(() => {
      // All rows are summed anew below: none of them may have been put back.
      if (event !== ADOPT) new Audit(db).verifyRows(keys)
      for (const row of rows) if (!kept.includes(row)) protectors.drop(row.number)
      kept.forEach((row, at) => protectors.reseal(next, row, sealed[at] ?? row.sealed))
      new Versions(db).rewrap(keys, next)
      step?.("wrapped")
      new Secrets(db).reseal(keys, next)
      new Grants(db).reseal(keys, next)
      const auditKey = Audit.rewrap(state.auditKey, keys, next)
      const checkValue = next.checkValue()
      writeState(db, { ...state, epoch, rotated: Date.now(), counter, checkValue, auditKey })
      const audit = new Audit(db)
      audit.sumAnew(next)
      audit.append(next, { event, outcome: "done", subject, detail: { epoch } })
      step?.("written")
    })
  } catch (thrown) {
    next[Symbol.dispose]()
    throw thrown
  } finally {
    wipe(root)
  }
  keys[Symbol.dispose]()
  return next
}

function sealedFor(
  row: ProtectorRow,
  next: VaultKeys,
  root: Buffer,
  { tpm, counter, pin }: Pick<NewEpoch, "tpm" | "counter" | "pin">,
): Buffer {
  const { kind, fixed, number }: ProtectorRecord & { number: number } = row
  if (kind !== ProtectorKind.TPM) return sealFor(kind, fixed, placeOf(next, number), root)
  if (tpm === undefined || counter === undefined)
    throw new Fault("unsupported", "the vault's TPM is not there")
  return sealToTpm(tpm, fixed, root, { name: counter.name, value: counter.base + BigInt(next.epoch) }, pin)
}
