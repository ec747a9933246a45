import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { Log } from "../../../clawfs/core/log.ts"
import { Cleaning, type CleanedStore, type CleaningMemory } from "../../../clawfs/server/cleaning.ts"

const SLICE_MS = 4

beforeEach(() => vi.useFakeTimers({ toFake: ["performance"] }))
afterEach(() => vi.useRealTimers())

/** A store that always has something to clean. */
class Endless implements CleanedStore {
  slices = 0
  readonly readOnly = false
  readonly isTight: boolean
  readonly garbage = {
    isDue: true,
    hasMore: false,
    logSpace: { live: 1, dead: 1 },
    wholeLogSpace: { live: 1, dead: 1 },
    freeBytes: 0,
    wantAll: (): void => undefined,
    goOn: (): void => undefined,
  }

  constructor(isTight = false) {
    this.isTight = isTight
  }

  clean(bytes: number): number {
    if (this.garbage.hasMore) return 0
    this.slices += 1
    vi.advanceTimersByTime(SLICE_MS)
    return bytes
  }

  readonly commit = (): void => undefined
  readonly shrinkFiles = (): void => undefined
}

function cleaningOf(store: Endless): {
  cleaning: Cleaning
  answer: () => void
  isDone: () => boolean
} {
  let [answered, cleaned] = [0, 0]
  const memory: CleaningMemory = {
    get answered() {
      return answered
    },
    commits: 0,
    freeBytes: 0,
    countCleaned: () => (cleaned += 1),
    setLogSpace: () => undefined,
  }
  return {
    cleaning: new Cleaning(store, memory, new Log("test", { level: "error" })),
    answer: () => (answered += 1),
    isDone: () => cleaned > 0,
  }
}

/** Sleeps as the serving thread does, for so long in all; with a request each `every` milliseconds. Returns how many there were. */
function live(store: Endless, seconds: number, every = Infinity): number {
  const { cleaning, answer } = cleaningOf(store)
  if (every < Infinity) answer()
  const end = performance.now() + seconds * 1000
  let [next, requests] = [performance.now() + every, 0]
  while (performance.now() < end) {
    const pause = cleaning.onQuiet() ?? Infinity
    vi.advanceTimersByTime(Math.max(0, Math.min(pause, next - performance.now(), end - performance.now())))
    if (performance.now() < next) continue
    answer()
    requests += 1
    next = performance.now() + every
  }
  return requests
}

describe("the cleaner", () => {
  test("works in slices with pauses while nobody is there", () => {
    const store = new Endless()
    live(store, 10)
    expect(store.slices).toBeGreaterThan(10_000 / (50 + SLICE_MS + 2))
    expect(store.slices).toBeLessThan(10_000 / 50)
  })

  test.each([1, 3, 50, 500])("takes half a hundredth of the time beside a request each %i ms", (every) => {
    const store = new Endless()
    expect(live(store, 60, every)).toBeGreaterThan(100)
    expect(store.slices * SLICE_MS).toBeLessThanOrEqual(300 + SLICE_MS)
    expect(store.slices * SLICE_MS).toBeGreaterThan(150)
  })

  test("does not rest when all is to come back now, or the disk is full", () => {
    const tight = new Endless(true)
    live(tight, 1, 3)
    expect(tight.slices).toBeGreaterThan(150)
    const store = new Endless()
    const { cleaning, answer } = cleaningOf(store)
    cleaning.order()
    for (let i = 0; i < 100; i += 1) {
      answer()
      expect(cleaning.onQuiet()).toBe(0)
    }
    expect(store.slices).toBe(100)
  })
  test("on order waits for room on a full disk: for segments that are about to be deleted, but not for ever", () => {
    const store = new Endless(true)
    const { cleaning, isDone } = cleaningOf(store)
    cleaning.order()
    expect(cleaning.onQuiet()).toBe(0)
    store.garbage.hasMore = true
    for (let i = 0; i < 10; i += 1) {
      const pause = cleaning.onQuiet() ?? 0
      expect(pause).toBeGreaterThan(0)
      vi.advanceTimersByTime(pause)
    }
    store.garbage.hasMore = false
    expect(cleaning.onQuiet()).toBe(0)
    expect([store.slices, isDone()]).toEqual([2, false])
    store.garbage.hasMore = true
    let waited = 0
    for (let pause = cleaning.onQuiet(); pause !== undefined; pause = cleaning.onQuiet()) {
      vi.advanceTimersByTime(pause)
      waited += pause
    }
    expect(waited).toBeGreaterThan(4900)
    expect(waited).toBeLessThan(5100)
    expect(isDone()).toBe(true)
  })
})
