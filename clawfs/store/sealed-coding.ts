/** How the contents of encrypted files are stored; those of others are stored as `inner` has it. */
import type { FileKey } from "../../keyring/file-key.ts"
import type { RecodingOf } from "./cleaner.ts"
import type { Coding, RecordCoding } from "./contents.ts"
import { INLINE_MAX, type PieceCoding } from "./inline.ts"
import { BLOB_OVERHEAD, TAG_BYTES } from "../../keyring/primitives.ts"
import { jobOf, openPayload, sealedNow, sealer } from "./record-sealing.ts"
import { RecordFlag } from "./record.ts"
import type { Sealing } from "./sealing.ts"

/** Where records are encoded in other ways too, that comes first: what is encrypted can't be compressed. */
export function sealedCoding(sealing: Sealing, inner: RecordCoding): Coding {
  return {
    encoderOf: (inode) => {
      const key = sealing.keyOf(inode)
      const encode = inner.encoderOf(inode)
      return key === undefined ? encode : sealer(key, inode.ino, encode)
    },
    decoderOf: (inode) => {
      const key = sealing.keyOf(inode)
      const decode = inner.decoderOf(inode)
      if (key === undefined) return { owner: undefined, decode }
      return {
        owner: key,
        decode: (header, payload) => openPayload(key, header, payload, decode),
        sealed: {
          tagLength: TAG_BYTES,
          jobOf: (header, payload, tag) => jobOf(key, header, payload, tag),
        },
      }
    },
    pieceCodingOf: (inode) => {
      const key = sealing.keyOf(inode)
      return key === undefined ? undefined : pieceCoding(key)
    },
    onNewBody: (inode, from) => sealing.follow(inode, from),
    onBodyGone: (inode) => sealing.bury(inode),
  }
}

/** For parts of records, which the cleaner moves: encrypted ones only while their tree is unlocked. */
export function sealedRecoding(sealing: Sealing, inner: RecodingOf): RecodingOf {
  return (header, body) => {
    if ((header.flags & RecordFlag.ENCRYPTED) === 0) return inner(header, body)
    if (!sealing.isUnlocked(header.key)) return undefined
    const key = sealing.keyOfBody(header.key, body)
    const flags = header.flags & ~RecordFlag.ENCRYPTED
    const recoding = flags === 0 ? undefined : inner({ ...header, flags }, body)
    if (flags !== 0 && recoding === undefined) return undefined
    return {
      decode: (of, payload) =>
        openPayload(key, of, payload, (opened, bytes) => recoding?.decode(opened, bytes) ?? bytes),
      encode: sealedNow(sealer(key, header.ino, recoding?.encode)),
    }
  }
}

/** The last piece that was sealed; it is written to the database at once. */
const sealedPiece = Buffer.allocUnsafeSlow(INLINE_MAX + BLOB_OVERHEAD)

/** A piece is bound to its file and to where in the file it begins. */
function pieceCoding(key: FileKey): PieceCoding {
  return {
    encode: (offset, data) => key.sealValue("inline", placeOf(offset), data, sealedPiece),
    decode: (offset, stored) => key.openValue("inline", placeOf(offset), stored),
  }
}

function placeOf(offset: number): Buffer {
  const place = Buffer.alloc(8)
  place.writeBigUInt64LE(BigInt(offset))
  return place
}
