/** Snapshots by the clock. */
import { afterEach, beforeEach, expect, test } from "vitest"
import { createSnapshot } from "../../../clawfs/fs/snapshots.ts"
import { removeSchedule, runSchedules, setSchedule } from "../../../clawfs/fs/schedules.ts"
import { pinClock } from "../../../clawfs/sys/clock.ts"
import { TestFileSystem, ok } from "../support/filesystem.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { QuietLog } from "../support/log.ts"

let fs: TestFileSystem
const HOUR = 3600
const START = Date.UTC(2026, 10, 21, 10, 0, 0) / 1000

beforeEach(() => {
  fs = new TestFileSystem()
  ok(fs.mkdir("a"))
})

afterEach(() => {
  pinClock(undefined)
  fs.store.settle()
  expect(brokenInvariants(fs.directory)).toEqual([])
  fs[Symbol.dispose]()
})

function at(seconds: number): string[] {
  pinClock({ seconds, nanos: 0 })
  const log = new QuietLog()
  runSchedules(fs.env, log)
  expect(log.take()).toEqual([])
  return fs.store.snapshots.all().map(({ name }) => name.replace("2026-11-", ""))
}

const schedule = (name: string, every: number, keep: number, path = "/a"): void => {
  pinClock({ seconds: START, nanos: 0 })
  setSchedule(fs.env, { name, path: Buffer.from(path), every, keep })
}

test("one is made at once, then when it is due, and the oldest goes", () => {
  schedule("h", HOUR, 2)
  expect(at(START)).toEqual(["h@21T10:00:00"])
  expect(at(START + HOUR - 1)).toEqual(["h@21T10:00:00"])
  expect(at(START + HOUR)).toEqual(["h@21T10:00:00", "h@21T11:00:00"])
  expect(at(START + 2 * HOUR + 5)).toEqual(["h@21T11:00:00", "h@21T12:00:05"])
})

test("what was missed while nothing was mounted is not made up for, and a clock that goes back stops nothing", () => {
  schedule("h", HOUR, 9)
  at(START)
  expect(at(START + 100 * HOUR)).toHaveLength(2)
  expect(at(START + 100 * HOUR + 60)).toHaveLength(2)
  expect(at(START + 10 * HOUR)).toHaveLength(3)
})

test("after a clock that was ahead, the newest are kept and those that were made first go", () => {
  schedule("h", HOUR, 2)
  at(START)
  at(START + 50 * HOUR)
  at(START + 51 * HOUR)
  expect(at(START + HOUR)).toEqual(["h@21T11:00:00", "h@23T13:00:00"])
  expect(at(START + 2 * HOUR)).toEqual(["h@21T11:00:00", "h@21T12:00:00"])
})

test("snapshots that somebody named are never deleted", () => {
  for (const name of ["h@mine", "hh@2026-11-20T10:00:00", "other"])
    createSnapshot(fs.env, { name, path: Buffer.from("/a"), isWritable: false })
  schedule("h", HOUR, 1)
  at(START)
  expect(at(START + HOUR).sort()).toEqual(["h@21T11:00:00", "h@mine", "hh@20T10:00:00", "other"])
})

test("it can be changed and removed; what it made stays", () => {
  schedule("h", HOUR, 5)
  at(START)
  schedule("h", 60, 5)
  expect(at(START + 60)).toHaveLength(2)
  removeSchedule(fs.env, "h")
  expect(at(START + HOUR)).toHaveLength(2)
  expect(() => removeSchedule(fs.env, "h")).toThrow(`there is no schedule "h"`)
})

test("a directory that is gone is told in the log, and the others go on", () => {
  ok(fs.mkdir("b"))
  schedule("b", HOUR, 5, "/b")
  schedule("a", HOUR, 5)
  expect(fs.rmdir("b")).toBe("OK")
  const log = new QuietLog()
  expect(runSchedules(fs.env, log)).toMatchObject({ made: 1 })
  expect(log.take()).toContainEqual(expect.stringContaining("a scheduled snapshot was not made"))
})

test("what makes no sense is refused", () => {
  expect(() => schedule("h", 59, 1)).toThrow("every minute at most")
  expect(() => schedule("h", HOUR, 0)).toThrow("keeps 1 to")
  expect(() => schedule("h@", HOUR, 1)).toThrow("a schedule's name has")
  expect(() => schedule("h", HOUR, 1, "/nothing")).toThrow("there is no")
})
