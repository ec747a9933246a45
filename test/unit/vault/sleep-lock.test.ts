/** The vault is locked before the machine sleeps: by a bus of the test's own, with a systemd-logind that is none. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { Log } from "../../../clawfs/core/log.ts"
import { SleepLock } from "../../../vault/service/sleep-lock.ts"
import { TestBus, requireBus } from "../../helpers/logind.ts"
import { skipIf } from "../../helpers/requirements.ts"

const ANSWER_MS = 30_000
const AGAIN_MS = 50

let bus: TestBus
beforeAll(async () => {
  if (requireBus() === undefined) bus = await TestBus.start()
})
afterAll(async () => {
  if (requireBus() === undefined) await bus[Symbol.asyncDispose]()
})
beforeEach((context) => skipIf(context, requireBus()))

/** Counts how often the vault would have been locked; disposing gives the machine leave to sleep. */
class Locked implements Disposable {
  count = 0
  readonly lock: SleepLock

  constructor() {
    this.lock = new SleepLock(() => (this.count += 1), new Log("test"), bus.address, AGAIN_MS)
  }

  [Symbol.dispose](): void {
    this.lock[Symbol.dispose]()
  }
}

async function until(what: () => boolean): Promise<void> {
  for (const end = Date.now() + ANSWER_MS; !what();) {
    if (Date.now() > end) throw new Error("it does not come to that")
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test("the machine waits until the vault is locked", async () => {
  await using manager = await bus.logind()
  using locked = new Locked()
  await locked.lock.start()
  expect(await manager.hears("lock")).toBe("lock sleep ClawFS delay")
  expect(locked.lock.isHeld).toBe(true)
  // That it woke up locks nothing.
  manager.tell("wake")
  await manager.hears("done wake")
  manager.tell("sleep")
  await until(() => locked.count > 0)
  expect([locked.count, locked.lock.isHeld]).toEqual([1, true])
  // It says "slept" when it has the lock back, and not before.
  locked[Symbol.dispose]()
  await manager.hears("slept")
})

test("a signal from anybody else locks nothing", async () => {
  await using manager = await bus.logind()
  using locked = new Locked()
  await locked.lock.start()
  manager.tell("forge")
  await manager.hears("done forge")
  manager.tell("sleep")
  await until(() => locked.count > 0)
  expect(locked.count).toBe(1)
})

test("without logind, or a bus, there is no lock; it is taken when there is one, and again after logind was gone", async () => {
  {
    using none = new SleepLock(() => undefined, new Log("test"), `unix:path=${bus.directory}/none`, AGAIN_MS)
    await none.start()
    expect(none.isHeld).toBe(false)
  }
  using locked = new Locked()
  await locked.lock.start()
  expect(locked.lock.isHeld).toBe(false)
  await using manager = await bus.logind()
  await until(() => locked.lock.isHeld)
  expect(await manager.hears("lock")).toBe("lock sleep ClawFS delay")
})
