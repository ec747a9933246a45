import { describe, expect, test, vi } from "vitest"
import { Lookups, type LookupHeader } from "../../../clawfs/fs/lookups.ts"
import { Random, runs, seed } from "../support/random.ts"

/** The shared memory, as regions by their offset, and what is to be told of every word that is stored. */
const memory = vi.hoisted(() => ({
  regions: new Map<number, Uint32Array>(),
  onStore: (): void => undefined,
}))

vi.mock("../../../clawfs/sys/shared-memory.ts", () => ({
  SharedMapping: class {
    readonly words: Uint32Array
    #isMapped = true
    constructor(_fd: number, offset: number, length: number) {
      const region = memory.regions.get(offset) ?? new Uint32Array(length / 4)
      memory.regions.set(offset, region)
      const use = (): void => {
        if (!this.#isMapped) throw new Error("touching memory that is not mapped any more ends the process")
      }
      this.words = new Proxy(region, {
        get: (target, key) => {
          use()
          return Reflect.get(target, key, target) as unknown
        },
        set: (target, key, value) => {
          use()
          const isStored = Reflect.set(target, key, value, target)
          memory.onStore()
          return isStored
        },
      })
    }
    [Symbol.dispose](): void {
      this.#isMapped = false
    }
  },
  releaseSharedRange: (_fd: number, offset: number): void => {
    memory.regions.get(offset)?.fill(0)
    memory.onStore()
  },
}))

type Memory = Map<number, Uint32Array>

interface Copy {
  readonly regions: Memory
  readonly header: LookupHeader
}

/** A header whose words are shared memory too. */
function headerOf(log: number, used: number): LookupHeader {
  const words = { log, used }
  return {
    get log() {
      return words.log
    },
    set log(value) {
      words.log = value
      memory.onStore()
    },
    get used() {
      return words.used
    },
    set used(value) {
      words.used = value
      memory.onStore()
    },
  }
}

/** Runs `work` on a copy of the memory, as the next server would find it. */
function onCopy<T>({ regions, header }: Copy, work: (table: Lookups) => T): T {
  const { regions: before, onStore } = memory
  memory.regions = new Map([...regions].map(([offset, words]) => [offset, Uint32Array.from(words)]))
  memory.onStore = () => undefined
  try {
    return work(new Lookups(0, 0, headerOf(header.log, header.used)))
  } finally {
    memory.regions = before
    memory.onStore = onStore
  }
}

/** A table that is looked at after every store that it makes into shared memory. */
class Watched {
  readonly #header = headerOf(0, 0)
  readonly #table: Lookups
  /** What the kernel holds at the least while an operation is under way. */
  readonly held = new Map<number, number>()
  stores = 0

  constructor() {
    memory.regions = new Map()
    memory.onStore = () => undefined
    this.#table = new Lookups(0, 0, this.#header)
  }

  /** `look` sees a copy of every state in between; each is one that SIGKILL could leave. */
  watch(look: (copy: Copy) => void): void {
    memory.onStore = () => {
      this.stores += 1
      look({ regions: memory.regions, header: this.#header })
    }
  }

  /** The reply that tells the kernel is not sent before the count is made. */
  add(ino: number): void {
    this.#table.add(ino)
    this.held.set(ino, (this.held.get(ino) ?? 0) + 1)
  }

  /** The kernel has already forgotten when it says so. */
  subtract(ino: number, count: number): void {
    const left = (this.held.get(ino) ?? 0) - count
    if (left > 0) this.held.set(ino, left)
    else this.held.delete(ino)
    this.#table.subtract(ino, count)
  }

  /** The inodes of which fewer are counted than the kernel holds. */
  lost(table: Lookups): string[] {
    return [...this.held]
      .filter(([ino, count]) => table.get(ino) < count)
      .map(([ino, count]) => `inode ${ino}: the kernel holds ${count}, the table says ${table.get(ino)}`)
  }
}

/** Inodes that begin their search at the same slot of the smallest table: removing one moves the others. */
function colliding(count: number): number[] {
  const home = (low: number): number => {
    const h = Math.imul(low, 0x85ebca6b)
    return (h ^ (h >>> 15)) & 0xfff
  }
  const found: number[] = []
  for (let ino = 1; found.length < count; ino += 1) if (home(ino) === home(1)) found.push(ino)
  return found
}

describe("a server that is killed between any two stores", () => {
  test("leaves no count below what the kernel holds", () => {
    const random = new Random(seed)
    const inos = colliding(8) as [number, ...number[]]
    const lost: string[] = []
    const watched = new Watched()
    watched.watch((copy) => lost.push(...onCopy(copy, (table) => watched.lost(table))))
    for (let i = 0; i < runs(60); i += 1) {
      const ino = random.pick(inos)
      const held = watched.held.get(ino) ?? 0
      if (held === 0 || random.below(2) === 0) watched.add(ino)
      else watched.subtract(ino, 1 + random.below(held))
    }
    expect(watched.stores).toBeGreaterThan(100)
    expect(lost.slice(0, 3)).toEqual([])
  })

  test("leaves a table with which the next one can go on counting, growth included", () => {
    const inos = colliding(6)
    const lost: string[] = []
    const watched = new Watched()
    for (const ino of inos) watched.add(ino)
    watched.watch((copy) => {
      const found = onCopy(copy, (table) => {
        // The kernel goes on: one more of each, then so many others that the table has to grow.
        for (const ino of watched.held.keys()) table.add(ino)
        for (let ino = 1_000_000; ino < 1_002_600; ino += 1) table.add(ino)
        return [...watched.held].filter(([ino, count]) => table.get(ino) < count + 1)
      })
      lost.push(...found.map(([ino, count]) => `inode ${ino}: held ${count + 1} times`))
    })
    // Its removal moves those behind it up.
    watched.subtract(inos[0] ?? 0, 1)
    expect(watched.stores).toBeGreaterThan(10)
    expect(lost.slice(0, 3)).toEqual([])
  })

  test("while the table grows or shrinks leaves one whole table", () => {
    const lost: string[] = []
    const watched = new Watched()
    for (let ino = 1; ino <= 2457; ino += 1) watched.add(ino)
    let skipped = 0
    const look = (copy: Copy): void => {
      skipped += 1
      if (skipped % 401 === 0) lost.push(...onCopy(copy, (table) => watched.lost(table)))
    }
    watched.watch(look)
    watched.add(2458)
    const grown = watched.stores
    for (let ino = 2458; ino > 800; ino -= 1) watched.subtract(ino, 1)
    expect(grown).toBeGreaterThan(2458 * 4)
    expect(watched.stores - grown).toBeGreaterThan(800 * 4)
    expect(lost.slice(0, 3)).toEqual([])
  })
})
