/** What the vault's answers show of rows and failures, and what they don't. */
import { Fault } from "../../clawfs/core/fault.ts"
import { KDF_NAMES } from "../../keyring/kdf.ts"
import { PROTECTOR_NAMES, ProtectorKind } from "../../keyring/protector.ts"
import { derivationOf } from "../../keyring/secret-protector.ts"
import { readTpmFixed } from "../../keyring/tpm-protector.ts"
import type { AuditRow } from "../audit.ts"
import type { ProtectorRow } from "../protectors.ts"

export const NO_GRANT = "no grant allows this"

/** A row as it is, bytes in hexadecimal: whoever has the chain's key can check it elsewhere. */
export function exported({ secret, mac, ...row }: AuditRow): object {
  return { ...row, secret: secret.toString("hex"), mac: mac.toString("hex") }
}

export function descriptorOf(fds: readonly number[], at: number): number {
  const fd = fds[at]
  if (fd === undefined) throw new Fault("invalid", "a descriptor that the request names did not come along")
  return fd
}

/** Who may not list the secrets does not learn which there are. */
export function concealed(thrown: unknown): unknown {
  const tells = thrown instanceof Fault && (thrown.kind === "not-found" || thrown.kind === "denied")
  return tells ? new Fault("denied", NO_GRANT, { cause: thrown }) : thrown
}

export function concealing<T>(isOwner: boolean, work: () => T): T {
  try {
    return work()
  } catch (thrown) {
    throw isOwner ? thrown : concealed(thrown)
  }
}

/** A protector for people: nothing of what it protects. */
export function shown({ number, kind, created, fixed }: ProtectorRow): object {
  const common = { number, kind: PROTECTOR_NAMES[kind], created }
  if (kind === ProtectorKind.TPM) {
    const { hasPin, pcrs } = readTpmFixed(fixed)
    return { ...common, pcrs, hasPin }
  }
  const { kdf, cost, memoryKiB } = derivationOf(fixed)
  return { ...common, kdf: KDF_NAMES[kdf], cost, memoryKiB }
}
