/**
 * Records that are sealed or opened together: all of one request. Where another thread helps (`RecordCrew`), both take the next
 * that nobody has; where none does, this one does all.
 */
import { crc32 } from "node:zlib"
import { primitives } from "./primitives.ts"

/** One record. `out` is as long as `data`, and may be its bytes; `aad` is what it is bound to. */
export interface RecordJob {
  readonly key: Uint8Array
  readonly nonce: Uint8Array
  readonly aad: Uint8Array
  readonly data: Buffer
  readonly out: Buffer
  readonly tag: Buffer
  /** For sealing: CRC-32 of what stands before the ciphertext; afterwards that of ciphertext and tag too. */
  sum: number
}

/** Seals, and adds up. */
export function sealOne(job: RecordJob): void {
  const { key, nonce, aad, data, out, tag } = job
  primitives().seal(key, nonce, aad, data, out, tag)
  job.sum = crc32(tag, crc32(out, job.sum))
}

/** False, and zeroes in `out`, for what was not sealed so. */
export function openOne({ key, nonce, aad, data, out, tag }: RecordJob): boolean {
  return primitives().open(key, nonce, aad, data, out, tag)
}

/** Does jobs; what `open` could not open is false at its place. */
export interface RecordWorker {
  seal(jobs: readonly RecordJob[]): void
  open(jobs: readonly RecordJob[]): boolean[]
}

const alone: RecordWorker = { seal: (jobs) => jobs.forEach(sealOne), open: (jobs) => jobs.map(openOne) }
let present = alone

/** Of this thread, from now on. */
export function useRecordWorker(worker: RecordWorker): void {
  present = worker
}

export function recordWorker(): RecordWorker {
  return present
}
