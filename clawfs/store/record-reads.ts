/** Records on their way from the log: read with as few calls as can be, each part to its place, and verified. */
import { present } from "../core/assert.ts"
import { Fault } from "../core/fault.ts"
import { addressOf, checked } from "../sys/ffi.ts"
import { preadv } from "../sys/libc.ts"
import { recordWorker, type RecordJob } from "../../keyring/record-jobs.ts"
import { RECORD_HEADER, verifyHeader, verifyRecord, type RecordHeader, type RecordPlace } from "./record.ts"

/** Records in one pwritev(2) or preadv(2): a request of 1 MiB that starts and ends inside of a record, and some room. */
export const MOST_RECORDS = 32
/** Header, payload and the payload's tag. */
const PARTS = 3
const TAG_MAX = 16
/** struct iovec */
const IOVEC = 16

/** A whole record, to be read. */
export interface RecordRead extends RecordPlace {
  /** Of the payload, as it is stored. */
  readonly length: number
}

/** What opens records whose payload is what was written, encrypted, and a tag. */
export interface Sealed {
  readonly tagLength: number
  /** What decrypts it in its place. Throws `Fault("corrupt")` for what can't be a record of the file. */
  readonly jobOf: (header: RecordHeader, payload: Buffer, tag: Buffer) => RecordJob
}

/** Places in memory for one call. They must be held by others until it returns: this has their addresses alone. */
export class Iovec {
  readonly bytes: Buffer

  constructor(parts: number) {
    this.bytes = Buffer.allocUnsafeSlow(parts * IOVEC)
  }

  set(index: number, part: Buffer): void {
    this.bytes.writeBigUInt64LE(addressOf(part), index * IOVEC)
    this.bytes.writeBigUInt64LE(BigInt(part.length), index * IOVEC + 8)
  }
}

export class RecordReads {
  readonly #fileOf: (segment: number) => number
  readonly #headers = Buffer.allocUnsafeSlow(MOST_RECORDS * RECORD_HEADER)
  readonly #tags = Buffer.allocUnsafeSlow(MOST_RECORDS * TAG_MAX)
  readonly #iovec = new Iovec(PARTS * MOST_RECORDS)

  /** `fileOf`: the descriptor of a segment. */
  constructor(fileOf: (segment: number) => number) {
    this.#fileOf = fileOf
  }

  /**
   * Reads records that lie one behind the other in one segment, each payload to its place in `out`, and verifies every
   * one. Throws `Fault("corrupt")` when a record is not what was written.
   */
  readRun(run: readonly RecordRead[], out: Buffer, at: number): void {
    for (let first = 0, target = at; first < run.length; first += MOST_RECORDS) {
      const batch = run.slice(first, first + MOST_RECORDS)
      this.#readBatch(batch, out, target)
      target += batch.reduce((sum, record) => sum + record.length, 0)
    }
  }

  /**
   * As `readRun`, of encrypted records: each payload without its tag gets to its place in `out` and is opened there, which
   * verifies it. `onRecord` is told of each before.
   */
  readSealedRun(
    run: readonly RecordRead[],
    out: Buffer,
    at: number,
    sealed: Sealed,
    onRecord: (header: RecordHeader, index: number) => void,
  ): void {
    for (let first = 0, target = at; first < run.length; first += MOST_RECORDS) {
      const batch = run.slice(first, first + MOST_RECORDS)
      const read = this.#readSealed(batch, out, target, sealed.tagLength)
      const jobs = read.map(({ record, header, payload, tag }, index) => {
        const found = verifyHeader(header, record.length, record)
        onRecord(found, first + index)
        return sealed.jobOf(found, payload, tag)
      })
      if (recordWorker().open(jobs).includes(false))
        throw new Fault("corrupt", "an encrypted record is damaged or belongs elsewhere")
      target = read.reduce((end, { payload }) => end + payload.length, target)
    }
  }

  #readSealed(
    batch: readonly RecordRead[],
    out: Buffer,
    at: number,
    tagLength: number,
  ): { record: RecordRead; header: Buffer; payload: Buffer; tag: Buffer }[] {
    let [target, bytes] = [at, 0]
    const read = batch.map((record, index) => {
      const header = this.#header(index)
      const payload = out.subarray(target, target + record.length - tagLength)
      const tag = this.#tags.subarray(index * TAG_MAX, index * TAG_MAX + tagLength)
      ;[header, payload, tag].forEach((part, i) => this.#iovec.set(PARTS * index + i, part))
      target += payload.length
      bytes += RECORD_HEADER + record.length
      return { record, header, payload, tag }
    })
    this.#readParts(batch[0], PARTS * batch.length, bytes)
    return read
  }

  #readParts(first: RecordRead | undefined, parts: number, bytes: number): void {
    if (first === undefined) return
    const { segment, position } = first
    const got = checked("preadv", preadv(this.#fileOf(segment), this.#iovec.bytes, parts, position))
    if (got !== bytes) throw new Fault("corrupt", `segment ${segment} ends inside of a record`)
  }

  /** One record, verified, with its header. */
  readRecord(record: RecordRead): { header: RecordHeader; payload: Buffer } {
    const payload = Buffer.allocUnsafeSlow(record.length)
    const header = present(this.#readBatch([record], payload, 0)[0], "header of a record")
    // Its own copy: the next read overwrites the header's bytes.
    return { header: { ...header, nonce: Buffer.from(header.nonce) }, payload }
  }

  #readBatch(batch: readonly RecordRead[], out: Buffer, at: number): RecordHeader[] {
    let [target, bytes] = [at, 0]
    const payloads = batch.map((record, index) => {
      const payload = out.subarray(target, target + record.length)
      this.#iovec.set(2 * index, this.#header(index))
      this.#iovec.set(2 * index + 1, payload)
      target += record.length
      bytes += RECORD_HEADER + record.length
      return payload
    })
    this.#readParts(batch[0], 2 * batch.length, bytes)
    return batch.map((record, index) => {
      const header = this.#header(index)
      return verifyRecord(header, payloads[index] ?? out, record)
    })
  }

  #header(index: number): Buffer {
    return this.#headers.subarray(index * RECORD_HEADER, (index + 1) * RECORD_HEADER)
  }
}
