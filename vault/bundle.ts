/**
 * A bundle of secrets under a passphrase: what leaves a vault, and enters another one. The plaintext is a line of JSON that lists
 * the secrets, then their values one behind the other: so no value is ever in a string, which can't be wiped.
 */
import { canonicalJson } from "../clawfs/core/canonical-json.ts"
import { Fault } from "../clawfs/core/fault.ts"
import { Kdf, derive, passphraseDerivation, type Derivation } from "../keyring/kdf.ts"
import { BLOB_OVERHEAD, NONCE_BYTES, TAG_BYTES, openBlobInto, sealBlob } from "../keyring/primitives.ts"
import { SecretStack } from "../keyring/secret-stack.ts"
import { wipe } from "../keyring/secret.ts"
import {
  BUNDLE_KIND,
  BundleHead,
  BundleList,
  SecretsBundle,
  type BundledSecret,
} from "../schema/secrets-bundle.ts"

/** Of the plaintext, and of a bundle's file. */
const MOST_PLAIN_BYTES = 64 * 1024 * 1024
export const MOST_BUNDLE_BYTES = 96 * 1024 * 1024
const NEWLINE = 0x0a

/**
 * The bundle's text. `fill` writes each secret's value into the room for it. Throws `Fault("unsupported")` without libsodium,
 * "invalid" for more than 64 MiB.
 */
export function sealBundle(
  passphrase: Uint8Array,
  secrets: readonly BundledSecret[],
  fill: (secret: BundledSecret, room: Buffer) => void,
  derivation = passphraseDerivation("argon2id"),
): Buffer {
  const list = Buffer.from(`${JSON.stringify({ secrets })}\n`)
  const length = secrets.reduce((sum, { bytes }) => sum + bytes, list.length)
  if (length > MOST_PLAIN_BYTES)
    throw new Fault("invalid", "the secrets have more than 64 MiB, which no bundle holds")
  const head = headOf(derivation)
  using memory = new SecretStack(length)
  return memory.borrow(length, (plain) => {
    list.copy(plain)
    let at = list.length
    for (const secret of secrets) {
      fill(secret, plain.subarray(at, at + secret.bytes))
      at += secret.bytes
    }
    const key = derive(passphrase, derivation)
    try {
      const blob = sealBlob(key, boundTo(head), plain)
      const end = blob.length - TAG_BYTES
      const parts = {
        nonce: blob.toString("base64", 0, NONCE_BYTES),
        ciphertext: blob.toString("base64", NONCE_BYTES, end),
        tag: blob.toString("base64", end),
      }
      return Buffer.from(`${JSON.stringify({ ...head, ...parts }, undefined, 2)}\n`)
    } finally {
      wipe(key)
    }
  })
}

/**
 * Runs `each` with every secret and its value, which is wiped afterwards. Throws `Fault("denied")` for a wrong passphrase (or a
 * changed bundle: they can't be told apart), "corrupt" for what is no bundle; then `each` was not called.
 */
export function openBundle(
  bytes: Buffer,
  passphrase: Uint8Array,
  each: (secret: BundledSecret, value: Buffer) => void,
): void {
  const bundle = bundleIn(bytes)
  const { nonce, ciphertext, tag, ...head } = bundle
  const blob = Buffer.concat([nonce, ciphertext, tag].map((part) => Buffer.from(part, "base64")))
  const length = blob.length - BLOB_OVERHEAD
  if (length < 1 || length > MOST_PLAIN_BYTES) throw noBundle()
  const { kdf } = head
  const key = derive(passphrase, {
    ...{
      kdf: Kdf.ARGON2ID,
      salt: Buffer.from(kdf.salt, "base64"),
      cost: kdf.passes,
      memoryKiB: kdf.memory_kib,
    },
  })
  try {
    using memory = new SecretStack(length)
    memory.borrow(length, (plain) => {
      if (!openBlobInto(key, boundTo(head), blob, plain))
        throw new Fault("denied", "the passphrase does not open the bundle, or the bundle was changed")
      for (const [secret, value] of valuesIn(plain)) each(secret, value)
    })
  } finally {
    wipe(key)
  }
}

function headOf({ salt, cost, memoryKiB }: Derivation): BundleHead {
  const kdf = {
    name: "argon2id",
    passes: cost,
    memory_kib: memoryKiB,
    lanes: 1,
    salt: salt.toString("base64"),
  } as const
  return { format: 1, kind: BUNDLE_KIND, cipher: "AES-256-GCM", kdf }
}

/** Everything but the ciphertext, as canonical JSON. */
function boundTo(head: BundleHead): Buffer {
  return Buffer.from(canonicalJson(BundleHead.parse(head)))
}

function bundleIn(bytes: Buffer): SecretsBundle {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString())
  } catch (cause) {
    throw noBundle(cause)
  }
  const parsed = SecretsBundle.safeParse(value)
  if (!parsed.success) throw noBundle(parsed.error)
  return parsed.data
}

/** All of them, after it is known that they are all there. */
function valuesIn(plain: Buffer): [secret: BundledSecret, value: Buffer][] {
  const end = plain.indexOf(NEWLINE)
  const parsed = BundleList.safeParse(end < 0 ? undefined : JSON.parse(plain.toString("utf8", 0, end)))
  if (!parsed.success) throw noBundle(parsed.error)
  let at = end + 1
  const found = parsed.data.secrets.map((secret): [BundledSecret, Buffer] => {
    at += secret.bytes
    return [secret, plain.subarray(at - secret.bytes, at)]
  })
  if (at !== plain.length) throw noBundle()
  return found
}

function noBundle(cause?: unknown): Fault {
  return new Fault("corrupt", "this is no bundle of secrets, or not of this version", { cause })
}
