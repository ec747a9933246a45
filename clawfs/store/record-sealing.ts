/** Records of encrypted trees: the payload is the ciphertext and, behind it, the tag (docs/FORMAT.md §6). */
import { Fault } from "../core/fault.ts"
import type { FileKey } from "../../keyring/file-key.ts"
import { TAG_BYTES, randomNonce } from "../../keyring/primitives.ts"
import { openOne, recordWorker, type RecordJob } from "../../keyring/record-jobs.ts"
import { RECORD_MAX, RecordFlag, type RecordHeader } from "./record.ts"
import type { Decode } from "./record-cache.ts"
import { MOST_RECORDS } from "./record-reads.ts"
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

/** How much memory `sealInto` is to be given. */
export const PAYLOADS_BYTES = (MOST_RECORDS + 1) * (RECORD_MAX + TAG_BYTES)

/**
 * Where payloads are encrypted to, valid until as many others were: all of one write. New memory for each would cost more
 * than encrypting does, a page fault every 4 KiB.
 */
class Payloads {
  #memory: Buffer | undefined
  #at = 0

  use(memory: Buffer): void {
    this.#memory = memory
  }

  take(length: number): Buffer {
    this.#memory ??= Buffer.allocUnsafeSlow(PAYLOADS_BYTES)
    if (this.#at + length > this.#memory.length) this.#at = 0
    this.#at += length
    return this.#memory.subarray(this.#at - length, this.#at)
  }
}

const payloads = new Payloads()

/** Has payloads of this thread encrypted into `memory`, which another thread sees too. */
export function sealInto(memory: SharedArrayBuffer): void {
  payloads.use(Buffer.from(memory))
}

/**
 * Encrypts records that `ino` writes; what `inner` makes of them first, where it makes anything. A payload stays as it is until
 * `MOST_RECORDS` others were encrypted.
 */
export function sealer(key: FileKey, ino: number, inner?: Encode): Encode {
  return (record, data) => {
    const encoded = inner?.(record, data)
    const bytes = encoded?.payload ?? data
    const flags = RecordFlag.ENCRYPTED | (encoded?.flags ?? 0)
    const payload = payloads.take(bytes.length + TAG_BYTES)
    const nonce = Buffer.from(randomNonce())
    const place = placeOf({ flags, plain: data.length, ino, ...record })
    const [out, tag] = [payload.subarray(0, bytes.length), payload.subarray(bytes.length)]
    return { payload, flags, key: key.identity.id, nonce, job: key.recordJob(nonce, place, bytes, out, tag) }
  }
}

/** For one record by itself: its payload is made at once. */
export function sealedNow(encode: Encode): Encode {
  return (record, data) => {
    const encoded = encode(record, data)
    if (encoded?.job !== undefined) recordWorker().seal([encoded.job])
    return encoded
  }
}

/**
 * Decrypts a payload in its place: what is returned is the first part of it, or what `inner` makes of that. Throws
 * `Fault("corrupt")`.
 */
export function openPayload(key: FileKey, header: RecordHeader, payload: Buffer, inner: Decode): Buffer {
  const length = payload.length - TAG_BYTES
  const flags = header.flags & ~RecordFlag.ENCRYPTED
  const opened = payload.subarray(0, Math.max(0, length))
  if (!openOne(jobOf(key, header, opened, payload.subarray(opened.length))))
    throw new Fault("corrupt", "an encrypted record is damaged or belongs elsewhere")
  return flags === 0 ? opened : inner({ ...header, flags, length }, opened)
}

/** What decrypts the bytes before the tag, in their place. Throws `Fault("corrupt")`. */
export function jobOf(key: FileKey, header: RecordHeader, sealed: Buffer, tag: Buffer): RecordJob {
  const flags = header.flags & ~RecordFlag.ENCRYPTED
  const isOurs = flags !== header.flags && header.key === key.identity.id
  if (!isOurs || tag.length !== TAG_BYTES || (flags === 0 && sealed.length !== header.plain))
    throw new Fault("corrupt", "a record is not encrypted as those of its file are")
  return key.recordJob(header.nonce, placeOf(header), sealed, sealed, tag)
}
