/**
 * How IronClaw encrypts its secrets (0.1 to 0.29 and 1.x): a key for each from the text of the master key, by HKDF-SHA256
 * with the row's salt, then AES-256-GCM as nonce [12], ciphertext, tag [16].
 */
import { expand, hmac, openBlob } from "../../../keyring/primitives.ts"
import { wipe } from "../../../keyring/secret.ts"

const INFO = "near-agent-secrets-v1"
const NOTHING = Buffer.alloc(0)
export const LEAST_MASTER_KEY_BYTES = 32

/** The value; undefined when the master key is another one, or the ciphertext, salt or what it is bound to was changed. */
export function openSecret(
  masterKey: Buffer,
  salt: Buffer,
  blob: Buffer,
  bound: Buffer = NOTHING,
): Buffer | undefined {
  const extracted = hmac(salt, masterKey)
  const key = expand(extracted, INFO)
  try {
    return openBlob(key, bound, blob)
  } finally {
    wipe(extracted)
    wipe(key)
  }
}

/** What a secret of 1.x is bound to: `domain`, then each part with its length in front (8 bytes, big-endian). */
export function rebornBinding(domain: string, parts: readonly string[]): Buffer {
  const fields = parts.flatMap((part) => {
    const bytes = Buffer.from(part)
    const length = Buffer.alloc(8)
    length.writeBigUInt64BE(BigInt(bytes.length))
    return [length, bytes]
  })
  return Buffer.concat([Buffer.from(domain), ...fields])
}
