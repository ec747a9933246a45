/**
 * From what a person or a file has to the key that wraps a tree key. What a slot needs to do it again is kept with it.
 *
 *   key file     HKDF-SHA256 (RFC 5869), extract with the slot's salt: the file is as good as random, or it should be
 *   vault        the same, with 32 random bytes that the vault made
 *   passphrase   argon2id (RFC 9106), 3 passes, 256 MiB; or PBKDF2-HMAC-SHA256 (RFC 8018), 600,000 iterations, where the
 *                machine has no libsodium
 */
import { pbkdf2Sync, randomBytes } from "node:crypto"
import { Fault } from "../clawfs/core/fault.ts"
import { ARGON2_SALT_BYTES, argon2id, hasArgon2id } from "../clawfs/sys/libsodium.ts"
import { expand, hmac } from "./primitives.ts"
import { copySecret, newSecret, wipe, KEY_BYTES } from "./secret.ts"

export const KDF_NAMES = { 1: "hkdf-sha256", 2: "pbkdf2-hmac-sha256", 3: "argon2id" } as const
export const Kdf = { HKDF: 1, PBKDF2: 2, ARGON2ID: 3 } as const
export type Kdf = (typeof Kdf)[keyof typeof Kdf]

/** Bounds of what a row may ask for: a damaged one must not keep the machine busy for hours. */
const MAX_ITERATIONS = 100_000_000
const MAX_MEMORY_KIB = 4 * 1024 * 1024

export interface Derivation {
  readonly kdf: Kdf
  readonly salt: Buffer
  /** Iterations of PBKDF2, passes of argon2id; HKDF: 0. */
  readonly cost: number
  /** Argon2id only; others: 0. */
  readonly memoryKiB: number
}

/** 16 random bytes. */
export function newSalt(): Buffer {
  return randomBytes(ARGON2_SALT_BYTES)
}

/** For secrets that are as good as random. */
export function keyFileDerivation(salt: Buffer = newSalt()): Derivation {
  return { kdf: Kdf.HKDF, salt, cost: 0, memoryKiB: 0 }
}

/** As costly as is usual in 2026, with a new salt. `wanted`: not the best one that there is. */
export function passphraseDerivation(wanted?: "argon2id" | "pbkdf2"): Derivation {
  const salt = newSalt()
  const argon = wanted === undefined ? hasArgon2id() : wanted === "argon2id"
  return argon
    ? { kdf: Kdf.ARGON2ID, salt, cost: 3, memoryKiB: 256 * 1024 }
    : { kdf: Kdf.PBKDF2, salt, cost: 600_000, memoryKiB: 0 }
}

/** The wrapping key (32 bytes); the caller wipes it. Takes up to a second. */
export function derive(secret: Uint8Array, derivation: Derivation): Buffer {
  const { kdf, salt, cost, memoryKiB } = derivation
  if (cost > MAX_ITERATIONS || memoryKiB > MAX_MEMORY_KIB)
    throw new Fault("corrupt", "the key slot asks for more work than any that clawfs makes")
  switch (kdf) {
    case Kdf.HKDF:
      return hkdf(secret, salt)
    case Kdf.PBKDF2: {
      const derived = pbkdf2Sync(secret, salt, cost, KEY_BYTES, "sha256")
      const key = copySecret(derived)
      wipe(derived)
      return key
    }
    case Kdf.ARGON2ID: {
      const key = newSecret()
      argon2id(key, secret, salt, { passes: cost, memoryKiB })
      return key
    }
    default:
      throw new Fault("unsupported", `the key slot uses key derivation ${String(kdf)}, which is not known`, {
        hint: "install a newer clawfs",
      })
  }
}

function hkdf(secret: Uint8Array, salt: Uint8Array): Buffer {
  const extracted = hmac(salt, secret)
  const key = expand(extracted, "clawfs/v1/key file")
  wipe(extracted)
  return key
}
