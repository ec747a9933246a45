/** Payloads that were read and verified as a whole because a part was wanted, decoded; least recently used go first. */
import type { RecordRead, Segments } from "./segments.ts"
import type { RecordHeader } from "./record.ts"

/** The bytes that were given to be stored. Throws `Fault("corrupt")`. */
export type Decode = (header: RecordHeader, payload: Buffer) => Buffer

const CACHE_BYTES = 8 * 1024 * 1024
/** Segments are numbered below 2^21, positions below 2^32: one exact double names a record for good. */
const SEGMENT_FACTOR = 2 ** 32

export class RecordCache {
  readonly #segments: Segments
  readonly #payloads = new Map<number, Buffer>()
  #bytes = 0

  constructor(segments: Segments) {
    this.#segments = segments
  }

  get(record: RecordRead, decode: Decode): Buffer {
    const key = record.segment * SEGMENT_FACTOR + record.position
    const cached = this.#payloads.get(key)
    if (cached !== undefined) {
      this.#payloads.delete(key)
      this.#payloads.set(key, cached)
      return cached
    }
    const { header, payload: stored } = this.#segments.readRecord(record)
    const payload = header.flags === 0 ? stored : decode(header, stored)
    this.#payloads.set(key, payload)
    this.#bytes += payload.length
    this.#evict()
    return payload
  }

  #evict(): void {
    for (const [key, payload] of this.#payloads) {
      if (this.#bytes <= CACHE_BYTES) return
      this.#payloads.delete(key)
      this.#bytes -= payload.length
    }
  }
}
