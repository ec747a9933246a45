/**
 * Signatures of the audit's end, which are rows of it: by a key that never leaves the vault's TPM, or without one by an Ed25519
 * key that the chain's key makes. Whoever has noted such a row elsewhere can show, without any key, that the chain was so then.
 */
import { createHash, createPublicKey, verify as verifyByNode } from "node:crypto"
import { Fault } from "../clawfs/core/fault.ts"
import { publicKeyOf, signWith } from "../clawfs/sys/signatures.ts"
import { Tpm } from "../keyring/tpm.ts"
import type { Audit, AuditRow } from "./audit.ts"
import { bound } from "./bound.ts"
import type { VaultDatabase } from "./database.ts"
import { damaged, type VaultKeys } from "./keys.ts"
import { readState } from "./state.ts"

export const SIGNATURE_EVENT = "signature"
/** RFC 8410 and RFC 5480: what stands before the bytes of a public key in SubjectPublicKeyInfo. */
const SPKI = {
  Ed25519: Buffer.from("302a300506032b6570032100", "hex"),
  "ECDSA-P256, TPM": Buffer.from("3059301306072a8648ce3d020106082a8648ce3d03010703420004", "hex"),
} as const
type Scheme = keyof typeof SPKI

export interface SignatureDetail {
  readonly scheme: Scheme
  /** Of the row before, which is the end that is signed. */
  readonly seq: number
  readonly mac: string
  /** The public key, base64: 32 bytes of Ed25519, x and y of P-256. */
  readonly key: string
  readonly signature: string
}

function message(uuid: Buffer, seq: number, mac: Buffer): Buffer {
  return bound("audit signature", uuid, seq, mac)
}

/** What a row says that signs the present end; undefined when the newest row is such a one. */
export function signatureOfEnd(
  db: VaultDatabase,
  audit: Audit,
  keys: VaultKeys,
): SignatureDetail | undefined {
  const { seq, mac } = audit.end(keys)
  const [newest] = audit.page(seq - 1)
  if (seq === 0 || newest?.event === SIGNATURE_EVENT) return undefined
  const text = message(keys.uuid, seq, mac)
  const place = { seq, mac: mac.toString("hex") }
  const { counter } = readState(db)
  if (counter !== undefined) {
    using tpm = new Tpm(counter.tcti)
    const { signature, publicKey } = tpm.sign(keys.uuid, createHash("sha256").update(text).digest())
    return { scheme: "ECDSA-P256, TPM", ...place, ...base64({ key: publicKey, signature }) }
  }
  return audit.withSigningSeed(keys, (seed) => {
    const [key, signature] = [publicKeyOf("ed25519", seed), signWith("ed25519", seed, text)]
    return { scheme: "Ed25519", ...place, ...base64({ key, signature }) }
  })
}

function base64({ key, signature }: { key: Buffer; signature: Buffer }): { key: string; signature: string } {
  return { key: key.toString("base64"), signature: signature.toString("base64") }
}

/** Whether a row's signature is one of the row before it. Needs no secret. */
export function isSigned(
  uuid: Buffer,
  detail: SignatureDetail,
  before: { seq: number; mac: Buffer },
): boolean {
  const { scheme, seq, mac, key, signature } = detail
  if (seq !== before.seq || mac !== before.mac.toString("hex") || !Object.hasOwn(SPKI, scheme)) return false
  const der = Buffer.concat([SPKI[scheme], Buffer.from(key, "base64")])
  const publicKey = createPublicKey({ key: der, format: "der", type: "spki" })
  const [text, bytes] = [message(uuid, seq, before.mac), Buffer.from(signature, "base64")]
  return scheme === "Ed25519"
    ? verifyByNode(null, text, publicKey, bytes)
    : verifyByNode("sha256", text, { key: publicKey, dsaEncoding: "ieee-p1363" }, bytes)
}

/** `Audit.verify`, and each signature in the chain. `keys` of the result: which ones have signed, for people to compare. */
export function verifySigned(
  audit: Audit,
  keys: VaultKeys,
  known?: { seq: number; mac: Buffer },
): ReturnType<Audit["verify"]> & {
  readonly signatures: { readonly count: number; readonly keys: string[] }
} {
  const signers = new Set<string>()
  let count = 0
  const check = (row: AuditRow, before: Buffer): void => {
    if (row.event !== SIGNATURE_EVENT || row.outcome !== "done") return
    const detail = detailOf(row)
    if (!isSigned(keys.uuid, detail, { seq: row.seq - 1, mac: before }))
      throw damaged(`the signature in row ${row.seq} of the audit`)
    signers.add(
      `${detail.scheme} ${createHash("sha256").update(Buffer.from(detail.key, "base64")).digest("hex").slice(0, 16)}`,
    )
    count += 1
  }
  return { ...audit.verify(keys, known, check), signatures: { count, keys: [...signers] } }
}

function detailOf({ seq, detail }: AuditRow): SignatureDetail {
  try {
    return JSON.parse(detail) as SignatureDetail
  } catch (cause) {
    throw new Fault("corrupt", `row ${seq} of the audit is no signature`, { cause })
  }
}
