/**
 * The port behind which everything lies that can give the vault's root key back: a TPM, a passphrase, recovery words, a
 * key file. A protector's record has two parts: `fixed` stays as it is for its life, `sealed` is made anew with each root.
 */
import { binding } from "./tree-key.ts"

export const ProtectorKind = { TPM: 1, PASSPHRASE: 2, RECOVERY: 3, KEY_FILE: 4 } as const
export type ProtectorKind = (typeof ProtectorKind)[keyof typeof ProtectorKind]

export const PROTECTOR_NAMES: Readonly<Record<ProtectorKind, string>> = {
  1: "tpm",
  2: "passphrase",
  3: "recovery",
  4: "key-file",
}

export interface ProtectorRecord {
  readonly kind: ProtectorKind
  readonly fixed: Buffer
  readonly sealed: Buffer
}

/** What a record is bound to, so that it can't be moved: the vault, the protector's number in it, the root's epoch. */
export interface ProtectorPlace {
  readonly vault: Buffer
  readonly number: number
  readonly epoch: number
}

/** Something that opens protectors of its kind: a passphrase that was typed, a TPM that is there. */
export interface Opener {
  readonly kind: ProtectorKind
  /**
   * Puts the root key into `into` (32 bytes). False when this record is another's: another passphrase's, for instance.
   * Throws a `Fault` when it should open and does not: the TPM is another one, or locked out; the record is damaged.
   * Whether it is the right root the vault's check value tells.
   */
  open(record: ProtectorRecord, place: ProtectorPlace, into: Buffer): boolean
}

export function placeBinding(label: string, place: ProtectorPlace, kind: ProtectorKind): Buffer {
  return binding(label, place.vault, place.number, place.epoch, kind)
}
