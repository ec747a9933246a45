/** Secrets that the vault keeps for slots of encrypted trees (schema/vault-api.ts, `tree.new` and `tree.key`). */
import { closeSync, readSync } from "node:fs"
import { Fault } from "../core/fault.ts"
import type { VaultLink } from "../api/vault-link.ts"
import { newSalt } from "../../keyring/kdf.ts"
import { KEY_BYTES, newSecret, wipe } from "../../keyring/secret.ts"
import { SourceKind, vaultNameOf, type KeySource } from "../../keyring/slots.ts"
import { pipe } from "../sys/pipes.ts"

type Asked = Pick<VaultLink, "request">

/** What the vault has for the slot with this salt; undefined when it has nothing. */
export function presentSource(vault: Asked, salt: Uint8Array): KeySource | undefined {
  try {
    return sourceOf(vault, "tree.key", { name: vaultNameOf(salt) }, Buffer.from(salt))
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.kind === "not-found") return undefined
    throw thrown
  }
}

/** A new secret, which the vault makes; `description` is for people who list what it has. */
export function newSource(vault: Asked, description: string): KeySource & { readonly salt: Buffer } {
  const salt = newSalt()
  return { ...sourceOf(vault, "tree.new", { name: vaultNameOf(salt), description }, salt), salt }
}

function sourceOf(vault: Asked, method: string, params: object, salt: Buffer): KeySource {
  const [reading, writing] = pipe()
  try {
    vault.request(method, { ...params, fd: 0 }, [writing])
    const secret = newSecret(KEY_BYTES)
    if (readSync(reading, secret, 0, KEY_BYTES, null) === KEY_BYTES)
      return { kind: SourceKind.VAULT, secret, salt, [Symbol.dispose]: () => wipe(secret) }
    wipe(secret)
    throw new Fault("io", "the vault gave no secret")
  } finally {
    closeSync(reading)
    closeSync(writing)
  }
}
