import { beforeEach, describe, expect, test, vi } from "vitest"
import type { Opcode } from "../../../clawfs/fuse/abi.ts"
import { Client } from "../support/client.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { Random, runs, seed } from "../support/random.ts"
import { KILLED, TestServer, type Answer } from "../support/server.ts"
import { temporaryStore } from "../support/temporary.ts"
import { comparable, picture } from "../support/picture.ts"
import { nameOf, resent } from "../support/requests.ts"

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

type Without = readonly (keyof typeof Opcode)[]

/** One server that lives, and one that is killed all the time. */
class Twins implements Disposable {
  readonly living: TestServer
  readonly dying: TestServer
  readonly #random: Random
  kills = 0
  replayed = 0

  constructor(random: Random) {
    using pristine = temporaryStore()
    pristine.store[Symbol.dispose]()
    this.#random = random
    this.living = new TestServer({ copyOf: pristine.directory })
    this.dying = new TestServer({ copyOf: pristine.directory, killsAt: () => random.below(20) === 0 })
  }

  die(): void {
    this.kills += 1
    this.dying.restart()
    this.replayed += this.dying.replayed
  }

  /** Gives a request to both; returns both answers, once there are some. */
  send(message: Buffer): [expected: Answer, got: Answer] {
    clock.tick += 1
    const expected = this.living.send(message)
    if (expected === KILLED) throw new Error("the living server was killed")
    let got = this.dying.send(message)
    while (got === KILLED) {
      this.die()
      // The kernel asks again for what it waits for; a FORGET is lost.
      got = expected === undefined ? undefined : this.dying.send(resent(message))
    }
    return [expected, got]
  }

  /** What happens between requests. */
  rest(): void {
    if (this.#random.below(30) === 0 && this.dying.pause() === KILLED) this.die()
    if (this.#random.below(40) === 0) this.die()
  }

  [Symbol.dispose](): void {
    this.living[Symbol.dispose]()
    this.dying[Symbol.dispose]()
  }
}

/** The two must not differ in anything that a program sees. */
function compare(
  random: Random,
  requests: number,
  without: Without = [],
): { kills: number; replayed: number } {
  using twins = new Twins(random)
  const client = new Client(random, without)
  for (let i = 0; i < requests; i += 1) {
    const message = client.ask()
    const [expected, got] = twins.send(message)
    const what = `request ${i}, ${nameOf(message)}`
    expect(comparable(message, got), what).toEqual(comparable(message, expected))
    if (expected?.error === 0) client.hear(message, expected.payload)
    const missing = [...client.held].filter(
      ([node, count]) => node !== 1 && twins.dying.env.lookups.get(node) < count,
    )
    expect(missing, `lookups that the kernel holds and the server forgot after ${what}`).toEqual([])
    twins.rest()
  }
  for (const server of [twins.living, twins.dying]) server.settle()
  expect(brokenInvariants(twins.dying.directory)).toEqual([])
  expect(picture(twins.dying.directory)).toEqual(picture(twins.living.directory))
  return twins
}

describe("a server that is killed again and again", () => {
  test("answers every request like one that lives", () => {
    let all = { kills: 0, replayed: 0 }
    for (let round = 0; round < runs(6); round += 1) {
      const { kills, replayed } = compare(new Random(seed + round), 300)
      all = { kills: all.kills + kills, replayed: all.replayed + replayed }
    }
    expect(all.kills).toBeGreaterThan(50)
    expect(all.replayed).toBeGreaterThan(50)
  })
})
