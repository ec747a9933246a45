/**
 * Two threads that seal and open records together, so that a request of 1 MiB takes half as long. They share memory: the regions
 * that data lie in, and a table of jobs. The thread that asks fills in the table and publishes it; then both claim one job after
 * the other until there is none. A helper that does not get a CPU claims nothing, and nobody waits for it.
 *
 * A claim is an exchange of one word, which says the round, how many jobs it has, and how many are claimed: a helper that comes
 * late finds either nothing or a job of the round that is going on.
 *
 *   words: 0 claim · 1 done in this round · 2 helpers that have come · 3 jobs that they have done
 *   job, 256 bytes: kind u32 · region and offset of data, out, tag u32 each · length u32 · sum or result u32 · bytes of
 *   aad u32 · key [32] · nonce [12] · tag to be checked [16] · aad [up to 128]
 */
import { bug } from "../clawfs/core/assert.ts"
import { TAG_BYTES, primitives } from "./primitives.ts"
import { openOne, sealOne, type RecordJob, type RecordWorker } from "./record-jobs.ts"

/** Jobs in one round. */
const MOST_JOBS = 32
/** Less is done faster than another thread is woken. */
const LEAST_BYTES = 128 * 1024
const JOB_BYTES = 256
const HEAD_BYTES = 64
const AAD_MAX = 128
const Word = { CLAIM: 0, DONE: 1, HELPERS: 2, HELPED: 3 } as const
const At = {
  KIND: 0,
  DATA: 4,
  OUT: 12,
  TAG: 20,
  LENGTH: 28,
  SUM: 32,
  AAD_BYTES: 36,
  KEY: 40,
  NONCE: 72,
  SHOWN: 84,
  AAD: 100,
}
const Kind = { SEAL: 1, OPEN: 2 } as const
const NONCE = 12
const KEY = 32
const FAILED = 0
const OPENED = 1
/** A claim: round · jobs (6 bits) · claimed (6 bits). */
const COUNT_SHIFT = 6
const ROUND_SHIFT = 12
const SIX_BITS = 63
const ROUNDS = 2 ** 19
const SPINS = 2000
const WAIT_MS = 1

/** What the threads share; the regions hold what is sealed and opened. */
export interface CrewMemory {
  readonly table: SharedArrayBuffer
  readonly regions: readonly SharedArrayBuffer[]
}

export function createCrewMemory(regions: readonly SharedArrayBuffer[]): CrewMemory {
  return { table: new SharedArrayBuffer(HEAD_BYTES + MOST_JOBS * JOB_BYTES), regions }
}

/** The table as either thread sees it. */
class Table {
  readonly words: Int32Array
  readonly #regions: readonly Buffer[]
  readonly #bytes: Buffer
  readonly #memory: CrewMemory

  constructor(memory: CrewMemory) {
    this.#memory = memory
    this.words = new Int32Array(memory.table, 0, HEAD_BYTES / 4)
    this.#bytes = Buffer.from(memory.table)
    this.#regions = memory.regions.map((region) => Buffer.from(region))
  }

  /** Whether all of a job lies in shared memory. */
  canTake({ data, out, tag, aad }: RecordJob, kind: number): boolean {
    const places = kind === Kind.SEAL ? [data, out, tag] : [data, out]
    return aad.length <= AAD_MAX && places.every((bytes) => this.#regionOf(bytes) >= 0)
  }

  #regionOf(bytes: Buffer): number {
    return this.#memory.regions.indexOf(bytes.buffer as unknown as SharedArrayBuffer)
  }

  put(index: number, kind: number, { data, out, tag, aad, key, nonce, sum }: RecordJob): void {
    const at = HEAD_BYTES + index * JOB_BYTES
    const b = this.#bytes
    const point = (place: number, bytes: Buffer): void => {
      b.writeUInt32LE(this.#regionOf(bytes), at + place)
      b.writeUInt32LE(bytes.byteOffset, at + place + 4)
    }
    b.writeUInt32LE(kind, at + At.KIND)
    point(At.DATA, data)
    point(At.OUT, out)
    if (kind === Kind.SEAL) point(At.TAG, tag)
    else b.set(tag, at + At.SHOWN)
    b.writeUInt32LE(data.length, at + At.LENGTH)
    b.writeUInt32LE(sum, at + At.SUM)
    b.writeUInt32LE(aad.length, at + At.AAD_BYTES)
    b.set(key, at + At.KEY)
    b.set(nonce, at + At.NONCE)
    b.set(aad, at + At.AAD)
  }

  #jobAt(index: number): RecordJob & { readonly kind: number } {
    const at = HEAD_BYTES + index * JOB_BYTES
    const b = this.#bytes
    const kind = b.readUInt32LE(at + At.KIND)
    const length = b.readUInt32LE(at + At.LENGTH)
    const part = (place: number, bytes: number): Buffer => {
      const region = this.#regions[b.readUInt32LE(at + place)] ?? bug("a job without its memory")
      const offset = b.readUInt32LE(at + place + 4)
      return region.subarray(offset, offset + bytes)
    }
    const bytesAt = (place: number, bytes: number): Buffer => b.subarray(at + place, at + place + bytes)
    return {
      kind,
      key: bytesAt(At.KEY, KEY),
      nonce: bytesAt(At.NONCE, NONCE),
      aad: bytesAt(At.AAD, b.readUInt32LE(at + At.AAD_BYTES)),
      data: part(At.DATA, length),
      out: part(At.OUT, length),
      tag: kind === Kind.SEAL ? part(At.TAG, TAG_BYTES) : bytesAt(At.SHOWN, TAG_BYTES),
      sum: b.readUInt32LE(at + At.SUM),
    }
  }

