/**
 * The key of one file, directory or link: what is encrypted under it, and how (docs/FORMAT.md §6). `fileId` names the
 * file in all of it, so that nothing can be moved to another file, and each purpose has a key of its own.
 */
import { bug } from "../clawfs/core/assert.ts"
import { Fault } from "../clawfs/core/fault.ts"
import { IV_BYTES, TAG_BYTES, ctr, expand, openBlob, sameBytes, sealBlob, sivMac } from "./primitives.ts"
import type { RecordJob } from "./record-jobs.ts"
import { wipe } from "./secret.ts"

export interface FileIdentity {
  readonly uuid: Buffer
  /** Number of the tree's key. */
  readonly id: number
  readonly fileId: Buffer
}

/** Names are padded to multiples of this, so that their lengths say less. */
export const NAME_BLOCK = 32

/** The small values of an inode that are encrypted as blobs. */
export type SmallValue = "inline" | "symlink" | "xattr value"

/** A name as the store keeps it. */
export interface SealedName {
  readonly cell: Buffer
  /** 52 bits that the name's place in its directory comes from. */
  readonly hash: number
}

export class FileKey implements Disposable {
  readonly identity: FileIdentity
  readonly #key: Buffer
  readonly #keys = new Map<string, Buffer>()
  readonly #prefix: Buffer

  /** Takes `key` over. */
  constructor(identity: FileIdentity, key: Buffer) {
    this.identity = identity
    this.#key = key
    const { uuid, id, fileId } = identity
    const place = Buffer.alloc(8)
    place.writeUInt32LE(id)
    this.#prefix = Buffer.concat([uuid, place, fileId])
  }

  #keyFor(purpose: string): Buffer {
    const known = this.#keys.get(purpose)
    if (known !== undefined) return known
    const key = expand(this.#key, `clawfs/v1/${purpose}`)
    this.#keys.set(purpose, key)
    return key
  }

  #aad(label: string, place: Uint8Array): Buffer {
    return Buffer.concat([Buffer.from(`clawfs/v1/${label}\0`, "latin1"), this.#prefix, place])
  }

  /**
   * What encrypts a record's bytes into `out` (as long; may be `data` itself) and `tag`, or decrypts them. `place` is what the
   * record's header says and the cleaner does not change. The nonce is random: a file may have 2^32 records.
   */
  recordJob(nonce: Uint8Array, place: Uint8Array, data: Buffer, out: Buffer, tag: Buffer): RecordJob {
    if (tag.length !== TAG_BYTES || out.length !== data.length) bug("no room for an encrypted record")
    const [key, aad] = [this.#keyFor("contents"), this.#aad("record", place)]
    return { key, nonce, aad, data, out, tag, sum: 0 }
  }

  /**
   * A value of this inode as nonce [12] · ciphertext · tag [16]; `place`: what it belongs to besides the inode. In `room`, if it
   * is given and long enough.
   */
  sealValue(kind: SmallValue, place: Uint8Array, plain: Uint8Array, room?: Buffer): Buffer {
    return sealBlob(this.#keyFor(kind), this.#aad(kind, place), plain, room)
  }

  /** Throws `Fault("corrupt")` for anything but what was sealed for that place. */
  openValue(kind: SmallValue, place: Uint8Array, blob: Uint8Array): Buffer {
    const plain = openBlob(this.#keyFor(kind), this.#aad(kind, place), blob)
    if (plain === undefined) throw damaged(kind)
    return plain
  }

  /**
   * A name in this directory, or of one of this inode's attributes: always the same cell for the same name (SIV), so
   * that it can be looked up: IV [16] · AES-256-CTR of the name, padded with zeroes.
   */
  sealName(kind: "name" | "xattr name", name: Uint8Array): SealedName {
    const padded = Buffer.alloc(Math.max(1, Math.ceil(name.length / NAME_BLOCK)) * NAME_BLOCK)
    padded.set(name)
    const mac = this.#macOf(kind, padded)
    const iv = mac.subarray(0, IV_BYTES)
    const sealed = ctr(this.#keyFor(`${kind} encryption`), iv, padded)
    wipe(padded)
    return { cell: Buffer.concat([iv, sealed]), hash: hashOf(mac) }
  }

  /** The name of a cell that `sealName` made, and its hash. Throws `Fault("corrupt")` for any other. */
  openName(kind: "name" | "xattr name", cell: Uint8Array): { readonly name: Buffer; readonly hash: number } {
    if (cell.length <= IV_BYTES || (cell.length - IV_BYTES) % NAME_BLOCK !== 0) throw damaged(kind)
    const iv = cell.subarray(0, IV_BYTES)
    const padded = ctr(this.#keyFor(`${kind} encryption`), iv, cell.subarray(IV_BYTES))
    const mac = this.#macOf(kind, padded)
    if (!sameBytes(mac.subarray(0, IV_BYTES), iv)) throw damaged(kind)
    const end = padded.indexOf(0)
    return { name: end < 0 ? padded : padded.subarray(0, end), hash: hashOf(mac) }
  }

  #macOf(kind: string, padded: Uint8Array): Buffer {
    return sivMac(this.#keyFor(`${kind} mac`), this.#aad(kind, EMPTY), padded)
  }

  [Symbol.dispose](): void {
    wipe(this.#key, ...this.#keys.values())
    this.#keys.clear()
  }
}

const EMPTY = Buffer.alloc(0)
const TWO_32 = 2 ** 32

/** Bits of the MAC that the IV does not show. */
function hashOf(mac: Buffer): number {
  return (mac.readUInt32LE(IV_BYTES) & 0xf_ffff) * TWO_32 + mac.readUInt32LE(IV_BYTES + 4)
}

function damaged(kind: string): Fault {
  return new Fault("corrupt", `an encrypted ${kind} is damaged or belongs elsewhere`)
}
