/**
 * Protectors that are opened by something that a person has: a passphrase, recovery words, a key file. Each has a pair of
 * X25519 keys. The private one is encrypted under what the secret gives (`kdf.ts`); a root key is encrypted for the public
 * one, so that the next root can be protected while the person is not there.
 *
 *   fixed    kdf u32 · cost u32 · memory KiB u32 · salt [16] · public key [32] · nonce [12] · private key, encrypted [32] · tag [16]
 *   sealed   ephemeral public key [32] · nonce [12] · root key, encrypted [32] · tag [16]
 */
import { Fault } from "../clawfs/core/fault.ts"
import { Reader, Writer } from "../clawfs/core/bytes.ts"
import { X25519_BYTES, agree, publicOf } from "../clawfs/sys/x25519.ts"
import { derive, keyFileDerivation, passphraseDerivation, type Derivation, type Kdf } from "./kdf.ts"
import { BLOB_OVERHEAD, expand, hmac, openBlob, sealBlob } from "./primitives.ts"
import {
  ProtectorKind,
  placeBinding,
  type Opener,
  type ProtectorPlace,
  type ProtectorRecord,
} from "./protector.ts"
import { KEY_BYTES, newSecret, randomSecret, wipe } from "./secret.ts"
import { binding } from "./tree-key.ts"

const SALT_BYTES = 16
const WRAPPED_BYTES = KEY_BYTES + BLOB_OVERHEAD
const FIXED_BYTES = 12 + SALT_BYTES + X25519_BYTES + WRAPPED_BYTES
export const SEALED_BYTES = X25519_BYTES + WRAPPED_BYTES

export type SecretKind = Exclude<ProtectorKind, typeof ProtectorKind.TPM>

/** What a person gives. */
export interface PersonSecret {
  readonly kind: SecretKind
  readonly secret: Buffer
  /** For a new passphrase: how its key is derived. */
  readonly kdf?: "argon2id" | "pbkdf2" | undefined
}

interface Fixed extends Derivation {
  readonly publicKey: Buffer
  readonly wrapped: Buffer
}

function readFixed(bytes: Buffer): Fixed {
  if (bytes.length !== FIXED_BYTES) throw new Fault("corrupt", "a protector's record is damaged")
  const reader = new Reader(bytes)
  const [kdf, cost, memoryKiB] = [reader.u32() as Kdf, reader.u32(), reader.u32()]
  const [salt, publicKey] = [reader.bytes(SALT_BYTES), reader.bytes(X25519_BYTES)]
  return { kdf, cost, memoryKiB, salt, publicKey, wrapped: reader.bytes(WRAPPED_BYTES) }
}

/** How a person's secret becomes a key, for people to see. */
export function derivationOf(fixed: Buffer): Derivation {
  const { kdf, salt, cost, memoryKiB } = readFixed(fixed)
  return { kdf, salt, cost, memoryKiB }
}

function fixedBinding(
  { vault, number }: ProtectorPlace,
  kind: SecretKind,
  f: Omit<Fixed, "wrapped">,
): Buffer {
  return binding("protector key", ...[vault, number, kind, f.kdf, f.cost, f.memoryKiB, f.salt, f.publicKey])
}

/** The part of a new protector's record that stays. Takes up to a second for a passphrase. */
export function makeFixed(person: PersonSecret, place: ProtectorPlace): Buffer {
  const { kind, secret, kdf } = person
  const derivation = kind === ProtectorKind.PASSPHRASE ? passphraseDerivation(kdf) : keyFileDerivation()
  const wrappingKey = derive(secret, derivation)
  const privateKey = randomSecret()
  try {
    const publicKey = publicOf(privateKey)
    const aad = fixedBinding(place, kind, { ...derivation, publicKey })
    const wrapped = sealBlob(wrappingKey, aad, privateKey)
    const out = Buffer.alloc(FIXED_BYTES)
    new Writer(out)
      .u32(derivation.kdf)
      .u32(derivation.cost)
      .u32(derivation.memoryKiB)
      .put(derivation.salt)
      .put(publicKey)
      .put(wrapped)
    return out
  } finally {
    wipe(wrappingKey, privateKey)
  }
}

/** The root key for whoever has the private key of `fixed`. */
export function sealFor(kind: SecretKind, fixed: Buffer, place: ProtectorPlace, root: Uint8Array): Buffer {
  const { publicKey } = readFixed(fixed)
  const ephemeral = randomSecret()
  const shared = newSecret(X25519_BYTES)
  try {
    const sender = publicOf(ephemeral)
    if (!agree(ephemeral, publicKey, shared)) throw new Fault("corrupt", "a protector's record is damaged")
    const key = boxKey(shared, sender, publicKey)
    const box = sealBlob(key, placeBinding("protected root", place, kind), root)
    wipe(key)
    return Buffer.concat([sender, box])
  } finally {
    wipe(ephemeral, shared)
  }
}

/** HKDF (RFC 5869): extract with both public keys as the salt, then expand. */
function boxKey(shared: Uint8Array, sender: Uint8Array, receiver: Uint8Array): Buffer {
  const salt = Buffer.concat([sender, receiver])
  const extracted = hmac(salt, shared)
  const key = expand(extracted, "clawfs/v1/protector box")
  wipe(extracted)
  return key
}

export class SecretOpener implements Opener {
  readonly kind: SecretKind
  readonly #secret: Buffer

  /** Does not take the secret over. */
  constructor({ kind, secret }: PersonSecret) {
    this.kind = kind
    this.#secret = secret
  }

  open(record: ProtectorRecord, place: ProtectorPlace, into: Buffer): boolean {
    const { fixed, sealed } = record
    const parts = readFixed(fixed)
    if (sealed.length !== SEALED_BYTES) throw new Fault("corrupt", "a protector's record is damaged")
    const wrappingKey = derive(this.#secret, parts)
    const privateKey = openBlob(wrappingKey, fixedBinding(place, this.kind, parts), parts.wrapped)
    wipe(wrappingKey)
    if (privateKey?.length !== KEY_BYTES) return false
    const shared = newSecret(X25519_BYTES)
    try {
      const sender = sealed.subarray(0, X25519_BYTES)
      if (!agree(privateKey, sender, shared)) return damaged()
      const key = boxKey(shared, sender, parts.publicKey)
      const root = openBlob(
        key,
        placeBinding("protected root", place, this.kind),
        sealed.subarray(X25519_BYTES),
      )
      wipe(key)
      if (root?.length !== into.length) return damaged()
      into.set(root)
      wipe(root)
      return true
    } finally {
      wipe(privateKey, shared)
    }
  }
}

/** The secret is right, since it has opened the private key. */
function damaged(): never {
  throw new Fault("corrupt", "a protector's record is damaged, or it is of another time or vault")
}
