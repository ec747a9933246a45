import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { E } from "../../../clawfs/core/errno.ts"
import { Fault } from "../../../clawfs/core/fault.ts"
import { Database } from "../../../clawfs/store/database.ts"
import type * as libc from "../../../clawfs/sys/libc.ts"
import { Client } from "../support/client.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { comparable, picture } from "../support/picture.ts"
import { Random, runs, seed } from "../support/random.ts"
import { nameOf } from "../support/requests.ts"
import { KILLED, TestServer } from "../support/server.ts"
import { temporaryStore } from "../support/temporary.ts"

/** Whether the disk has room for what is written next. */
const disk = vi.hoisted(() => ({ tick: 0, hasRoom: (): boolean => true }))

vi.mock(import("../../../clawfs/sys/libc.ts"), async (original) => {
  const real = await original()
  return {
    ...real,
    clockGettime: (_clock: number, timespec: Buffer): number => {
      timespec.writeBigInt64LE(BigInt(1_700_000_000 + disk.tick), 0)
      timespec.writeBigInt64LE(0n, 8)
      return 0
    },
    // Records alone: the journal is written through a mapping of space that is reserved.
    pwritev: (...args: Parameters<typeof libc.pwritev>): number =>
      disk.hasRoom() ? real.pwritev(...args) : 0,
  }
})

vi.mock(import("node:crypto"), async (original) => ({
  ...(await original()),
  randomBytes: (size: number) => Buffer.alloc(size, 0x5a),
}))

beforeEach(() => {
  const commit = Object.getOwnPropertyDescriptor(Database.prototype, "commit")?.value as (
    this: Database,
  ) => void
  vi.spyOn(Database.prototype, "commit").mockImplementation(function (this: Database) {
    if (!disk.hasRoom()) throw new Fault("no-space", "the disk below the store is full")
    commit.call(this)
  })
})

afterEach(() => {
  disk.hasRoom = () => true
  vi.restoreAllMocks()
})

/** Runs `work` while the disk is full now and then. */
function onFullDisk<T>(random: Random, work: () => T): T {
  disk.hasRoom = () => random.below(3) > 0
  try {
    return work()
  } finally {
    disk.hasRoom = () => true
  }
}

/** What failed on the full disk must have left no trace; what did not must be as on a disk with room. */
function compare(random: Random, requests: number): number {
  using pristine = temporaryStore()
  pristine.store[Symbol.dispose]()
  using roomy = new TestServer({ copyOf: pristine.directory })
  using tight = new TestServer({ copyOf: pristine.directory })
  const client = new Client(random)
  let failed = 0
  for (let i = 0; i < requests; i += 1) {
    disk.tick += 1
    const message = client.ask()
    const got = onFullDisk(random, () => tight.send(message))
    if (got === KILLED) throw new Error("nobody kills here")
    if (got?.error === -E.ENOSPC) {
      failed += 1
      continue
    }
    const expected = roomy.send(message)
    if (expected === KILLED) throw new Error("nobody kills here")
    const what = `request ${i}, ${nameOf(message)}`
    expect(comparable(message, got), what).toEqual(comparable(message, expected))
    if (expected?.error === 0) client.hear(message, expected.payload)
    if (random.below(20) === 0) pause(random, tight)
    if (random.below(40) === 0) tight.restart()
  }
  for (const server of [roomy, tight]) {
    // The unnamed file that the last request made would be kept for the kernel that may ask for it again.
    server.store.clearReply()
    server.store.commit()
    server.restart()
    server.settle()
  }
  expect(brokenInvariants(tight.directory)).toEqual([])
  expect(picture(tight.directory)).toEqual(picture(roomy.directory))
  return failed
}

function pause(random: Random, server: TestServer): void {
  try {
    onFullDisk(random, () => server.pause())
  } catch (thrown) {
    expect(thrown).toMatchObject({ kind: "no-space" })
  }
}

test("a disk that is full now and then makes requests fail, and changes nothing else", () => {
  let failed = 0
  for (let round = 0; round < runs(6); round += 1) failed += compare(new Random(seed + round), 300)
  expect(failed).toBeGreaterThan(20)
})
