/**
 * Signatures by OpenSSL's libcrypto: Ed25519 (RFC 8032) and ECDSA over P-256 with SHA-256 (FIPS 186-5). A private key is read
 * from the caller's memory, and libcrypto wipes its copy before the call returns; keys of node:crypto stay until the garbage
 * collector comes. That is the way where the library is missing.
 */
import { createPrivateKey, createPublicKey, sign as signByNode } from "node:crypto"
import { bug } from "../core/assert.ts"
import { Fault } from "../core/fault.ts"
import { bindFrom, type Native } from "./ffi.ts"

/** Curves whose private keys are 32 bytes. */
export type Curve = "ed25519" | "p256"
export const PRIVATE_BYTES = 32
/** Ed25519: R and S. P-256: r and s, big-endian, as JWS and IEEE P1363 have them. */
export const SIGNATURE_BYTES = 64
/** Ed25519: the point, compressed. */
const ED25519_BYTES = 32
/** P-256: 4, x, y (SEC 1, section 2.3.3). */
const P256_BYTES = 65

const SONAME = "libcrypto.so.3"
/** EVP_PKEY_ED25519. */
const ED25519 = 1087
/** NID_X9_62_prime256v1. */
const P256 = 415
const UNCOMPRESSED = 4

type Pointer = unknown

interface Functions {
  readonly rawPrivate: Native<[type: number, engine: null, key: Uint8Array, length: number], Pointer>
  readonly rawPublic: Native<[key: Pointer, into: Buffer, length: bigint[]], number>
  readonly freeKey: Native<[key: Pointer], void>
  readonly newDigest: Native<[], Pointer>
  readonly freeDigest: Native<[context: Pointer], void>
  readonly beginSign: Native<[context: Pointer, out: null, hash: null, engine: null, key: Pointer], number>
  readonly digestSign: Native<
    [context: Pointer, into: Buffer, length: bigint[], data: Uint8Array, dataLength: number],
    number
  >
  readonly newCurveKey: Native<[nid: number], Pointer>
  readonly freeCurveKey: Native<[key: Pointer], void>
  readonly groupOf: Native<[key: Pointer], Pointer>
  readonly number: Native<[bytes: Uint8Array, length: number, into: null], Pointer>
  readonly freeNumber: Native<[number: Pointer], void>
  readonly numberBytes: Native<[number: Pointer, into: Uint8Array, length: number], number>
  readonly setPrivate: Native<[key: Pointer, number: Pointer], number>
  readonly newPoint: Native<[group: Pointer], Pointer>
  readonly freePoint: Native<[point: Pointer], void>
  readonly multiply: Native<
    [group: Pointer, into: Pointer, number: Pointer, point: null, other: null, context: null],
    number
  >
  readonly pointBytes: Native<
    [group: Pointer, point: Pointer, form: number, into: Buffer, length: number, context: null],
    bigint | number
  >
  readonly signDigest: Native<[digest: Uint8Array, length: number, key: Pointer], Pointer>
  readonly partR: Native<[signature: Pointer], Pointer>
  readonly partS: Native<[signature: Pointer], Pointer>
  readonly freeSignature: Native<[signature: Pointer], void>
  readonly sha256: Native<[data: Uint8Array, length: number, into: Buffer], Pointer>
}

let loaded: Functions | null | undefined

function functions(): Functions | null {
  if (loaded !== undefined) return loaded
  const bind = bindFrom(SONAME)
  if (bind === undefined) return (loaded = null)
  return (loaded = {
    rawPrivate: bind("void* EVP_PKEY_new_raw_private_key(int, void*, const void*, size_t)"),
    rawPublic: bind("int EVP_PKEY_get_raw_public_key(void*, void*, _Inout_ size_t*)"),
    freeKey: bind("void EVP_PKEY_free(void*)"),
    newDigest: bind("void* EVP_MD_CTX_new()"),
    freeDigest: bind("void EVP_MD_CTX_free(void*)"),
    beginSign: bind("int EVP_DigestSignInit(void*, void*, void*, void*, void*)"),
    digestSign: bind("int EVP_DigestSign(void*, void*, _Inout_ size_t*, const void*, size_t)"),
    newCurveKey: bind("void* EC_KEY_new_by_curve_name(int)"),
    freeCurveKey: bind("void EC_KEY_free(void*)"),
    groupOf: bind("void* EC_KEY_get0_group(void*)"),
    number: bind("void* BN_bin2bn(const void*, int, void*)"),
    freeNumber: bind("void BN_clear_free(void*)"),
    numberBytes: bind("int BN_bn2binpad(void*, void*, int)"),
    setPrivate: bind("int EC_KEY_set_private_key(void*, void*)"),
    newPoint: bind("void* EC_POINT_new(void*)"),
    freePoint: bind("void EC_POINT_free(void*)"),
    multiply: bind("int EC_POINT_mul(void*, void*, void*, void*, void*, void*)"),
    pointBytes: bind("size_t EC_POINT_point2oct(void*, void*, int, void*, size_t, void*)"),
    signDigest: bind("void* ECDSA_do_sign(const void*, int, void*)"),
    partR: bind("void* ECDSA_SIG_get0_r(void*)"),
    partS: bind("void* ECDSA_SIG_get0_s(void*)"),
    freeSignature: bind("void ECDSA_SIG_free(void*)"),
    sha256: bind("void* SHA256(const void*, size_t, void*)"),
  })
}

