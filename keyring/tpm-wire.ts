/**
 * The few structures of the TPM that are written by hand, in their wire form (TPM 2.0 Library, Part 2: Structures): all
 * numbers big-endian, a TPM2B is its length in 16 bits and the bytes.
 */
import { createHash } from "node:crypto"
import { newSecret } from "./secret.ts"

export const ALG_SHA256 = 0x0b
const ALG_AES = 0x06
const ALG_KEYEDHASH = 0x08
const ALG_NULL = 0x10
const ALG_ECDSA = 0x18
const ALG_ECC = 0x23
const ALG_CFB = 0x43
const CURVE_P256 = 3
const COMMAND_POLICY_PCR = 0x17f
const COMMAND_POLICY_AUTH_VALUE = 0x16b
const COMMAND_POLICY_NV = 0x149

export const DIGEST_BYTES = 32
/** Registers of a PC client TPM. */
export const PCR_COUNT = 24

/** fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, decrypt. */
const SRK_ATTRIBUTES = 0x0003_0472
/** fixedTPM, fixedParent: what is sealed can't leave this TPM, and opens by its policy alone. */
const SEALED_ATTRIBUTES = 0x12
const NO_DA = 0x400
/** fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, sign. */
const SIGNING_ATTRIBUTES = 0x0004_0472
/** AUTHWRITE, a counter, AUTHREAD, NO_DA. */
const COUNTER_ATTRIBUTES = 0x0204_0014

/** AUTHWRITE, ordinary, AUTHREAD, NO_DA. */
const NOTE_ATTRIBUTES = 0x0204_0004

/** TPMT_TK_HASHCHECK for a digest that the TPM has not made itself (Part 2, section 10.6.5). */
export const NO_TICKET = Buffer.from("8024400000070000", "hex")

const u8 = (value: number): Buffer => Buffer.from([value])
export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}
export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}
export function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(value)
  return bytes
}
/** A TPM2B. */
export function sized(...parts: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.concat(parts)
  return Buffer.concat([u16(bytes.length), bytes])
}

function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** TPMT_SIG_SCHEME. */
export const ECDSA_SHA256 = Buffer.concat([u16(ALG_ECDSA), u16(ALG_SHA256)])

const AES_128_CFB = [u16(ALG_AES), u16(128), u16(ALG_CFB)]

/** TPMT_SYM_DEF of the sessions that encrypt what goes over the TPM's bus. */
export const SESSION_CIPHER = Buffer.concat(AES_128_CFB)

/** TPM2B_PUBLIC of the storage root key: "TCG TPM v2.0 Provisioning Guidance", ECC P-256, template L-2. */
export const SRK_TEMPLATE = sized(
  u16(ALG_ECC),
  u16(ALG_SHA256),
  u32(SRK_ATTRIBUTES),
  sized(),
  ...AES_128_CFB,
  u16(ALG_NULL),
  u16(CURVE_P256),
  u16(ALG_NULL),
  sized(Buffer.alloc(DIGEST_BYTES)),
  sized(Buffer.alloc(DIGEST_BYTES)),
)

/** TPM2B_PUBLIC of a key that signs by ECDSA over P-256 and SHA-256; the TPM makes the same one for the same `unique` (32 bytes). */
export function signingTemplate(unique: Buffer): Buffer {
  return sized(
    u16(ALG_ECC),
    u16(ALG_SHA256),
    u32(SIGNING_ATTRIBUTES),
    sized(),
    u16(ALG_NULL),
    ECDSA_SHA256,
    u16(CURVE_P256),
    u16(ALG_NULL),
    sized(unique),
    sized(Buffer.alloc(DIGEST_BYTES)),
  )
}

/** TPM2B_PUBLIC of a sealed object. With a PIN, wrong ones count against the TPM's dictionary attack protection. */
export function sealedTemplate(policy: Buffer, hasPin: boolean): Buffer {
  const attributes = SEALED_ATTRIBUTES | (hasPin ? 0 : NO_DA)
  return sized(u16(ALG_KEYEDHASH), u16(ALG_SHA256), u32(attributes), sized(policy), u16(ALG_NULL), sized())
}

