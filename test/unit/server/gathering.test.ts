import { describe, expect, test } from "vitest"
import { Gathering, type LastFlush } from "../../../clawfs/server/gathering.ts"

const TOOK = 0.001

/** A flush that ended at `endedAt`. */
const flush = (endedAt: number, answered: number, came: number): LastFlush => ({
  endedAt,
  seconds: TOOK,
  answered,
  came,
})

describe("an fsync", () => {
  test("of the only program waits for nobody", () => {
    const gathering = new Gathering()
    for (let at = 1; at < 100; at += 1) expect(gathering.wait(flush(at, 1, 0), 1, at)).toBe(0)
  })

  test("that comes long after the last flush waits for nobody, however many that answered", () => {
    expect(new Gathering().wait(flush(1, 8, 0), 1, 1 + TOOK)).toBe(0)
  })

  test("waits for those just answered, until as many are there as before", () => {
    const gathering = new Gathering()
    const last = flush(1, 5, 3)
    expect(gathering.wait(last, 3, 1)).toBeCloseTo(TOOK / 2)
    expect(gathering.wait(last, 7, 1 + TOOK / 4)).toBeCloseTo(TOOK / 4)
    expect(gathering.wait(last, 8, 1 + TOOK / 4)).toBe(0)
  })

  test("waits for half a flush at most, and for no more than two milliseconds", () => {
    const gathering = new Gathering()
    expect(gathering.wait(flush(1, 5, 3), 3, 1 + TOOK * 0.51)).toBe(0)
    const slow = { ...flush(2, 5, 3), seconds: 1 }
    expect(new Gathering().wait(slow, 3, 2)).toBeCloseTo(0.002)
  })

  test("does not begin to wait again once it was decided not to", () => {
    const gathering = new Gathering()
    const last = flush(1, 2, 0)
    expect(gathering.wait(last, 2, 1)).toBe(0)
    expect(gathering.wait(last, 1, 1)).toBe(0)
  })
})

describe("programs that do not come back", () => {
  /** Flushes of a hundred for which the one that came was made to wait. */
  const waitsOf = (gathering: Gathering, from: number): number => {
    let waits = 0
    for (let at = from; at < from + 100; at += 1) {
      if (gathering.wait(flush(at, 1, 1), 1, at) > 0) waits += 1
      gathering.wait(flush(at, 1, 1), 1, at + TOOK)
    }
    return waits
  }

  test("are waited for less and less often", () => {
    const gathering = new Gathering()
    expect(waitsOf(gathering, 1)).toBeLessThanOrEqual(8)
    expect(waitsOf(gathering, 200)).toBeLessThanOrEqual(4)
    expect(waitsOf(gathering, 400)).toBeGreaterThan(0)
  })

  test("are waited for every time again after they came once", () => {
    const gathering = new Gathering()
    waitsOf(gathering, 1)
    let at = 1000
    while (gathering.wait(flush(at, 1, 1), 1, at) === 0) at += 1
    expect(gathering.wait(flush(at, 1, 1), 2, at)).toBe(0)
    for (let i = 1; i < 50; i += 1) {
      expect(gathering.wait(flush(at + i, 1, 1), 1, at + i)).toBeGreaterThan(0)
      expect(gathering.wait(flush(at + i, 1, 1), 2, at + i)).toBe(0)
    }
  })
})
