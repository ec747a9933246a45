import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { LOOKUP_BYTES, Lookups, type LookupHeader } from "../../../clawfs/fs/lookups.ts"
import { close } from "../../../clawfs/sys/libc.ts"
import { createSharedMemory, releaseSharedRange } from "../../../clawfs/sys/shared-memory.ts"
import { fc } from "../support/fast-check.ts"
import { Random, runs, seed } from "../support/random.ts"

let fd = -1
beforeAll(() => {
  fd = createSharedMemory("clawfs-unit", LOOKUP_BYTES)
})
afterAll(() => {
  close(fd)
})

/** A table in memory that is all zeroes again. */
function emptyTable(): { table: Lookups; header: LookupHeader } {
  releaseSharedRange(fd, 0, LOOKUP_BYTES)
  const header = { log: 0, used: 0 }
  return { table: new Lookups(fd, 0, header), header }
}

/** Inodes that begin their search at the same slot of the smallest table, for long runs of neighbours. */
const COLLIDING = ((): number[] => {
  const home = (low: number): number => {
    const h = Math.imul(low, 0x85ebca6b)
    return (h ^ (h >>> 15)) & 0xfff
  }
  const found: number[] = []
  for (let ino = 2; found.length < 40; ino += 1) if (home(ino) === home(1)) found.push(ino)
  return found
})()

type Step = { ino: number; by: number } | "reopen"

/** Runs the steps on a table and on a Map, which must always agree. */
function compare(steps: readonly Step[]): void {
  const header = { log: 0, used: 0 }
  releaseSharedRange(fd, 0, LOOKUP_BYTES)
  let table = new Lookups(fd, 0, header)
  const model = new Map<number, number>()
  for (const step of steps) {
    if (step === "reopen") {
      table[Symbol.dispose]()
      table = new Lookups(fd, 0, header)
    } else if (step.by > 0) {
      table.add(step.ino)
      model.set(step.ino, (model.get(step.ino) ?? 0) + 1)
    } else {
      const left = Math.max(0, (model.get(step.ino) ?? 0) + step.by)
      expect(table.subtract(step.ino, -step.by)).toBe(left)
      if (left === 0) model.delete(step.ino)
      else model.set(step.ino, left)
    }
    expect(table.size).toBe(model.size)
  }
  for (const step of steps) if (step !== "reopen") expect(table.get(step.ino)).toBe(model.get(step.ino) ?? 0)
  expect([...table.held()].sort((a, b) => a - b)).toEqual([...model.keys()].sort((a, b) => a - b))
  table[Symbol.dispose]()
}

const ino = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...COLLIDING) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 50 }) },
  { weight: 1, arbitrary: fc.constantFrom(2 ** 32, 2 ** 32 + 1, 2 ** 52 - 1, 2 ** 40 + 1) },
)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ ino, by: fc.constantFrom(1, 1, 1, -1, -2, -1000) }) },
  { weight: 1, arbitrary: fc.constant("reopen" as const) },
)

describe("lookup counts", () => {
  test("are those of a plain map, through collisions and restarts", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => compare(steps)),
      { numRuns: runs(80) },
    )
  })

  test("stay right while the table grows to ten thousand inodes and shrinks again", () => {
    const random = new Random(seed)
    const inos = Array.from({ length: 10_000 }, (_, i) => (random.below(2) === 0 ? i + 1 : i + 2 ** 33))
    const { table, header } = emptyTable()
    const sizes = new Set<number>()
    for (const [i, each] of inos.entries()) {
      for (let count = 0; count <= i % 3; count += 1) table.add(each)
      sizes.add(header.log)
    }
    expect(table.size).toBe(10_000)
    expect(inos.filter((each, i) => table.get(each) !== (i % 3) + 1)).toEqual([])
    table[Symbol.dispose]()
    const again = new Lookups(fd, 0, header)
    for (const [i, each] of inos.entries()) {
      if (i % 100 !== 0) expect(again.subtract(each, (i % 3) + 1)).toBe(0)
      sizes.add(header.log)
    }
    expect(again.size).toBe(100)
    expect(inos.filter((each, i) => again.get(each) !== (i % 100 === 0 ? (i % 3) + 1 : 0))).toEqual([])
    expect([...sizes].sort((a, b) => a - b)).toEqual([12, 13, 14, 15])
    expect(header.log).toBe(12)
    again[Symbol.dispose]()
  })

  test("of an inode that was never looked up are 0, and giving those back does nothing", () => {
    const { table } = emptyTable()
    expect([table.get(7), table.subtract(7, 3), table.size]).toEqual([0, 0, 0])
    table[Symbol.dispose]()
  })

  test("never fall below 0, however many the kernel gives back", () => {
    const { table } = emptyTable()
    table.add(7)
    expect([table.subtract(7, Number.MAX_SAFE_INTEGER), table.get(7), table.size]).toEqual([0, 0, 0])
    table[Symbol.dispose]()
  })

  test("are kept apart for inodes that differ only above 2^32", () => {
    const { table } = emptyTable()
    const inos = [1, 2 ** 32 + 1, 2 ** 33 + 1, 2 ** 51 + 1]
    inos.forEach((each, i) => {
      for (let count = 0; count <= i; count += 1) table.add(each)
    })
    expect(inos.map((each) => table.get(each))).toEqual([1, 2, 3, 4])
    table[Symbol.dispose]()
  })

  test("the number of inodes is counted anew by a new server: a killed one may have left it wrong", () => {
    const { table, header } = emptyTable()
    for (let each = 1; each <= 5; each += 1) table.add(each)
    table[Symbol.dispose]()
    header.used = 4711
    const again = new Lookups(fd, 0, header)
    expect([again.size, header.used]).toEqual([5, 5])
    again[Symbol.dispose]()
  })
})
