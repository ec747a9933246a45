/** The vault's key for manifests: an Ed25519 key, kept as a secret under a name that nobody else may set. */
import { randomFillSync } from "node:crypto"
import { Fault } from "../../clawfs/core/fault.ts"
import { keyIdOf, signedBytes } from "../../clawfs/manifest/signed-manifest.ts"
import { PRIVATE_BYTES, publicKeyOf, signWith } from "../../clawfs/sys/signatures.ts"
import { MANIFEST_FORMAT, type ManifestHead, type ManifestKind } from "../../schema/signed-manifest.ts"
import { TREE_NAME } from "../../schema/vault-api.ts"
import type { Subject } from "../audit.ts"
import type { Vault } from "../vault.ts"

const NAME = "clawfs.manifest-key"
const OWN = "clawfs."

/** Whether a secret of this name is a person's, not one that clawfs makes for itself. */
export function isFreeName(name: string): boolean {
  return !name.startsWith(OWN) && !TREE_NAME.test(name)
}

/** Throws `Fault("invalid")` for names of secrets that clawfs makes for itself. */
export function requireFreeName(name: string): void {
  if (isFreeName(name)) return
  throw new Fault("invalid", `${name} is a name for clawfs itself, and nobody else may set it`)
}

export interface Wanted {
  readonly kind: ManifestKind
  readonly directory: string
  readonly entries: string
}

export interface Signed {
  readonly head: ManifestHead
  readonly signature: string
}

/** Signs a manifest's head; the key is made with the first one. */
export function signManifest(vault: Vault, subject: Subject, { kind, directory, entries }: Wanted): Signed {
  if (vault.find(NAME)?.metadata.removed !== 0) makeKey(vault, subject)
  return vault.use(subject, "sign-manifest", { name: NAME }, (secret) => {
    const key = publicKeyOf("ed25519", secret)
    const head: ManifestHead = {
      ...{ format: MANIFEST_FORMAT, kind, directory, status: "FROZEN" },
      ...{ signed_at: new Date().toISOString(), signed_by: keyIdOf(key), algorithm: "Ed25519" },
      ...{ key: key.toString("base64"), entries_sha256: entries },
    }
    return { head, signature: signWith("ed25519", secret, signedBytes(head)).toString("base64") }
  })
}

function makeKey(vault: Vault, subject: Subject): void {
  vault.values.borrow(PRIVATE_BYTES, (secret) => {
    randomFillSync(secret)
    const description = "Ed25519: signs manifests (clawfs vault sign)"
    vault.put(subject, NAME, secret, { description, rotateDays: 0 })
  })
}