  /** Does jobs until none is left; returns how many. */
  work(): number {
    let done = 0
    for (let index = this.#claim(); index !== undefined; index = this.#claim()) {
      const at = HEAD_BYTES + index * JOB_BYTES
      const job = this.#jobAt(index)
      if (job.kind === Kind.SEAL) {
        sealOne(job)
        this.#bytes.writeUInt32LE(job.sum, at + At.SUM)
      } else this.#bytes.writeUInt32LE(openOne(job) ? OPENED : FAILED, at + At.SUM)
      Atomics.add(this.words, Word.DONE, 1)
      done += 1
    }
    return done
  }

  #claim(): number | undefined {
    for (;;) {
      const claim = Atomics.load(this.words, Word.CLAIM)
      const [count, claimed] = [(claim >>> COUNT_SHIFT) & SIX_BITS, claim & SIX_BITS]
      if (claimed >= count) return undefined
      if (Atomics.compareExchange(this.words, Word.CLAIM, claim, claim + 1) === claim) return claimed
    }
  }

  /** The sum of a sealed record, or whether it could be opened. */
  resultOf(index: number): number {
    return this.#bytes.readUInt32LE(HEAD_BYTES + index * JOB_BYTES + At.SUM)
  }

  /** Keys don't stay here. */
  wipe(count: number): void {
    for (let index = 0; index < count; index += 1) {
      const at = HEAD_BYTES + index * JOB_BYTES + At.KEY
      this.#bytes.fill(0, at, at + KEY)
    }
  }
}

/** The side of the thread that has records to be sealed and opened. */
export class RecordCrew implements RecordWorker {
  readonly #table: Table
  #round = 0

  constructor(memory: CrewMemory) {
    this.#table = new Table(memory)
  }

  /** Jobs that helpers have done so far, modulo 2^32. */
  get helped(): number {
    return Atomics.load(this.#table.words, Word.HELPED)
  }

  seal(jobs: readonly RecordJob[]): void {
    if (this.#isForOne(jobs, Kind.SEAL)) jobs.forEach(sealOne)
    else this.#rounds(jobs, Kind.SEAL, (job, sum) => (job.sum = sum))
  }

  open(jobs: readonly RecordJob[]): boolean[] {
    if (this.#isForOne(jobs, Kind.OPEN)) return jobs.map(openOne)
    const opened: boolean[] = []
    this.#rounds(jobs, Kind.OPEN, (_, result) => opened.push(result === OPENED))
    return opened
  }

  #isForOne(jobs: readonly RecordJob[], kind: number): boolean {
    if (jobs.length < 2 || Atomics.load(this.#table.words, Word.HELPERS) === 0) return true
    const bytes = jobs.reduce((sum, { data }) => sum + data.length, 0)
    return bytes < LEAST_BYTES || !jobs.every((job) => this.#table.canTake(job, kind))
  }

  #rounds(
    jobs: readonly RecordJob[],
    kind: number,
    onResult: (job: RecordJob, result: number) => void,
  ): void {
    for (let first = 0; first < jobs.length; first += MOST_JOBS) {
      const part = jobs.slice(first, first + MOST_JOBS)
      part.forEach((job, index) => this.#table.put(index, kind, job))
      this.#run(part.length)
      part.forEach((job, index) => onResult(job, this.#table.resultOf(index)))
      this.#table.wipe(part.length)
    }
  }

  #run(count: number): void {
    const { words } = this.#table
    this.#round = (this.#round + 1) % ROUNDS
    Atomics.store(words, Word.DONE, 0)
    Atomics.store(words, Word.CLAIM, (this.#round << ROUND_SHIFT) | (count << COUNT_SHIFT))
    Atomics.notify(words, Word.CLAIM, 1)
    this.#table.work()
    // What the helper has claimed it is working on.
    for (let spins = 0; ; spins += 1) {
      const done = Atomics.load(words, Word.DONE)
      if (done === count) return
      if (spins > SPINS) Atomics.wait(words, Word.DONE, done, WAIT_MS)
    }
  }
}

/** The helper's side: never returns. `forget` has nothing to be called for: no key outlives a round here. */
export function helpCrew(memory: CrewMemory): never {
  const table = new Table(memory)
  const { words } = table
  Atomics.add(words, Word.HELPERS, 1)
  for (;;) {
    const claim = Atomics.load(words, Word.CLAIM)
    const done = table.work()
    Atomics.add(words, Word.HELPED, done)
    Atomics.notify(words, Word.DONE, 1)
    if (done > 0) primitives().forget()
    const now = Atomics.load(words, Word.CLAIM)
    if (now >>> ROUND_SHIFT === claim >>> ROUND_SHIFT) Atomics.wait(words, Word.CLAIM, now)
  }
}
