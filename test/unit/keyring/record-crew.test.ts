import { randomBytes } from "node:crypto"
import { Worker } from "node:worker_threads"
import { crc32 } from "node:zlib"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { RecordCrew, createCrewMemory } from "../../../keyring/record-crew.ts"
import type { RecordJob } from "../../../keyring/record-jobs.ts"
import { seed } from "../../helpers/reports.ts"
import { program } from "../../helpers/programs.ts"
import { Random } from "../../model/random.ts"
import { gcm } from "./independent.ts"

const RECORD = 128 * 1024
const TAG = 16
const MOST = 40

const [plain, sealed] = [new SharedArrayBuffer(MOST * RECORD), new SharedArrayBuffer(MOST * (RECORD + TAG))]
const memory = createCrewMemory([plain, sealed])
const random = new Random(seed)
let helper: Worker

interface Job extends RecordJob {
  readonly key: Buffer
  readonly nonce: Buffer
  readonly aad: Buffer
}

/** Jobs on random bytes, of different lengths, under different keys. */
function jobsOf(count: number): Job[] {
  return Array.from({ length: count }, (_, i) => {
    const length = i === 0 ? RECORD : 1 + random.below(RECORD)
    const data = Buffer.from(plain, i * RECORD, length)
    randomBytes(length).copy(data)
    const out = Buffer.from(sealed, i * (RECORD + TAG), length)
    const tag = Buffer.from(sealed, i * (RECORD + TAG) + length, TAG)
    const [key, nonce, aad] = [randomBytes(32), randomBytes(12), randomBytes(random.below(129))]
    return { key, nonce, aad, data, out, tag, sum: crc32(aad) }
  })
}

/** Seals in the crew, compares with node:crypto, opens again in place with some damaged, compares. */
function goThrough(crew: RecordCrew, count: number): void {
  const jobs = jobsOf(count)
  const plains = jobs.map(({ data }) => Buffer.from(data))
  crew.seal(jobs)
  jobs.forEach(({ key, nonce, aad, out, tag, sum }, i) => {
    const expected = gcm(key, nonce, aad, plains[i] ?? Buffer.alloc(0)).subarray(nonce.length)
    const stored = Buffer.concat([out, tag])
    expect(stored.equals(expected)).toBe(true)
    expect(sum).toBe(crc32(stored, crc32(aad)))
  })
  const damaged = jobs.map(() => random.chance(0.2))
  jobs.forEach(({ out }, i) => {
    const at = random.below(out.length)
    if (damaged[i] === true) out.writeUInt8(out.readUInt8(at) ^ 1, at)
  })
  const tags = jobs.map(({ tag }) => Buffer.from(tag))
  const opened = crew.open(jobs.map((job, i) => ({ ...job, data: job.out, tag: tags[i] ?? job.tag })))
  expect(opened).toEqual(damaged.map((is) => !is))
  jobs.forEach(({ out }, i) => {
    const expected = damaged[i] === true ? Buffer.alloc(out.length) : (plains[i] ?? out)
    expect(out.equals(expected)).toBe(true)
  })
}

describe("two threads seal and open records as one does", () => {
  beforeAll(() => {
    helper = new Worker(program("test/unit/keyring/crew-helper.ts"), { workerData: memory })
  })
  afterAll(() => helper.terminate())

  test("each record once, however the two come to them", async () => {
    const crew = new RecordCrew(memory)
    goThrough(crew, 3)
    const end = performance.now() + 120_000
    for (let rounds = 0; rounds < 30 || (crew.helped < 20 && performance.now() < end); rounds += 1) {
      goThrough(crew, 1 + random.below(MOST))
      // Lets the helper come, where there is one CPU.
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    expect(crew.helped).toBeGreaterThanOrEqual(20)
  })

  test("records in memory that is not shared are done by one thread", () => {
    const crew = new RecordCrew(memory)
    const before = crew.helped
    const jobs = jobsOf(4).map((job) => ({ ...job, data: Buffer.from(job.data) }))
    crew.seal(jobs)
    for (const { key, nonce, aad, data, out, tag } of jobs)
      expect(Buffer.concat([out, tag]).equals(gcm(key, nonce, aad, data).subarray(nonce.length))).toBe(true)
    expect(crew.helped).toBe(before)
  })

  test("no key stays in the memory that they share", () => {
    const crew = new RecordCrew(memory)
    const jobs = jobsOf(8)
    crew.seal(jobs)
    const table = Buffer.from(memory.table)
    for (const { key } of jobs) expect(table.includes(key)).toBe(false)
  })
})
