/** Encrypted trees for tests, with a key file as their secret. */
import { sourceOf } from "../../../keyring/key-file.ts"
import { copySecret, randomSecret } from "../../../keyring/secret.ts"
import { SourceKind, makeSlot, openAnySlot, type KeySource } from "../../../keyring/slots.ts"
import { TreeKey } from "../../../keyring/tree-key.ts"
import type { Store } from "../../../clawfs/store/store.ts"
import { beginRekey, encryptTree, nextKeyId } from "../../../clawfs/store/tree-encryption.ts"

export interface Secret {
  readonly id: number
  readonly source: () => KeySource
}

function fresh(): () => KeySource {
  const bytes = randomSecret()
  return () => sourceOf(SourceKind.KEY_FILE, copySecret(bytes))
}

/** Makes the empty directory `ino` an encrypted tree, unlocked; the secret is a new one unless it is given. */
export function encrypt(store: Store, ino: number, source = fresh()): Secret {
  const identity = { uuid: store.uuid, id: nextKeyId(store), generation: 1 }
  const key = TreeKey.random(identity)
  encryptTree(store, ino, key, makeSlot(key, 1, source()))
  return { id: identity.id, source }
}

/** The tree key as its slots give it. */
export function keyOf(store: Store, { id, source }: Secret): TreeKey {
  const identity = store.sealing.identityOf(id)
  const checkValue = store.keys.get(id)?.checkValue ?? Buffer.alloc(0)
  return openAnySlot(identity, store.keys.slots(id), source(), checkValue).key
}

export function unlock(store: Store, secret: Secret): void {
  store.unlockTree(keyOf(store, secret))
}

/** Begins a re-key with a new secret. */
export function rekey(store: Store, secret: Secret): Secret {
  const { id } = secret
  const identity = store.sealing.identityOf(id)
  const next = TreeKey.random({ ...identity, generation: identity.generation + 1 })
  const source = fresh()
  using current = keyOf(store, secret)
  beginRekey(store, current, next, makeSlot(next, 1, source()))
  return { id, source }
}
