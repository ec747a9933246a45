import { describe, expect, test } from "vitest"
import { EarlyWriteback, partsBetween } from "../../../clawfs/server/early-writeback.ts"
import type { SyncMessage } from "../../../clawfs/server/messages.ts"
import { logPosition } from "../../../clawfs/store/log-position.ts"

const MEBI = 1024 * 1024

describe("what lies between two places in the log", () => {
  test("within one segment", () => {
    expect(partsBetween(logPosition(3, 64), logPosition(3, 500))).toEqual([
      { segment: 3, from: 64, length: 436 },
    ])
    expect(partsBetween(logPosition(3, 64), logPosition(3, 64))).toEqual([])
  })

  test("over the ends of segments", () => {
    expect(partsBetween(logPosition(3, 64), logPosition(5, 100))).toEqual([
      { segment: 3, from: 64, length: 0 },
      { segment: 4, from: 0, length: 0 },
      { segment: 5, from: 0, length: 100 },
    ])
    expect(partsBetween(logPosition(3, 64), logPosition(4, 0))).toEqual([{ segment: 3, from: 64, length: 0 }])
  })

  test("nothing when the log was cut back", () => {
    expect(partsBetween(logPosition(3, 64), logPosition(2, 100))).toEqual([])
  })
})

test("writing begins when there is enough to be written, each part once", () => {
  const told: SyncMessage[] = []
  const writeback = new EarlyWriteback(logPosition(1, 0), (message) => told.push(message))
  const places = [MEBI, 8 * MEBI, 9 * MEBI, 15 * MEBI, 30 * MEBI].map((at) => logPosition(1, at))
  for (const place of [...places, logPosition(2, 100), logPosition(2, 200)]) writeback.onRequest(place)
  expect(told).toEqual([
    { kind: "written", from: logPosition(1, 0), to: logPosition(1, 8 * MEBI) },
    { kind: "written", from: logPosition(1, 8 * MEBI), to: logPosition(1, 30 * MEBI) },
    { kind: "written", from: logPosition(1, 30 * MEBI), to: logPosition(2, 100) },
  ])
})
