import { beforeEach, describe, expect, test, vi } from "vitest"
import { Random, runs, seed } from "../support/random.ts"
import { compareTwins } from "../support/twins.ts"

const clock = vi.hoisted(() => ({ tick: 0 }))

vi.mock(import("../../../clawfs/sys/libc.ts"), async (original) => ({
  ...(await original()),
  clockGettime: (_clock: number, timespec: Buffer): number => {
    timespec.writeBigInt64LE(BigInt(1_700_000_000 + Math.floor(clock.tick / 1000)), 0)
    timespec.writeBigInt64LE(BigInt((clock.tick % 1000) * 1_000_000), 8)
    return 0
  },
}))

// The order of a listing depends on the store's seeds: the same ones in every run.
vi.mock(import("node:crypto"), async (original) => ({
  ...(await original()),
  randomBytes: (size: number) => Buffer.alloc(size, 0x5a),
}))

beforeEach(() => {
  clock.tick = 0
})

describe("a server that is killed again and again", () => {
  test("answers every request like one that lives", () => {
    let all = { kills: 0, replayed: 0 }
    for (let round = 0; round < runs(6); round += 1) {
      const { kills, replayed } = compareTwins(new Random(seed + round), 300, { clock })
      all = { kills: all.kills + kills, replayed: all.replayed + replayed }
    }
    expect(all.kills).toBeGreaterThan(50)
    expect(all.replayed).toBeGreaterThan(50)
  })
})