/** RFC 8410: what stands before the 32 bytes in PKCS #8, and before the public key. */
const ED25519_PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex")
const ED25519_SPKI = Buffer.from("302a300506032b6570032100", "hex")
/** RFC 5958 and RFC 5915, without the public key. */
const P256_PKCS8 = Buffer.from(
  "3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420",
  "hex",
)
const P256_SPKI_LENGTH = 26
export const PKCS8 = { ed25519: ED25519_PKCS8, p256: P256_PKCS8 } as const satisfies Record<Curve, Buffer>

/** The order of P-256's group (SEC 2, section 2.4.2), big-endian: private keys are from 1 to one less. */
const ORDER = Buffer.from("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", "hex")

/** Whether 32 bytes are a private key of the curve. */
export function isPrivate(curve: Curve, secret: Uint8Array): boolean {
  if (secret.length !== PRIVATE_BYTES) return false
  return curve === "ed25519" || (secret.some((byte) => byte !== 0) && ORDER.compare(secret) > 0)
}

function checkPrivate(curve: Curve, secret: Uint8Array): void {
  if (!isPrivate(curve, secret)) throw new Fault("invalid", `the value is no private key of ${curve}`)
}

/** The signature of `message` (`SIGNATURE_BYTES`). `secret`: 32 bytes. Throws `Fault("invalid")` for what is no key. */
export function signWith(
  curve: Curve,
  secret: Uint8Array,
  message: Uint8Array,
  f: Functions | null = functions(),
): Buffer {
  checkPrivate(curve, secret)
  if (f === null) return signedByNode(curve, secret, message)
  return curve === "ed25519" ? signEd25519(f, secret, message) : signP256(f, secret, message)
}

function signEd25519(f: Functions, secret: Uint8Array, message: Uint8Array): Buffer {
  const out = Buffer.alloc(SIGNATURE_BYTES)
  const key = f.rawPrivate(ED25519, null, secret, secret.length)
  const context = f.newDigest()
  try {
    ok(f.beginSign(context, null, null, null, key))
    ok(f.digestSign(context, out, [BigInt(out.length)], message, message.length))
    return out
  } finally {
    f.freeDigest(context)
    f.freeKey(key)
  }
}

function withP256<T>(f: Functions, secret: Uint8Array, work: (key: Pointer, number: Pointer) => T): T {
  const number = f.number(secret, secret.length, null)
  const key = f.newCurveKey(P256)
  try {
    ok(f.setPrivate(key, number))
    return work(key, number)
  } finally {
    f.freeCurveKey(key)
    f.freeNumber(number)
  }
}

function signP256(f: Functions, secret: Uint8Array, message: Uint8Array): Buffer {
  return withP256(f, secret, (key) => {
    const digest = Buffer.alloc(32)
    f.sha256(message, message.length, digest)
    const signature = f.signDigest(digest, digest.length, key)
    if (signature === null) bug("libcrypto did not sign")
    try {
      const out = Buffer.alloc(SIGNATURE_BYTES)
      const half = SIGNATURE_BYTES / 2
      if (f.numberBytes(f.partR(signature), out, half) !== half) bug("a signature is too long")
      if (f.numberBytes(f.partS(signature), out.subarray(half), half) !== half) bug("a signature is too long")
      return out
    } finally {
      f.freeSignature(signature)
    }
  })
}

/** The public key: 32 bytes of Ed25519, or 65 of P-256 (uncompressed). */
export function publicKeyOf(curve: Curve, secret: Uint8Array, f: Functions | null = functions()): Buffer {
  checkPrivate(curve, secret)
  if (f === null) return publicByNode(curve, secret)
  if (curve === "p256")
    return withP256(f, secret, (key, number) => {
      const [group, out] = [f.groupOf(key), Buffer.alloc(P256_BYTES)]
      const point = f.newPoint(group)
      try {
        ok(f.multiply(group, point, number, null, null, null))
        const length = f.pointBytes(group, point, UNCOMPRESSED, out, out.length, null)
        if (Number(length) !== P256_BYTES) bug("libcrypto gave no point")
        return out
      } finally {
        f.freePoint(point)
      }
    })
  const out = Buffer.alloc(ED25519_BYTES)
  const key = f.rawPrivate(ED25519, null, secret, secret.length)
  try {
    ok(f.rawPublic(key, out, [BigInt(out.length)]))
    return out
  } finally {
    f.freeKey(key)
  }
}

function withPkcs8<T>(curve: Curve, secret: Uint8Array, work: (der: Buffer) => T): T {
  const der = Buffer.from(new ArrayBuffer(PKCS8[curve].length + secret.length))
  der.set(PKCS8[curve])
  der.set(secret, PKCS8[curve].length)
  try {
    return work(der)
  } finally {
    der.fill(0)
  }
}

/** For tests and machines without libcrypto.so.3. */
export function signedByNode(curve: Curve, secret: Uint8Array, message: Uint8Array): Buffer {
  return withPkcs8(curve, secret, (key) =>
    signByNode(curve === "ed25519" ? null : "sha256", message, {
      ...{ key, format: "der", type: "pkcs8", dsaEncoding: "ieee-p1363" },
    }),
  )
}

/** The same. */
export function publicByNode(curve: Curve, secret: Uint8Array): Buffer {
  const spki = withPkcs8(curve, secret, (key) =>
    createPublicKey(createPrivateKey({ key, format: "der", type: "pkcs8" })).export({
      ...{ format: "der", type: "spki" },
    }),
  )
  return spki.subarray(curve === "ed25519" ? ED25519_SPKI.length : P256_SPKI_LENGTH)
}

function ok(result: number): void {
  if (result !== 1) bug("libcrypto refused to sign")
}
