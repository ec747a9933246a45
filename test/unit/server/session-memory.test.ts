import { describe, expect, test } from "vitest"
import {
  SessionMemory,
  createSessionMemory,
  monotonicSeconds,
} from "../../../clawfs/server/session-memory.ts"
import { close } from "../../../clawfs/sys/libc.ts"

/** Runs `first` in one mapping and `second` in another one of the same memory: one server, and the next. */
function acrossServers(
  first: (memory: SessionMemory) => void,
  second: (memory: SessionMemory) => void,
): void {
  const fd = createSessionMemory()
  for (const run of [first, second]) {
    using memory = new SessionMemory(fd)
    run(memory)
  }
  close(fd)
}

describe("what a connection agreed on", () => {
  test("is nothing at first, and then known to every later server", () => {
    const agreement = { minor: 45, flags: 0xfedc_ba98_7654_3210n, writeback: true, openIsAsked: false }
    acrossServers(
      (memory) => {
        expect(memory.agreement).toBeUndefined()
        memory.setAgreement(agreement)
      },
      (memory) => expect(memory.agreement).toEqual(agreement),
    )
  })
})

describe("a flush of the disk", () => {
  test("is known to the other thread: what it answered, what came meanwhile, when it ended, how long flushes take", () => {
    acrossServers(
      (memory) => {
        memory.fsyncsWait = 3
        memory.noteFlush(monotonicSeconds() - 0.5, 5)
      },
      (memory) => {
        const { answered, came, endedAt, seconds } = memory.lastFlush
        expect([answered, came]).toEqual([5, 3])
        expect(seconds).toBeGreaterThanOrEqual(0.5)
        expect(endedAt).toBeLessThanOrEqual(monotonicSeconds())
        memory.noteFlush(monotonicSeconds(), 1)
        expect(memory.lastFlush.seconds).toBeLessThan(seconds)
        expect(memory.lastFlush.seconds).toBeGreaterThan(seconds / 2)
        expect(memory.lastFlush.endedAt).toBeGreaterThanOrEqual(endedAt)
      },
    )
  })
})

describe("requests that wait for an answer", () => {
  test("are taken over by the next server, each once", () => {
    acrossServers(
      (memory) => {
        memory.begin(0, 0xffff_fffe, 0x8000_0001)
        const slot = memory.freeSlot() ?? -1
        memory.begin(slot, 4, 0)
        memory.begin(memory.freeSlot() ?? -1, 6, 0)
        memory.end(slot)
      },
      (memory) => {
        expect(memory.takeInFlight()).toEqual([
          { uniqueLow: 0xffff_fffe, uniqueHigh: 0x8000_0001 },
          { uniqueLow: 6, uniqueHigh: 0 },
        ])
        expect(memory.takeInFlight()).toEqual([])
      },
    )
  })

  test("have 255 slots, and one of their own for the request being served", () => {
    acrossServers(
      (memory) => {
        const slots = new Set<number>()
        for (let slot = memory.freeSlot(); slot !== undefined; slot = memory.freeSlot()) {
          memory.begin(slot, slots.size + 1, 0)
          slots.add(slot)
        }
        expect([slots.size, slots.has(0)]).toEqual([255, false])
        memory.begin(0, 999, 0)
      },
      (memory) => expect(memory.takeInFlight()).toHaveLength(256),
    )
  })
})

describe("counts", () => {
  test("of requests go on from server to server, by opcode, unknown ones together", () => {
    acrossServers(
      (memory) => [1, 1, 15, 4711].forEach((opcode) => memory.countAnswer(opcode)),
      (memory) => {
        memory.countAnswer(1)
        expect(memory.answered).toBe(5)
        expect([...memory.opcodeCounts()]).toEqual([
          [1, 3],
          [15, 1],
          [63, 1],
        ])
      },
    )
  })

  test("of lookups and the mark of what was counted outlive the server", () => {
    acrossServers(
      (memory) => {
        memory.lookupHeader.log = 13
        memory.lookupHeader.used = 4711
        Object.assign(memory.counted, { uniqueLow: 0xffff_ffff, uniqueHigh: 7 })
      },
      (memory) => {
        expect([memory.lookupHeader.log, memory.lookupHeader.used, memory.lookups]).toEqual([13, 4711, 4711])
        expect([memory.counted.uniqueLow, memory.counted.uniqueHigh]).toEqual([0xffff_ffff, 7])
      },
    )
  })

  test("of a commit are told with the totals, exactly up to 2^53", () => {
    const counters = { inodes: 2 ** 40 + 1, bytes: 2 ** 53 - 1 }
    acrossServers(
      (memory) => {
        const { commits } = memory
        memory.logEnd = 2 ** 52 + 12
        memory.publish({ counters })
        expect([memory.commits - commits, memory.logEnd]).toEqual([1, 2 ** 52 + 12])
      },
      (memory) => expect(memory.totals).toEqual(counters),
    )
  })
})
