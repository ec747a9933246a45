/**
 * Compression of records in trees that ask for it (`TreeFlag.COMPRESS`): Zstandard, one frame a record. A stage of its
 * own: where records are encrypted too, they are compressed first. What does not shrink by an eighth is stored as it is,
 * and its file is left alone for a while.
 */
import { Fault } from "../core/fault.ts"
import { hasZstd, zstdCompress, zstdDecompress } from "../sys/libzstd.ts"
import type { RecodingOf } from "./cleaner.ts"
import type { RecordCoding } from "./contents.ts"
import type { Inode } from "./inode.ts"
import { NO_NONCE, RECORD_MAX, RecordFlag, type RecordHeader } from "./record.ts"
import type { Encode } from "./segments.ts"
import { compressionLevel, type Trees } from "./trees.ts"

/** Shorter records hardly shrink: the frame takes some 10 bytes, and the record's header 80. */
const SMALLEST = 256
/** A record must get so much shorter. */
const GAIN = 1 / 8
/** After a record that did not shrink, so many bytes of the file are not tried; twice as many each time, up to the most. */
const PAUSE_BYTES = 1024 * 1024
const MOST_PAUSE_BYTES = 64 * 1024 * 1024
/** Files that are remembered. */
const FILES = 1024

const scratch = Buffer.allocUnsafeSlow(RECORD_MAX)

/** The compressed bytes; undefined when they would not be shorter by an eighth, or this machine lacks libzstd. Levels as libzstd has them. */
export function compress(data: Buffer, level: number): Buffer | undefined {
  if (data.length < SMALLEST || data.length > RECORD_MAX) return undefined
  const room = Math.floor(data.length * (1 - GAIN))
  const length = zstdCompress(data, level, scratch.subarray(0, room))
  return length === undefined ? undefined : Buffer.from(scratch.subarray(0, length))
}

/**
 * The bytes that `compress` was given, of which there must be `plainLength`: nothing is reserved or written beyond that,
 * whatever the payload says. Throws `Fault("corrupt")`, and "unsupported" on a machine without libzstd.
 */
export function decompress(payload: Buffer, plainLength: number): Buffer {
  if (!hasZstd()) {
    throw new Fault("unsupported", "this machine lacks libzstd, which compressed files need", {
      hint: "apt-get install libzstd1",
    })
  }
  if (plainLength > RECORD_MAX) throw new Fault("corrupt", "a compressed record is longer than records are")
  const plain = Buffer.allocUnsafeSlow(plainLength)
  if (zstdDecompress(payload, plain) !== plainLength)
    throw new Fault("corrupt", "a compressed record can't be decompressed")
  return plain
}

interface Pause {
  /** Bytes that are still to be stored as they are. */
  left: number
  bytes: number
}

/** Compresses what a file's writes give it; undefined: store it as it is. */
export type Compressor = (data: Buffer) => Buffer | undefined

export class Compression {
  readonly #trees: Trees
  readonly #pauses = new Map<number, Pause>()

  constructor(trees: Trees) {
    this.#trees = trees
  }

  /** Undefined for a file whose tree does not ask for compression. */
  compressorOf(inode: Inode): Compressor | undefined {
    const level = compressionLevel(this.#trees.around(inode.tree))
    if (level === undefined) return undefined
    return (data) => this.#compress(inode.ino, data, level)
  }

  #compress(ino: number, data: Buffer, level: number): Buffer | undefined {
    const pause = this.#pauses.get(ino)
    if (pause !== undefined && pause.left > 0) {
      pause.left -= data.length
      return undefined
    }
    const compressed = compress(data, level)
    if (compressed === undefined) this.#pause(ino, pause)
    else if (pause !== undefined) this.#pauses.delete(ino)
    return compressed
  }

  #pause(ino: number, before: Pause | undefined): void {
    const bytes = Math.min(MOST_PAUSE_BYTES, before === undefined ? PAUSE_BYTES : 2 * before.bytes)
    this.#pauses.delete(ino)
    this.#pauses.set(ino, { left: bytes, bytes })
    if (this.#pauses.size <= FILES) return
    const [oldest] = this.#pauses.keys()
    if (oldest !== undefined) this.#pauses.delete(oldest)
  }
}

/** How records are stored where nothing is encrypted. */
export function compressedCoding(compression: Compression): RecordCoding {
  return {
    encoderOf: (inode) => {
      const compressor = compression.compressorOf(inode)
      return compressor === undefined ? undefined : encoder(compressor)
    },
    decoderOf: () => decode,
  }
}

/** For parts of compressed records, which the cleaner moves: compressed again with the default level. */
export const compressedRecoding: RecodingOf = ({ flags }) =>
  flags === RecordFlag.COMPRESSED
    ? { decode, encode: encoder((data) => compress(data, DEFAULT_LEVEL)) }
    : undefined

export const DEFAULT_LEVEL = 3

function encoder(compressor: Compressor): Encode {
  return (_, data) => {
    const payload = compressor(data)
    return payload === undefined
      ? undefined
      : { payload, flags: RecordFlag.COMPRESSED, key: 0, nonce: NO_NONCE }
  }
}

function decode({ flags, plain }: RecordHeader, payload: Buffer): Buffer {
  if (flags === RecordFlag.COMPRESSED) return decompress(payload, plain)
  throw new Fault("unsupported", `a record is encoded in a way that this clawfs does not know (${flags})`)
}
