/** Records of encrypted trees: the payload is the ciphertext and, behind it, the tag (docs/FORMAT.md §6). */
import { Fault } from "../core/fault.ts"
import type { FileKey } from "../../keyring/file-key.ts"
import { TAG_BYTES, randomNonce } from "../../keyring/primitives.ts"
import { RecordFlag, type RecordHeader } from "./record.ts"
import type { Decode } from "./record-cache.ts"
import type { Encode } from "./segments.ts"

const PLACE = 32

/**
 * What a record is bound to besides its file: of its header, all that the cleaner leaves as it is. So no record can stand
 * in for another one, nor an older one for a newer.
 */
function placeOf(record: {
  flags: number
  plain: number
  ino: number
  offset: number
  sequence: number
}): Buffer {
  const place = Buffer.alloc(PLACE)
  place.writeUInt32LE(record.flags, 0)
  place.writeUInt32LE(record.plain, 4)
  place.writeBigUInt64LE(BigInt(record.ino), 8)
  place.writeBigUInt64LE(BigInt(record.offset), 16)
  place.writeBigUInt64LE(BigInt(record.sequence), 24)
  return place
}

/** Encrypts records that `ino` writes; what `inner` makes of them first, where it makes anything. */
export function sealer(key: FileKey, ino: number, inner?: Encode): Encode {
  return (record, data) => {
    const encoded = inner?.(record, data)
    const bytes = encoded?.payload ?? data
    const flags = RecordFlag.ENCRYPTED | (encoded?.flags ?? 0)
    const payload = Buffer.allocUnsafeSlow(bytes.length + TAG_BYTES)
    const nonce = Buffer.from(randomNonce())
    const place = placeOf({ flags, plain: data.length, ino, ...record })
    key.sealRecord(nonce, place, bytes, payload.subarray(0, bytes.length), payload.subarray(bytes.length))
    return { payload, flags, key: key.identity.id, nonce }
  }
}

/**
 * Decrypts a payload in its place: what is returned is the first part of it, or what `inner` makes of that. Throws
 * `Fault("corrupt")`.
 */
export function openPayload(key: FileKey, header: RecordHeader, payload: Buffer, inner: Decode): Buffer {
  const length = payload.length - TAG_BYTES
  const flags = header.flags & ~RecordFlag.ENCRYPTED
  const isOurs = flags !== header.flags && header.key === key.identity.id
  if (!isOurs || length < 0 || (flags === 0 && length !== header.plain))
    throw new Fault("corrupt", "a record is not encrypted as those of its file are")
  const opened = payload.subarray(0, length)
  if (!key.openRecord(header.nonce, placeOf(header), opened, opened, payload.subarray(length)))
    throw new Fault("corrupt", "an encrypted record is damaged or belongs elsewhere")
  return flags === 0 ? opened : inner({ ...header, flags, length }, opened)
}
