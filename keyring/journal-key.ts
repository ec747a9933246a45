/**
 * Seals entries of the journal that are about an encrypted tree (docs/FORMAT.md §4). The key is made of the tree's key and
 * of a salt that is new with every unlocking, so that a counter is enough as a nonce: no two entries have both in common.
 *
 *   key number u32 · generation u32 · salt [16] · counter u64 · AES-256-GCM of the entry · tag [16]
 */
import { Fault } from "../clawfs/core/fault.ts"
import { NONCE_BYTES, TAG_BYTES, primitives, within } from "./primitives.ts"
import { newSecret, randomSecret, wipe } from "./secret.ts"
import { binding, type TreeKey } from "./tree-key.ts"

const SALT_BYTES = 16
const SALT_AT = 8
const COUNTER_AT = SALT_AT + SALT_BYTES
const HEAD = COUNTER_AT + 8

/** Bytes that a sealed entry is longer than what is in it. */
export const JOURNAL_OVERHEAD = HEAD + TAG_BYTES

export class JournalKey implements Disposable {
  readonly salt: Buffer
  readonly #id: number
  readonly #generation: number
  readonly #key: Buffer
  readonly #label: Buffer
  readonly #nonce = Buffer.alloc(NONCE_BYTES)
  #sealed = 0

  private constructor(tree: TreeKey, salt: Buffer) {
    const { uuid, id, generation } = tree.identity
    this.salt = salt
    this.#id = id
    this.#generation = generation
    this.#key = tree.journalKey(salt)
    this.#label = binding("journal entry", uuid, id, generation)
  }

  /** A key that nothing was sealed with yet. */
  static fresh(tree: TreeKey): JournalKey {
    return new JournalKey(tree, randomSecret(SALT_BYTES))
  }

  /** The key that an entry of the journal was sealed with; `tree`: the one that `sealerOf` names. */
  static of(tree: TreeKey, entry: Buffer): JournalKey {
    return new JournalKey(tree, Buffer.from(entry.subarray(SALT_AT, COUNTER_AT)))
  }

  /**
   * Seals `plain`, which is overwritten; `place`: where in the journal it will stand. In `room`, if it is given and long enough.
   */
  seal(place: Uint8Array, plain: Buffer, room?: Buffer): Buffer {
    const sealed = within(room, HEAD + plain.length + TAG_BYTES)
    sealed.writeUInt32LE(this.#id, 0)
    sealed.writeUInt32LE(this.#generation, 4)
    this.salt.copy(sealed, SALT_AT)
    sealed.writeBigUInt64LE(BigInt(this.#sealed), COUNTER_AT)
    this.#sealed += 1
    const end = HEAD + plain.length
    const [out, tag] = [sealed.subarray(HEAD, end), sealed.subarray(end)]
    primitives().seal(this.#key, this.#nonceOf(sealed), this.#aad(place), plain, out, tag)
    wipe(plain)
    return sealed
  }

  /** What `seal` was given. Throws `Fault("corrupt")` for anything that was not sealed for that place. */
  open(place: Uint8Array, sealed: Buffer): Buffer {
    const end = sealed.length - TAG_BYTES
    const plain = newSecret(Math.max(0, end - HEAD))
    const bytes = sealed.subarray(HEAD, end)
    const isOurs =
      end >= HEAD &&
      primitives().open(
        this.#key,
        this.#nonceOf(sealed),
        this.#aad(place),
        bytes,
        plain,
        sealed.subarray(end),
      )
    if (!isOurs) throw new Fault("corrupt", "an entry of the journal is damaged or belongs elsewhere")
    return plain
  }

  /** Whether this is the key that an entry was sealed with. */
  has(sealed: Buffer): boolean {
    const { id, generation } = sealerOf(sealed)
    const isSalt = this.salt.equals(sealed.subarray(SALT_AT, COUNTER_AT))
    return isSalt && id === this.#id && generation === this.#generation
  }

  #aad(place: Uint8Array): Buffer {
    return Buffer.concat([this.#label, place])
  }

  #nonceOf(sealed: Buffer): Buffer {
    sealed.copy(this.#nonce, NONCE_BYTES - 8, COUNTER_AT, HEAD)
    return this.#nonce
  }

  [Symbol.dispose](): void {
    wipe(this.#key)
  }
}

/** Which tree's key an entry was sealed with. Throws `RangeError` for what is too short to be one. */
export function sealerOf(sealed: Buffer): { readonly id: number; readonly generation: number } {
  return { id: sealed.readUInt32LE(0), generation: sealed.readUInt32LE(4) }
}
