/**
 * What the vault shows of itself without giving anything away, as JSON: the files of the specification (P1.4 §3.5, P3.8 §7)
 * with what is true here. Bytes are base64, times ISO 8601.
 */
import { KDF_NAMES } from "../keyring/kdf.ts"
import { NONCE_BYTES, TAG_BYTES } from "../keyring/primitives.ts"
import { PROTECTOR_NAMES, ProtectorKind } from "../keyring/protector.ts"
import { derivationOf } from "../keyring/secret-protector.ts"
import type { VaultDatabase } from "./database.ts"
import { DAY_MS } from "./metadata.ts"
import type { ProtectorRow } from "./protectors.ts"
import { readState } from "./state.ts"
import type { Vault } from "./vault.ts"
import { Versions } from "./versions.ts"

const FORMAT = "clawfs-vault-1"
const CIPHER = "AES-256-GCM"
/** The specification's rule for master keys. */
const ROTATION_DAYS = 90

function json(value: object): Buffer {
  return Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`)
}

function time(ms: number): string {
  return new Date(ms).toISOString()
}

function keyId(epoch: number): string {
  return `clawfs:vault:${epoch}`
}

/** The newest version of a secret in the form of P1.4, still encrypted; undefined for a name without a secret. */
export function sealedForm(db: VaultDatabase, vault: Vault, name: string): Buffer | undefined {
  const entry = vault.find(name)
  if (entry?.metadata.removed !== 0) return undefined
  const { id, metadata } = entry
  const version = new Versions(db).sealed(id, metadata.latest)
  if (version === undefined) return undefined
  const { body, key, created } = version
  return json({
    format: FORMAT,
    secret_id: name,
    encrypted_value: body.subarray(NONCE_BYTES, body.length - TAG_BYTES).toString("base64"),
    iv: body.subarray(0, NONCE_BYTES).toString("base64"),
    auth_tag: body.subarray(body.length - TAG_BYTES).toString("base64"),
    algorithm: CIPHER,
    key_id: keyId(vault.keys.epoch),
    key_generation: vault.keys.epoch,
    // Each version has a random key of its own, which is here, wrapped by the root key's.
    kdf: { algorithm: "HKDF-SHA256", iterations: 1, salt: "" },
    wrapped_key: key.toString("base64"),
    record_id: id.toString("hex"),
    created_at: time(metadata.created),
    updated_at: time(created),
    version: metadata.latest,
  })
}

/** `master-key.enc`: the root key as each protector has it. */
export function masterKeyForm(db: VaultDatabase, vault: Vault): Buffer {
  const { uuid, epoch, rotated } = readState(db)
  return json({
    format: FORMAT,
    vault_id: uuid.toString("hex"),
    key_id: keyId(epoch),
    master_key_version: epoch,
    created_at: time(rotated),
    protectors: vault.protectors().map(({ number, kind, created, fixed, sealed }) => ({
      ...{ number, kind: PROTECTOR_NAMES[kind], created_at: time(created) },
      ...{ parameters: fixed.toString("base64"), sealed: sealed.toString("base64") },
    })),
  })
}

/** `metadata.json` */
export function metadataForm(db: VaultDatabase, vault: Vault): Buffer {
  const { uuid, created, epoch, rotated, counter } = readState(db)
  const protectors = vault.protectors()
  const passphrase = protectors.find(({ kind }) => kind === ProtectorKind.PASSPHRASE)
  return json({
    format: FORMAT,
    vault_id: uuid.toString("hex"),
    master_key_version: epoch,
    master_key_created_at: time(created),
    master_key_rotated_at: time(rotated),
    tpm_available: counter !== undefined,
    tpm_sealed: protectors.some(({ kind }) => kind === ProtectorKind.TPM),
    total_secrets: vault.list().filter(({ metadata }) => metadata.removed === 0).length,
    encryption_algorithm: CIPHER,
    ...kdfOf(passphrase),
    last_rotation: time(rotated),
    next_rotation: time(rotated + ROTATION_DAYS * DAY_MS),
  })
}

/** How the passphrase becomes a key; keys below the root key are derived by HKDF-SHA256. */
function kdfOf(passphrase: ProtectorRow | undefined): object {
  if (passphrase === undefined) return { kdf_algorithm: "hkdf-sha256", kdf_iterations: 1 }
  const { kdf, cost } = derivationOf(passphrase.fixed)
  return { kdf_algorithm: KDF_NAMES[kdf], kdf_iterations: cost }
}
