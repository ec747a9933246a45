/** One server that lives and one that is killed all the time: no program may see a difference. */
import { expect } from "vitest"
import type { Opcode } from "../../../clawfs/fuse/abi.ts"
import type { Store } from "../../../clawfs/store/store.ts"
import { Client } from "./client.ts"
import { brokenInvariants } from "./invariants.ts"
import { comparable, picture } from "./picture.ts"
import type { Random } from "./random.ts"
import { nameOf, resent } from "./requests.ts"
import { KILLED, TestServer, type Answer } from "./server.ts"
import { temporaryStore } from "./temporary.ts"

type Without = readonly (keyof typeof Opcode)[]

export interface TwinOptions {
  readonly without?: Without
  /** What is done to the store of both beforehand. */
  readonly prepare?: (store: Store) => void
  /** Unlocks trees when a server starts. */
  readonly adopt?: (store: Store) => void
  /** Moved on before each request. */
  readonly clock: { tick: number }
}

/** One server that lives, and one that is killed all the time. */
class Twins implements Disposable {
  readonly living: TestServer
  readonly dying: TestServer
  readonly #random: Random
  readonly #clock: { tick: number }
  kills = 0
  replayed = 0

  constructor(random: Random, { prepare, adopt = (): void => undefined, clock }: TwinOptions) {
    using pristine = temporaryStore()
    prepare?.(pristine.store)
    pristine.store[Symbol.dispose]()
    this.#random = random
    this.#clock = clock
    const options = { copyOf: pristine.directory, adopt }
    this.living = new TestServer(options)
    this.dying = new TestServer({ ...options, killsAt: () => random.below(20) === 0 })
  }

  die(): void {
    this.kills += 1
    this.dying.restart()
    this.replayed += this.dying.replayed
  }

  /** Gives a request to both; returns both answers, once there are some. */
  send(message: Buffer): [expected: Answer, got: Answer] {
    this.#clock.tick += 1
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
export function compareTwins(
  random: Random,
  requests: number,
  options: TwinOptions,
): { kills: number; replayed: number } {
  using twins = new Twins(random, options)
  const client = new Client(random, options.without ?? [])
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
  expect(picture(twins.dying.directory, options.adopt)).toEqual(
    picture(twins.living.directory, options.adopt),
  )
  return twins
}
