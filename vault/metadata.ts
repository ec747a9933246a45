/** What is known of a secret besides its value; encrypted and bound to the secret. */
import { Fault } from "../clawfs/core/fault.ts"
import { BLOB_OVERHEAD, hmac, openBlobInto, sealBlob } from "../keyring/primitives.ts"
import { newSecret } from "../keyring/secret.ts"
import { bound } from "./bound.ts"
import { damaged, type VaultKeys } from "./keys.ts"

export interface Metadata {
  readonly name: string
  readonly description: string
  readonly tags: readonly string[]
  /** Milliseconds since 1970, as all times here. */
  readonly created: number
  /** The newest version, and when it was made. */
  readonly latest: number
  readonly changed: number
  /** From then on it is not given out; 0: never. */
  readonly expires: number
  /** A new value is due so many days after the last; 0: never. */
  readonly rotateDays: number
  /** So many versions are kept besides the newest, and no longer than `RETENTION_DAYS`. */
  readonly keep: number
  /** When it was removed; 0: it was not. */
  readonly removed: number
  /** A decoy: who asks for it loses all grants. */
  readonly canary?: true | undefined
}

export const DAY_MS = 86_400_000
/** An old version goes so long after it was replaced, and so does a secret that was removed. */
export const RETENTION_DAYS = 30
export const DEFAULT_ROTATE_DAYS = 90
export const DEFAULT_KEEP = 5
export const MOST_KEPT = 100
const MOST_DESCRIPTION = 1024
const MOST_TAGS = 32
const NAME = /^[a-z0-9](?:[a-z0-9.-]{0,126}[a-z0-9])?$/
const TAG = /^[a-z0-9][a-z0-9.:=_-]{0,63}$/

/** Throws `Fault("invalid")` for a name that no secret can have. */
export function checkName(name: string): string {
  if (NAME.test(name) && !name.endsWith(".enc")) return name
  throw new Fault("invalid", `${JSON.stringify(name)} can't be the name of a secret`, {
    hint: "1 to 128 of a-z, 0-9, hyphen and dot, beginning and ending with a letter or digit",
  })
}

export function checkDescription(text: string): string {
  if (Buffer.byteLength(text) <= MOST_DESCRIPTION && !/\p{Cc}/u.test(text)) return text
  throw new Fault("invalid", `a description is one line of at most ${MOST_DESCRIPTION} bytes`)
}

export function checkTags(tags: readonly string[]): readonly string[] {
  const wrong = tags.find((tag) => !TAG.test(tag))
  if (wrong !== undefined) throw new Fault("invalid", `${JSON.stringify(wrong)} can't be a tag`)
  if (tags.length > MOST_TAGS) throw new Fault("invalid", `a secret has at most ${MOST_TAGS} tags`)
  return [...new Set(tags)].sort()
}

function binding(keys: VaultKeys, id: Buffer): Buffer {
  return bound("metadata", keys.uuid, keys.epoch, id)
}

export function sealMetadata(keys: VaultKeys, id: Buffer, metadata: Metadata): Buffer {
  return keys.seal("metadata", binding(keys, id), Buffer.from(JSON.stringify(metadata)))
}

/** Throws `Fault("corrupt")` for what was not sealed for this secret. */
export function openMetadata(keys: VaultKeys, id: Buffer, sealed: Buffer): Metadata {
  const what = "what is known of a secret"
  if (sealed.length < BLOB_OVERHEAD) throw damaged(what)
  const plain = newSecret(sealed.length - BLOB_OVERHEAD)
  keys.open("metadata", binding(keys, id), sealed, plain, what)
  const metadata = JSON.parse(plain.toString()) as Metadata
  plain.fill(0)
  return metadata
}

/** The tag and what is known of a secret under the next root key; `from`, `to` and `names` are the keys for it. */
export function resealMetadata(
  { keys, from }: { readonly keys: VaultKeys; readonly from: Buffer },
  { keys: next, to, names }: { readonly keys: VaultKeys; readonly to: Buffer; readonly names: Buffer },
  id: Buffer,
  sealed: Buffer,
): [tag: Buffer, sealed: Buffer] {
  const plain = newSecret(Math.max(0, sealed.length - BLOB_OVERHEAD))
  if (!openBlobInto(from, binding(keys, id), sealed, plain)) throw damaged("what is known of a secret")
  try {
    const { name } = JSON.parse(plain.toString()) as Metadata
    return [hmac(names, nameBinding(next, name)), sealBlob(to, binding(next, id), plain)]
  } finally {
    plain.fill(0)
  }
}

function nameBinding({ uuid, epoch }: VaultKeys, name: string): Buffer {
  return bound("name", uuid, epoch, name)
}

/** Finds a secret by its name; the database alone does not show the name. */
export function nameTag(keys: VaultKeys, name: string): Buffer {
  return keys.mac("names", nameBinding(keys, name))
}

export function isExpired({ expires }: Metadata, now: number): boolean {
  return expires !== 0 && now >= expires
}

/** When a new value is due; 0: never. */
export function dueAt({ changed, rotateDays, removed }: Metadata): number {
  return rotateDays === 0 || removed !== 0 ? 0 : changed + rotateDays * DAY_MS
}
