/** As `kill.test.ts`, in an encrypted tree. */
import { beforeEach, describe, expect, test, vi } from "vitest"
import type { Store } from "../../../clawfs/store/store.ts"
import { encrypt, unlock, type Secret } from "../support/encryption.ts"
import { Random, runs, seed } from "../support/random.ts"
import { ROOT } from "../support/session.ts"
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

// The stores are compared, and the order of a listing depends on keys: the same ones in both.
vi.mock(import("node:crypto"), async (original) => {
  const real = await original()
  return {
    ...real,
    randomBytes: (size: number) => Buffer.alloc(size, 0x5a),
    randomFillSync: ((bytes: Buffer) => bytes.fill(0x5a)) as typeof real.randomFillSync,
  }
})

beforeEach(() => {
  clock.tick = 0
})
describe("a server of an encrypted tree that is killed again and again", () => {
  test("answers every request like one that lives", { timeout: 120_000 }, () => {
    let secret: Secret | undefined
    const adopt = (store: Store): void => {
      if (secret === undefined) return
      unlock(store, secret)
      store.sealing.setKept(secret.id, true)
    }
    let all = { kills: 0, replayed: 0 }
    for (let round = 0; round < runs(6); round += 1) {
      const prepare = (store: Store): void => void (secret = encrypt(store, ROOT))
      const { kills, replayed } = compareTwins(new Random(seed + round), 300, { clock, prepare, adopt })
      all = { kills: all.kills + kills, replayed: all.replayed + replayed }
    }
    expect(all.kills).toBeGreaterThan(15)
    expect(all.replayed).toBeGreaterThan(15)
  })
})