/** TPM2B_SENSITIVE_CREATE: what is sealed, and the PIN. The caller wipes it. */
export function sensitiveOf(pin: Uint8Array, secret: Uint8Array): Buffer {
  const wire = newSecret(6 + pin.length + secret.length)
  wire.writeUInt16BE(4 + pin.length + secret.length, 0)
  wire.writeUInt16BE(pin.length, 2)
  wire.set(pin, 4)
  wire.writeUInt16BE(secret.length, 4 + pin.length)
  wire.set(secret, 6 + pin.length)
  return wire
}

/** TPM2B_NV_PUBLIC of a counter that anyone who reaches the TPM may read and count up. */
export function counterTemplate(index: number): Buffer {
  return sized(u32(index), u16(ALG_SHA256), u32(COUNTER_ATTRIBUTES), sized(), u16(8))
}

/** TPM2B_NV_PUBLIC of some bytes that whoever has the index's own authorization value may read and write. */
export function noteTemplate(index: number, bytes: number): Buffer {
  return sized(u32(index), u16(ALG_SHA256), u32(NOTE_ATTRIBUTES), sized(), u16(bytes))
}

/** TPML_PCR_SELECTION over the SHA-256 bank. */
export function selectionOf(pcrs: readonly number[]): Buffer {
  const bits = Buffer.alloc(PCR_COUNT / 8)
  for (const pcr of pcrs) bits[pcr >> 3] = (bits[pcr >> 3] ?? 0) | (1 << (pcr & 7))
  return Buffer.concat([u32(1), u16(ALG_SHA256), u8(bits.length), bits])
}

/** What an object opens by: each part that is given must hold. */
export interface Policy {
  readonly pcrs: readonly number[]
  readonly hasPin: boolean
  readonly counter?: { readonly name: Buffer; readonly value: bigint } | undefined
}

/**
 * The policy's digest, computed here and not by the TPM, so that it can be for values that are yet to come (Part 3,
 * TPM2_PolicyPCR, TPM2_PolicyAuthValue, TPM2_PolicyNV). `values`: of the PCRs, in ascending order.
 */
export function policyDigest({ pcrs, hasPin, counter }: Policy, values: readonly Buffer[]): Buffer {
  let digest: Buffer = Buffer.alloc(DIGEST_BYTES)
  if (pcrs.length > 0) digest = sha256(digest, u32(COMMAND_POLICY_PCR), selectionOf(pcrs), sha256(...values))
  if (hasPin) digest = sha256(digest, u32(COMMAND_POLICY_AUTH_VALUE))
  if (counter !== undefined) {
    const operand = sha256(u64(counter.value), u16(0), u16(0))
    digest = sha256(digest, u32(COMMAND_POLICY_NV), operand, counter.name)
  }
  return digest
}

/** Two numbers of up to 32 bytes, each with its length, that stand at `at`: 64 bytes. */
export function halves(wire: Buffer, at: number): Buffer {
  const out = Buffer.alloc(2 * DIGEST_BYTES)
  for (const end of [DIGEST_BYTES, 2 * DIGEST_BYTES]) {
    const length = wire.readUInt16BE(at)
    wire.copy(out, end - length, at + 2, at + 2 + length)
    at += 2 + length
  }
  return out
}

/** Where the point of a public area of an elliptic curve begins: behind type, hash, attributes, policy and parameters. */
export function lastOf(area: Buffer): number {
  // The size of all; type, nameAlg, attributes; policy with its length; symmetric, scheme and hash, curve, kdf.
  const policyAt = 2 + 2 + 2 + 4
  return policyAt + 2 + area.readUInt16BE(policyAt) + 2 + 4 + 2 + 2
}

export interface Lockout {
  /** Wrong PINs so far, and how many lead to a lockout. */
  readonly failures: number
  readonly most: number
  /** One failure is forgotten after so many seconds. */
  readonly intervalSeconds: number
  readonly isLockedOut: boolean
}

/** TPMS_CAPABILITY_DATA with the four properties from TPM_PT_LOCKOUT_COUNTER on: capability and count, then pairs of a property and its value. */
export function lockoutOf(wire: Buffer): Lockout {
  const [failures = 0, most = 0, intervalSeconds = 0] = [0, 1, 2].map((at) =>
    wire.readUInt32BE(8 + 8 * at + 4),
  )
  return { failures, most, intervalSeconds, isLockedOut: failures >= most }
}
