/**
 * X25519 (RFC 7748) by OpenSSL's libcrypto, whose keys are wiped when they are freed, and freed at once: objects of
 * node:crypto stay until the garbage collector comes. That is the way where the library is missing.
 */
import { createPrivateKey, createPublicKey, diffieHellman } from "node:crypto"
import { bug } from "../core/assert.ts"
import { bindFrom, type Native } from "./ffi.ts"

const SONAME = "libcrypto.so.3"
/** EVP_PKEY_X25519. */
const NID = 1034
export const X25519_BYTES = 32

interface Functions {
  readonly privateKey: Native<[type: number, engine: null, key: Uint8Array, length: number], unknown>
  readonly publicKey: Native<[type: number, engine: null, key: Uint8Array, length: number], unknown>
  readonly rawPublic: Native<[key: unknown, into: Buffer, length: bigint[]], number>
  readonly freeKey: Native<[key: unknown], void>
  readonly newContext: Native<[key: unknown, engine: null], unknown>
  readonly freeContext: Native<[context: unknown], void>
  readonly begin: Native<[context: unknown], number>
  readonly setPeer: Native<[context: unknown, key: unknown], number>
  readonly derive: Native<[context: unknown, into: Buffer, length: bigint[]], number>
}

let loaded: Functions | null | undefined

function functions(): Functions | null {
  if (loaded !== undefined) return loaded
  const bind = bindFrom(SONAME)
  if (bind === undefined) return (loaded = null)
  return (loaded = {
    privateKey: bind("void* EVP_PKEY_new_raw_private_key(int, void*, const void*, size_t)"),
    publicKey: bind("void* EVP_PKEY_new_raw_public_key(int, void*, const void*, size_t)"),
    rawPublic: bind("int EVP_PKEY_get_raw_public_key(void*, void*, _Inout_ size_t*)"),
    freeKey: bind("void EVP_PKEY_free(void*)"),
    newContext: bind("void* EVP_PKEY_CTX_new(void*, void*)"),
    freeContext: bind("void EVP_PKEY_CTX_free(void*)"),
    begin: bind("int EVP_PKEY_derive_init(void*)"),
    setPeer: bind("int EVP_PKEY_derive_set_peer(void*, void*)"),
    derive: bind("int EVP_PKEY_derive(void*, void*, _Inout_ size_t*)"),
  })
}

/** RFC 8410: what stands before the 32 bytes of a key in PKCS #8 and in SubjectPublicKeyInfo. */
const PKCS8 = Buffer.from("302e020100300506032b656e04220420", "hex")
const SPKI = Buffer.from("302a300506032b656e032100", "hex")

/** The public key of a private one (32 bytes). */
export function publicOf(secret: Uint8Array, f: Functions | null = functions()): Buffer {
  if (f === null) {
    const der = Buffer.concat([PKCS8, secret])
    const key = createPublicKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" }))
    der.fill(0)
    return key.export({ format: "der", type: "spki" }).subarray(SPKI.length)
  }
  const out = Buffer.alloc(X25519_BYTES)
  const key = f.privateKey(NID, null, secret, secret.length)
  try {
    ok(f.rawPublic(key, out, [BigInt(out.length)]))
  } finally {
    f.freeKey(key)
  }
  return out
}

/**
 * What two keys share, into `into` (32 bytes); false for a public key of small order, which shares nothing secret. It must be
 * hashed before it is a key.
 */
export function agree(
  secret: Uint8Array,
  peer: Uint8Array,
  into: Buffer,
  f: Functions | null = functions(),
): boolean {
  if (f === null) return agreeByNode(secret, peer, into)
  const [ours, theirs] = [
    f.privateKey(NID, null, secret, secret.length),
    f.publicKey(NID, null, peer, peer.length),
  ]
  const context = f.newContext(ours, null)
  try {
    ok(f.begin(context))
    ok(f.setPeer(context, theirs))
    return f.derive(context, into, [BigInt(into.length)]) === 1
  } finally {
    f.freeContext(context)
    f.freeKey(ours)
    f.freeKey(theirs)
  }
}

/** For tests and machines without libcrypto.so.3. */
export function agreeByNode(secret: Uint8Array, peer: Uint8Array, into: Buffer): boolean {
  const der = Buffer.concat([PKCS8, secret])
  try {
    const shared = diffieHellman({
      privateKey: createPrivateKey({ key: der, format: "der", type: "pkcs8" }),
      publicKey: createPublicKey({ key: Buffer.concat([SPKI, peer]), format: "der", type: "spki" }),
    })
    shared.copy(into)
    shared.fill(0)
    return true
  } catch (thrown) {
    // OpenSSL refuses the all-zero result that points of small order give.
    if ((thrown as NodeJS.ErrnoException).code?.startsWith("ERR_OSSL") === true) return false
    throw thrown
  } finally {
    der.fill(0)
  }
}

function ok(result: number): void {
  if (result !== 1) bug("libcrypto refused a key of X25519")
}
