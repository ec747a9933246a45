/**
 * The cryptography that everything else here is made of, by the system's libcrypto or, where it is missing, by
 * node:crypto; both give the same bytes (test/unit/keyring/primitives.test.ts).
 *
 *   AES-256-GCM   NIST SP 800-38D, 96-bit nonces, 128-bit tags
 *   HMAC-SHA256   RFC 2104
 *   HKDF-Expand   RFC 5869 section 2.3, one block: the keys that go in are uniformly random, so nothing is to be extracted
 *   SIV           P. Rogaway, T. Shrimpton, "Deterministic Authenticated-Encryption", EUROCRYPT 2006: with HMAC-SHA256
 *                 (128 bits of it) as the PRF and AES-256-CTR as the encryption
 */
import { createCipheriv, createDecipheriv, createHmac, randomFillSync, timingSafeEqual } from "node:crypto"
import { Libcrypto, NONCE_BYTES, TAG_BYTES } from "../clawfs/sys/libcrypto.ts"
import { copySecret, newSecret, wipe } from "./secret.ts"

export { NONCE_BYTES, TAG_BYTES }

const CIPHER = "aes-256-gcm"
export const IV_BYTES = 16

/** What seals and opens; `aad` is what the message is bound to. `out` may be the bytes of `data`. */
export interface Primitives {
  /** Encrypts `data` into `out` (as long) and puts the tag into `tag` (16 bytes). A nonce is used once with a key. */
  seal(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, data: Uint8Array, out: Buffer, tag: Buffer): void
  /** Decrypts `data` into `out`; false, and zeroes in `out`, when anything differs from what was sealed. */
  open(
    key: Uint8Array,
    nonce: Uint8Array,
    aad: Uint8Array,
    data: Uint8Array,
    out: Buffer,
    tag: Uint8Array,
  ): boolean
  /** Wipes what the last message has left. */
  forget(): void
}

/** By node:crypto alone. */
export const nodePrimitives: Primitives = {
  seal(key, nonce, aad, data, out, tag) {
    const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
    cipher.setAAD(aad)
    const sealed = cipher.update(data)
    cipher.final()
    sealed.copy(out)
    cipher.getAuthTag().copy(tag)
  },
  open(key, nonce, aad, data, out, tag) {
    const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(aad)
    decipher.setAuthTag(tag)
    const plain = decipher.update(data)
    try {
      decipher.final()
    } catch {
      // The tag is wrong: what was decrypted is nobody's data.
      plain.fill(0)
      out.fill(0, 0, data.length)
      return false
    }
    plain.copy(out)
    plain.fill(0)
    return true
  },
  forget: () => undefined,
}

let loaded: Primitives | undefined

/** The fastest that this machine has. */
export function primitives(): Primitives {
  loaded ??= Libcrypto.load() ?? nodePrimitives
  return loaded
}

/** HMAC-SHA256. */
export function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer {
  const mac = createHmac("sha256", key)
  for (const part of parts) mac.update(part)
  return mac.digest()
}

/** HKDF-Expand to 32 bytes: a key for one purpose, named by `label`. */
export function expand(key: Uint8Array, label: string): Buffer {
  const block = hmac(key, Buffer.from(`${label}\u0001`, "latin1"))
  const out = copySecret(block)
  wipe(block)
  return out
}

/** The same into `out`, 32 bytes of the caller's memory. */
export function expandInto(out: Buffer, key: Uint8Array, label: string): void {
  const block = hmac(key, Buffer.from(`${label}\u0001`, "latin1"))
  block.copy(out)
  wipe(block)
}

const pool = Buffer.allocUnsafeSlow(4096)
let pooled = pool.length

/** A random nonce, valid until the pool is filled again: to be used at once. */
export function randomNonce(): Buffer {
  if (pooled + NONCE_BYTES > pool.length) {
    randomFillSync(pool)
    pooled = 0
  }
  pooled += NONCE_BYTES
  return pool.subarray(pooled - NONCE_BYTES, pooled)
}

/**
 * AES-256-GCM as one blob: nonce [12] · ciphertext · tag [16], with a random nonce. In `room`, if it is given and long enough:
 * new memory costs the garbage collector more than a short message costs to encrypt.
 */
export function sealBlob(key: Uint8Array, aad: Uint8Array, plain: Uint8Array, room?: Buffer): Buffer {
  const blob = within(room, NONCE_BYTES + plain.length + TAG_BYTES)
  const end = NONCE_BYTES + plain.length
  randomNonce().copy(blob)
  primitives().seal(
    key,
    blob.subarray(0, NONCE_BYTES),
    aad,
    plain,
    blob.subarray(NONCE_BYTES, end),
    blob.subarray(end),
  )
  return blob
}

/** The first `length` bytes of `room`, or new ones. */
export function within(room: Buffer | undefined, length: number): Buffer {
  return room !== undefined && room.length >= length
    ? room.subarray(0, length)
    : Buffer.allocUnsafeSlow(length)
}

export const BLOB_OVERHEAD = NONCE_BYTES + TAG_BYTES

/** What `sealBlob` was given, in a buffer of its own; undefined when the blob, its key or what it is bound to differs. */
export function openBlob(key: Uint8Array, aad: Uint8Array, blob: Uint8Array): Buffer | undefined {
  const length = blob.length - BLOB_OVERHEAD
  if (length < 0) return undefined
  const plain = newSecret(length)
  const end = NONCE_BYTES + length
  const sealed = blob.subarray(NONCE_BYTES, end)
  const nonce = blob.subarray(0, NONCE_BYTES)
  return primitives().open(key, nonce, aad, sealed, plain, blob.subarray(end)) ? plain : undefined
}

/** The same into `out`, which must be as long as what was sealed; false, and zeroes there, for anything else. */
export function openBlobInto(key: Uint8Array, aad: Uint8Array, blob: Uint8Array, out: Buffer): boolean {
  const end = blob.length - TAG_BYTES
  if (out.length !== blob.length - BLOB_OVERHEAD) return false
  const sealed = blob.subarray(NONCE_BYTES, end)
  return primitives().open(key, blob.subarray(0, NONCE_BYTES), aad, sealed, out, blob.subarray(end))
}

/** The 32 bytes that an SIV message is made from: the first 16 are its IV, the rest is for whoever needs a keyed hash. */
export function sivMac(macKey: Uint8Array, aad: Uint8Array, plain: Uint8Array): Buffer {
  return hmac(macKey, aad, plain)
}

/** AES-256-CTR, which is its own inverse. */
export function ctr(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Buffer {
  return createCipheriv("aes-256-ctr", key, iv).update(data)
}

/** Whether two MACs are the same, in a time that does not tell where they differ. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}
