/** Payloads that were read and verified as a whole because a part was wanted, decoded; least recently used go first. */
import type { RecordHeader } from "./record.ts"
import type { RecordRead, RecordReads, Sealed } from "./record-reads.ts"

/** The bytes that were given to be stored. Throws `Fault("corrupt")`. */
export type Decode = (header: RecordHeader, payload: Buffer) => Buffer

/** How records are read that are not stored as they were given. */
export interface Decoder {
  /** Whose records they are: what was decoded for one is nothing to another. Undefined: anybody's. */
  readonly owner: object | undefined
  readonly decode: Decode
  /** Where a payload is as many bytes as were given, and a tag: it is decoded where it was read to. */
  readonly sealed?: Sealed
}

export interface Decoded {
  readonly payload: Buffer
  /** Where in its file the record was written. */
  readonly offset: number
  readonly owner: object | undefined
}

const CACHE_BYTES = 8 * 1024 * 1024
/** Segments are numbered below 2^21, positions below 2^32: one exact double names a record for good. */
const SEGMENT_FACTOR = 2 ** 32

export class RecordCache {
  readonly #log: RecordReads
  readonly #records = new Map<number, Decoded>()
  #bytes = 0

  constructor(log: RecordReads) {
    this.#log = log
  }

  get(record: RecordRead, decoder: Decoder): Decoded {
    const { owner } = decoder
    const key = record.segment * SEGMENT_FACTOR + record.position
    const cached = this.#records.get(key)
    if (cached !== undefined) this.#forget(key, cached)
    const found = cached?.owner === owner && cached !== undefined ? cached : this.#read(record, decoder)
    this.#records.set(key, found)
    this.#bytes += found.payload.length
    this.#evict()
    return found
  }

  #read(record: RecordRead, decoder: Decoder): Decoded {
    const { header, payload: stored } = this.#log.readRecord(record)
    const { owner } = decoder
    const payload = header.flags === 0 && owner === undefined ? stored : decoder.decode(header, stored)
    return { payload, offset: header.offset, owner }
  }

  #forget(key: number, { payload }: Decoded): void {
    this.#records.delete(key)
    this.#bytes -= payload.length
  }

  #evict(): void {
    for (const [key, record] of this.#records) {
      if (this.#bytes <= CACHE_BYTES) return
      this.#forget(key, record)
    }
  }

  /** Forgets and wipes what belongs to somebody. */
  clearOwned(): void {
    for (const [key, record] of this.#records) {
      if (record.owner === undefined) continue
      record.payload.fill(0)
      this.#forget(key, record)
    }
  }
}
