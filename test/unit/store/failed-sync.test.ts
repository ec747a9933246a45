/** A failed sync is told to whoever makes commits durable: the kernel tells of it once, and the next sync would succeed. */
import { afterEach, expect, test, vi } from "vitest"
import { Fault, type FaultKind } from "../../../clawfs/core/fault.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { Segments } from "../../../clawfs/store/segments.ts"
import { temporaryStore } from "../support/temporary.ts"

afterEach(() => {
  vi.restoreAllMocks()
})

/** How often a failed sync was told of when the WAL could not be folded back. */
function toldWhen(fail: () => void): number {
  using place = temporaryStore()
  let told = 0
  const store = place.reopen({ onFailedSync: () => (told += 1) })
  store.checkpointInline()
  expect(told).toBe(0)
  fail()
  expect(() => store.checkpointInline()).toThrow("the disk")
  return told
}

test("one of the log's, while the WAL is folded back between requests", () => {
  const fail = (thrown: Error) => () => {
    vi.spyOn(Segments.prototype, "syncAll").mockImplementationOnce(() => {
      throw thrown
    })
  }
  expect(toldWhen(fail(Object.assign(new Error("the disk fails"), { code: "EIO" })))).toBe(1)
  // Some filesystems find room for what was written only then.
  expect(toldWhen(fail(Object.assign(new Error("the disk is full"), { code: "ENOSPC" })))).toBe(1)
})

test("one of SQLite's, but not that the database has no room to grow: that is no sync", () => {
  const fail = (kind: FaultKind) => () => {
    vi.spyOn(Database.prototype, "checkpoint").mockImplementationOnce(() => {
      throw new Fault(kind, "the disk")
    })
  }
  expect([toldWhen(fail("io")), toldWhen(fail("no-space")), toldWhen(fail("busy"))]).toEqual([1, 0, 0])
})
