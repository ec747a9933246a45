/**
 * Key slots: each holds the tree key wrapped by what one person or machine has, as in LUKS. A slot is opened by deriving
 * its wrapping key again; whether that was the right secret the tree key's check value tells.
 */
import { Fault } from "../clawfs/core/fault.ts"
import { derive, keyFileDerivation, passphraseDerivation, type Derivation } from "./kdf.ts"
import { openBlob, sealBlob } from "./primitives.ts"
import { KEY_BYTES, wipe } from "./secret.ts"
import { TreeKey, binding, type KeyIdentity } from "./tree-key.ts"

export const SourceKind = { KEY_FILE: 1, PASSPHRASE: 2, VAULT: 3 } as const
export type SourceKind = (typeof SourceKind)[keyof typeof SourceKind]
export const SOURCE_NAMES: Readonly<Record<SourceKind, string>> = {
  1: "key file",
  2: "passphrase",
  3: "vault",
}

/** Where a secret comes from. */
export interface KeySource extends Disposable {
  readonly kind: SourceKind
  /** The secret itself, wiped with the source. */
  readonly secret: Buffer
  /** For a new slot: how its wrapping key is to be derived. */
  readonly kdf?: "argon2id" | "pbkdf2" | undefined
  /** The vault's: it names the secret there, so the slot must have it (`vaultNameOf`). */
  readonly salt?: Buffer | undefined
}

export interface KeySlot extends Derivation {
  readonly slot: number
  readonly kind: SourceKind
  readonly wrapped: Buffer
}

function bindingOf(identity: KeyIdentity, slot: number, kind: SourceKind, d: Derivation): Buffer {
  const { uuid, id, generation } = identity
  return binding("slot", uuid, id, generation, slot, kind, d.kdf, d.cost, d.memoryKiB, d.salt)
}

/** Under which name the vault has the secret of a slot; clawfs alone makes secrets with such names. */
export function vaultNameOf(salt: Uint8Array): string {
  return `tree-${Buffer.from(salt).toString("hex")}`
}

/** A slot with the number `slot` that `source` opens. */
export function makeSlot(key: TreeKey, slot: number, source: KeySource): KeySlot {
  const { kind } = source
  const derivation =
    kind === SourceKind.PASSPHRASE ? passphraseDerivation(source.kdf) : keyFileDerivation(source.salt)
  const wrappingKey = derive(source.secret, derivation)
  const plain = key.expose()
  try {
    const wrapped = sealBlob(wrappingKey, bindingOf(key.identity, slot, kind, derivation), plain)
    return { slot, kind, ...derivation, wrapped }
  } finally {
    wipe(wrappingKey, plain)
  }
}

/** The tree key, if `source` opens this slot. */
export function openSlot(
  identity: KeyIdentity,
  slot: KeySlot,
  source: KeySource,
  checkValue: Uint8Array,
): TreeKey | undefined {
  if (slot.kind !== source.kind) return undefined
  const wrappingKey = derive(source.secret, slot)
  try {
    const aad = bindingOf(identity, slot.slot, slot.kind, slot)
    const plain = openBlob(wrappingKey, aad, slot.wrapped)
    if (plain?.length !== KEY_BYTES) return undefined
    const key = new TreeKey(identity, plain)
    if (key.isRight(checkValue)) return key
    key[Symbol.dispose]()
    return undefined
  } finally {
    wipe(wrappingKey)
  }
}

/** The tree key and the slot that gave it. Throws `Fault("denied")` when the source opens none of the slots. */
export function openAnySlot(
  identity: KeyIdentity,
  slots: readonly KeySlot[],
  source: KeySource,
  checkValue: Uint8Array,
): { readonly key: TreeKey; readonly slot: KeySlot } {
  for (const slot of slots) {
    const key = openSlot(identity, slot, source, checkValue)
    if (key !== undefined) return { key, slot }
  }
  const what = SOURCE_NAMES[source.kind]
  throw new Fault("denied", `this ${what} does not open the tree`)
}
