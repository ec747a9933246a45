/** CPUs are kept awake for a stream of requests and a moment longer, and never because of one request. */
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { BusyMoments } from "../../../clawfs/sys/busy-moments.ts"

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** What the latency was asked for: the newest wish counts. */
class Wishes {
  isHeld = false
  holds = 0
  hold = (): void => {
    this.isHeld = true
    this.holds += 1
  }
  release = (): void => void (this.isHeld = false)
}

test("requests that follow each other hold it, a pause lets it go, and nothing is left running", () => {
  const wishes = new Wishes()
  using moments = new BusyMoments(wishes)
  for (let at = 0; at < 3; at += 1) moments.busy()
  expect(wishes.isHeld).toBe(false)
  moments.busy()
  expect(wishes.isHeld).toBe(true)
  for (let at = 0; at < 50; at += 1) {
    vi.advanceTimersByTime(15)
    moments.busy()
  }
  expect([wishes.isHeld, wishes.holds, vi.getTimerCount()]).toEqual([true, 1, 1])
  vi.advanceTimersByTime(40)
  expect([wishes.isHeld, vi.getTimerCount()]).toEqual([false, 0])
})

test("requests now and then hold nothing, however many", () => {
  const wishes = new Wishes()
  using moments = new BusyMoments(wishes)
  for (let at = 0; at < 20; at += 1) {
    moments.busy()
    vi.advanceTimersByTime(100)
  }
  expect([wishes.holds, vi.getTimerCount()]).toEqual([0, 0])
})

test("it is let go with the process's end", () => {
  const wishes = new Wishes()
  {
    using moments = new BusyMoments(wishes)
    for (let at = 0; at < 10; at += 1) moments.busy()
    expect(wishes.isHeld).toBe(true)
  }
  expect([wishes.isHeld, vi.getTimerCount()]).toEqual([false, 0])
})
