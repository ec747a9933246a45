/**
 * The key of an encrypted tree: 32 random bytes that exist once for each generation (a re-key makes the next). It
 * encrypts nothing but keys: those of files, one each, and while a tree is re-keyed its own predecessor. What is sealed in
 * the journal has keys that are derived from it (`journal-key.ts`).
 */
import { bug } from "../clawfs/core/assert.ts"
import { Fault } from "../clawfs/core/fault.ts"
import { FileKey } from "./file-key.ts"
import { expand, hmac, openBlob, sameBytes, sealBlob } from "./primitives.ts"
import { KEY_BYTES, copySecret, randomSecret, wipe } from "./secret.ts"

/** Which key: of which store, under which number, how often re-keyed. Everything that is wrapped is bound to it. */
export interface KeyIdentity {
  readonly uuid: Buffer
  /** Number of the row in table `key`; in the header of each record that is encrypted under it. */
  readonly id: number
  readonly generation: number
}

export const UUID_BYTES = 16
export const FILE_ID_BYTES = 16
/** Random bytes that a new file's key takes. */
export const FILE_KEY_DRAW = FILE_ID_BYTES + KEY_BYTES

/** Bytes that bind a message to its purpose and place: the label, a NUL, then fields of fixed length. */
export function binding(label: string, ...fields: readonly (Uint8Array | number)[]): Buffer {
  const parts = fields.map((field) => (typeof field === "number" ? u64(field) : field))
  return Buffer.concat([Buffer.from(`clawfs/v1/${label}\0`, "latin1"), ...parts])
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

function identityFields({ uuid, id, generation }: KeyIdentity): (Uint8Array | number)[] {
  return [uuid, id, generation]
}

/** A file's key as table `file_key` has it. */
export interface WrappedFileKey {
  /** Random; names the file in everything that is encrypted under its key. */
  readonly fileId: Buffer
  readonly wrapped: Buffer
}

export class TreeKey implements Disposable {
  readonly identity: KeyIdentity
  readonly #key: Buffer
  readonly #wrapKey: Buffer

  /** Takes `key` (32 bytes) over: it is wiped with this. */
  constructor(identity: KeyIdentity, key: Buffer) {
    if (key.length !== KEY_BYTES || identity.uuid.length !== UUID_BYTES) bug("a key of the wrong length")
    this.identity = identity
    this.#key = key
    this.#wrapKey = expand(key, "clawfs/v1/wrap")
  }

  static random(identity: KeyIdentity): TreeKey {
    return new TreeKey(identity, randomSecret())
  }

  /** A copy of the key itself, for the keyring or a key slot; the caller wipes it. */
  expose(): Buffer {
    return copySecret(this.#key)
  }

  /**
   * Tells this key from any other without giving it away. GCM alone does not: a blob can be made that opens under two
   * keys (Dodis et al., "Fast Message Franking", CRYPTO 2018).
   */
  checkValue(): Buffer {
    const key = expand(this.#key, "clawfs/v1/check")
    const value = hmac(key, binding("check", ...identityFields(this.identity)))
    wipe(key)
    return value
  }

  isRight(checkValue: Uint8Array): boolean {
    return sameBytes(this.checkValue(), checkValue)
  }

  /** A new file's key, as it is and wrapped; made of `drawn`, `FILE_KEY_DRAW` random bytes. */
  newFileKey(drawn: Buffer): { readonly wrapped: WrappedFileKey; readonly file: FileKey } {
    if (drawn.length !== FILE_KEY_DRAW) bug("a file's key of the wrong length")
    const { uuid, id } = this.identity
    const fileId = Buffer.from(drawn.subarray(0, FILE_ID_BYTES))
    const key = copySecret(drawn.subarray(FILE_ID_BYTES))
    const wrapped = { fileId, wrapped: this.#wrap(fileId, key) }
    return { wrapped, file: new FileKey({ uuid, id, fileId }, key) }
  }

  /** The key for entries of the journal that has this salt. */
  journalKey(salt: Uint8Array): Buffer {
    return expand(this.#key, `clawfs/v1/journal ${Buffer.from(salt).toString("hex")}`)
  }

  #wrap(fileId: Uint8Array, key: Uint8Array): Buffer {
    return sealBlob(this.#wrapKey, binding("file key", ...identityFields(this.identity), fileId), key)
  }

  #unwrap({ fileId, wrapped }: WrappedFileKey): Buffer {
    const key = openBlob(
      this.#wrapKey,
      binding("file key", ...identityFields(this.identity), fileId),
      wrapped,
    )
    if (key?.length !== KEY_BYTES)
      throw new Fault("corrupt", "the key of an encrypted file is damaged or belongs to another file")
    return key
  }

  /** Throws `Fault("corrupt")` for a key that is not this tree's, or not that file's. */
  open(wrapped: WrappedFileKey): FileKey {
    const { uuid, id } = this.identity
    return new FileKey({ uuid, id, fileId: wrapped.fileId }, this.#unwrap(wrapped))
  }

  /** The same file key, wrapped by `next`. */
  rewrap(wrapped: WrappedFileKey, next: TreeKey): WrappedFileKey {
    const key = this.#unwrap(wrapped)
    const again = next.#wrap(wrapped.fileId, key)
    wipe(key)
    return { fileId: wrapped.fileId, wrapped: again }
  }

  /** `previous`, to be kept until every file key is wrapped by this one. */
  wrapPrevious(previous: TreeKey): Buffer {
    return sealBlob(this.#wrapKey, binding("previous", ...identityFields(this.identity)), previous.#key)
  }

  openPrevious(wrapped: Uint8Array): TreeKey {
    const key = openBlob(this.#wrapKey, binding("previous", ...identityFields(this.identity)), wrapped)
    if (key?.length !== KEY_BYTES)
      throw new Fault("corrupt", "the earlier key of an encrypted tree is damaged")
    return new TreeKey({ ...this.identity, generation: this.identity.generation - 1 }, key)
  }

  [Symbol.dispose](): void {
    wipe(this.#key, this.#wrapKey)
  }
}
