/** JSON Web Signatures and Tokens: RFC 7515, 7518, 7519, and 8037 for EdDSA. Compact form only. */
import { Fault } from "../../clawfs/core/fault.ts"
import { hmac } from "../../keyring/primitives.ts"
import { wipe } from "../../keyring/secret.ts"
import { signWith } from "../../clawfs/sys/signatures.ts"
import { privateKeyIn } from "./private-key.ts"

export const JWT_ALGORITHMS = ["HS256", "ES256", "EdDSA"] as const
export type JwtAlgorithm = (typeof JWT_ALGORITHMS)[number]
/** RFC 7518, section 3.2: a key of HS256 is as long as the hash, or longer. */
const LEAST_HMAC_KEY = 32

/** What a token claims, as far as a grant can limit it. */
export interface Claims {
  readonly text: string
  readonly audience: readonly string[]
  /** Seconds since 1970; undefined: none. */
  readonly expires: number | undefined
}

/** Reads the claims: a JSON object. What is signed is written anew, so that each name is in it once. */
export function readClaims(bytes: Uint8Array): Claims {
  const value = parsed(bytes)
  const { aud, exp } = value
  const audience = aud === undefined ? [] : Array.isArray(aud) ? (aud as unknown[]) : [aud]
  if (!audience.every((each) => typeof each === "string"))
    throw new Fault("invalid", "the claim aud is a text or a list of texts")
  if (exp !== undefined && (typeof exp !== "number" || !Number.isFinite(exp)))
    throw new Fault("invalid", "the claim exp is a number of seconds since 1970")
  return { text: JSON.stringify(value), audience, expires: exp }
}

function parsed(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes).toString("utf8"))
  } catch {
    // Told below: what does not parse is no object.
    value = undefined
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>
  throw new Fault("invalid", "the claims are no JSON object")
}

/** A signed token of header and claims as they are. `key`: the secret's value; `room`: secret memory of its length. */
export function compactJws(
  algorithm: JwtAlgorithm,
  { header, payload }: { readonly header: string; readonly payload: string },
  key: Buffer,
  room: Buffer,
): string {
  const input = `${base64url(header)}.${base64url(payload)}`
  const signature = signatureOf(algorithm, Buffer.from(input), key, room)
  try {
    return `${input}.${signature.toString("base64url")}`
  } finally {
    wipe(signature)
  }
}

export function jwtHeader(algorithm: JwtAlgorithm, keyId: string | undefined): string {
  return JSON.stringify({ alg: algorithm, typ: "JWT", ...(keyId === undefined ? {} : { kid: keyId }) })
}

function signatureOf(algorithm: JwtAlgorithm, input: Buffer, key: Buffer, room: Buffer): Buffer {
  if (algorithm === "HS256") {
    if (key.length < LEAST_HMAC_KEY)
      throw new Fault("invalid", `a key of HS256 has at least ${LEAST_HMAC_KEY} bytes (RFC 7518)`)
    return hmac(key, input)
  }
  const { curve, secret } = privateKeyIn(key, room)
  if (curve !== (algorithm === "ES256" ? "p256" : "ed25519"))
    throw new Fault("invalid", `the secret is no key of ${algorithm}`)
  return signWith(curve, secret, input)
}

function base64url(text: string): string {
  return Buffer.from(text).toString("base64url")
}
