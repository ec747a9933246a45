/**
 * The protector that is a TPM: the root key is sealed to registers, to a counter's value and, if wanted, to a PIN.
 *
 *   fixed    flags u32 (1: a PIN) · PCRs u32 (a bit each) · salt of the PIN [16]
 *   sealed   lengths u16 each, then bytes: name of the storage root key, public area, private area
 */
import { createHash, randomBytes } from "node:crypto"
import { Reader, Writer } from "../clawfs/core/bytes.ts"
import { Fault } from "../clawfs/core/fault.ts"
import { ProtectorKind, type Opener, type ProtectorPlace, type ProtectorRecord } from "./protector.ts"
import { newSecret, wipe } from "./secret.ts"
import type { Counter, Tpm } from "./tpm.ts"
import { DIGEST_BYTES, PCR_COUNT } from "./tpm-wire.ts"

const SALT_BYTES = 16
const FIXED_BYTES = 8 + SALT_BYTES
const HAS_PIN = 1
/** Secure Boot's policy: it changes with keys and settings of the firmware, not with each kernel. */
export const DEFAULT_PCRS: readonly number[] = [7]

export interface TpmFixed {
  readonly hasPin: boolean
  readonly pcrs: readonly number[]
  readonly salt: Buffer
}

export function readTpmFixed(bytes: Buffer): TpmFixed {
  if (bytes.length !== FIXED_BYTES) throw new Fault("corrupt", "a protector's record is damaged")
  const reader = new Reader(bytes)
  const [flags, mask, salt] = [reader.u32(), reader.u32(), reader.bytes(SALT_BYTES)]
  const pcrs = Array.from({ length: PCR_COUNT }, (_, pcr) => pcr).filter((pcr) => (mask & (1 << pcr)) !== 0)
  return { hasPin: (flags & HAS_PIN) !== 0, pcrs, salt }
}

export function makeTpmFixed(pcrs: readonly number[], hasPin: boolean): Buffer {
  const out = Buffer.alloc(FIXED_BYTES)
  const mask = pcrs.reduce((bits, pcr) => bits | (1 << pcr), 0) >>> 0
  new Writer(out)
    .u32(hasPin ? HAS_PIN : 0)
    .u32(mask)
    .put(randomBytes(SALT_BYTES))
  return out
}

/** What the TPM is told for a PIN: 32 bytes, the last one not zero, because it cuts zeroes off. The caller wipes it. */
function authOf(pin: Uint8Array, salt: Buffer): Buffer {
  const digest = createHash("sha256").update("clawfs/v1/tpm pin\0").update(salt).update(pin).digest()
  const auth = newSecret(DIGEST_BYTES)
  auth.set(digest)
  auth[DIGEST_BYTES - 1] = (auth[DIGEST_BYTES - 1] ?? 0) | 1
  wipe(digest)
  return auth
}

/** Seals the root key, to be opened when the counter has the value. */
export function sealToTpm(
  tpm: Tpm,
  fixed: Buffer,
  root: Uint8Array,
  counter: { readonly name: Buffer; readonly value: bigint },
  pin?: Uint8Array,
): Buffer {
  const { pcrs, salt, hasPin } = readTpmFixed(fixed)
  if (hasPin !== (pin !== undefined))
    throw new Fault("denied", hasPin ? "the TPM's PIN is needed for this" : "the TPM protector has no PIN")
  const auth = pin === undefined ? undefined : authOf(pin, salt)
  try {
    const { parent, publicArea, privateArea } = tpm.seal(root, pcrs, { pin: auth, counter })
    const parts = [parent, publicArea, privateArea]
    const out = Buffer.alloc(parts.reduce((sum, part) => sum + 2 + part.length, 0))
    const writer = new Writer(out)
    for (const part of parts) writer.u16(part.length).put(part)
    return out
  } finally {
    wipe(auth)
  }
}

export class TpmOpener implements Opener {
  readonly kind = ProtectorKind.TPM
  readonly #tpm: Tpm
  readonly #counter: Counter
  readonly #base: bigint
  readonly #pin: Uint8Array | undefined

  /** `base`: what the counter had before the vault's first epoch. */
  constructor(tpm: Tpm, counter: Counter, base: bigint, pin?: Uint8Array) {
    this.#tpm = tpm
    this.#counter = counter
    this.#base = base
    this.#pin = pin
  }

  open({ fixed, sealed }: ProtectorRecord, { epoch }: ProtectorPlace, into: Buffer): boolean {
    const { pcrs, hasPin, salt } = readTpmFixed(fixed)
    if (hasPin && this.#pin === undefined)
      throw new Fault("locked", "the TPM asks for a PIN", { hint: "give it with --pin-fd" })
    const [parent, publicArea, privateArea] = partsOf(sealed)
    const pin = hasPin && this.#pin !== undefined ? authOf(this.#pin, salt) : undefined
    try {
      this.#tpm.unseal({ pcrs, hasPin, parent, publicArea, privateArea }, into, {
        ...{ pin, counter: this.#counter, value: this.#base + BigInt(epoch) },
      })
      return true
    } finally {
      wipe(pin)
    }
  }
}

/** `Tpm.identity` of the TPM that sealed it. */
export function sealedBy(sealed: Buffer): Buffer {
  return partsOf(sealed)[0]
}

function partsOf(sealed: Buffer): [Buffer, Buffer, Buffer] {
  try {
    const reader = new Reader(sealed)
    const next = (): Buffer => reader.bytes(reader.u16())
    const parts: [Buffer, Buffer, Buffer] = [next(), next(), next()]
    if (reader.remaining === 0) return parts
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown
  }
  throw new Fault("corrupt", "a protector's record is damaged")
}
