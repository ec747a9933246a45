import { fc } from "../support/fast-check.ts"
import { statSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { E, isErrno } from "../../../clawfs/core/errno.ts"
import { SEEK_DATA, SEEK_HOLE } from "../../../clawfs/store/contents.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { INLINE_MAX } from "../../../clawfs/store/inline.ts"
import { S_IFREG, type Inode } from "../../../clawfs/store/inode.ts"
import { RECORD_MAX } from "../../../clawfs/store/record.ts"
import { META, newInode, type Store } from "../../../clawfs/store/store.ts"
import { firstDifference } from "../support/compare.ts"
import { makeFile, readFile, segmentFile, writeFile } from "../support/files.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { runs } from "../support/random.ts"
import { temporaryStore, type TemporaryStore } from "../support/temporary.ts"

const KIB = 1024
const FILES = 2

type Operation =
  | { kind: "write"; file: number; at: number; length: number; fill: number }
  | { kind: "resize"; file: number; at: number }
  | { kind: "punch" | "zero" | "allocate"; file: number; at: number; length: number; keepsSize: boolean }
  | { kind: "share"; file: number; at: number; length: number; into: number; to: number }
  | { kind: "abort"; file: number; at: number; length: number }
  | { kind: "remove"; file: number }
  | { kind: "reopen" }

/** Bytes that tell where they come from; none is zero, so that a hole is told from data. */
function pattern(fill: number, length: number): Buffer {
  const data = Buffer.alloc(length)
  for (let i = 0; i < length; i += 1) data[i] = ((i * 31 + fill * 7) % 255) + 1
  return data
}

/** Two files of a store beside two plain buffers that must always be equal to them. */
class Pair {
  readonly #place: TemporaryStore
  readonly #inos: number[] = []
  readonly #models: Buffer[] = []

  constructor(place: TemporaryStore) {
    this.#place = place
    for (let i = 0; i < FILES; i += 1) this.#create(i)
  }

  get store(): Store {
    return this.#place.store
  }

  inode(file: number): Inode {
    const inode = this.store.inodes.get(this.#inos[file] ?? 0)
    if (inode === undefined) throw new Error(`file ${file} is gone`)
    return inode
  }

  #model(file: number): Buffer {
    return this.#models[file] ?? Buffer.alloc(0)
  }

  #create(file: number): void {
    this.store.transact(() => {
      const inode = newInode(this.store.counters.allocateIno(), S_IFREG | 0o600, 0, 0, 0)
      inode.nlink = 0
      this.store.inodes.insert(inode)
      this.#inos[file] = inode.ino
    })
    this.#models[file] = Buffer.alloc(0)
  }

  /** One transaction over one file, which is saved as the filesystem would. */
  #change(file: number, change: (inode: Inode) => void): void {
    this.store.transact(() => {
      const inode = this.inode(file)
      change(inode)
      this.store.inodes.save(inode)
    })
  }

  /** The model grown to `size` with zeroes, never shortened. */
  #grown(file: number, size: number): Buffer {
    const model = this.#model(file)
    return model.length >= size ? model : Buffer.concat([model, Buffer.alloc(size - model.length)])
  }

  run(operation: Operation): void {
    switch (operation.kind) {
      case "write":
        this.#write(operation.file, operation.at, pattern(operation.fill, operation.length))
        break
      case "resize":
        this.#change(operation.file, (inode) => this.store.contents.resize(inode, operation.at))
        this.#models[operation.file] = this.#grown(operation.file, operation.at).subarray(0, operation.at)
        break
      case "punch":
      case "zero":
      case "allocate":
        this.#clearOrReserve(operation)
        break
      case "share":
        this.#share(operation)
        break
      case "abort":
        this.#abort(operation.file, operation.at, operation.length)
        break
      case "remove":
        this.store.release(this.inode(operation.file).ino)
        this.#create(operation.file)
        break
      case "reopen":
        this.#place.reopen()
    }
  }

  #write(file: number, at: number, data: Buffer): void {
    this.#change(file, (inode) => this.store.contents.write(inode, at, data))
    const model = Buffer.from(this.#grown(file, at + data.length))
    data.copy(model, at)
    this.#models[file] = model
  }

  #clearOrReserve({ kind, file, at, length, keepsSize }: Extract<Operation, { keepsSize: boolean }>): void {
    const end = at + length
    const grows = kind !== "punch" && !keepsSize
    this.#change(file, (inode) => {
      this.store.contents[kind](inode, at, end)
      if (grows) inode.size = Math.max(inode.size, end)
    })
    const model = Buffer.from(grows ? this.#grown(file, end) : this.#model(file))
    if (kind !== "allocate") model.fill(0, Math.min(at, model.length), Math.min(end, model.length))
    this.#models[file] = model
    const { contents } = this.store
    if (kind !== "punch") expect(contents.missing(this.inode(file), at, end)).toBe(0)
    else if (at < model.length) {
      const data = contents.seek(this.inode(file), at, SEEK_DATA)
      expect(isErrno(data) || data.offset >= end).toBe(true)
      expect(contents.missing(this.inode(file), at, end)).toBe(length)
    }
  }

  #share({ file, at, length: wanted, into, to }: Extract<Operation, { kind: "share" }>): void {
    const length = Math.min(wanted, this.#model(file).length - at)
    // The kernel refuses ranges of one file that overlap.
    if (length <= 0 || (file === into && Math.abs(at - to) < length)) return
    this.store.transact(() => {
      this.store.contents.share(this.inode(file), at, this.inode(into), to, length)
      this.store.inodes.save(this.inode(into))
    })
    const copied = Buffer.from(this.#model(file).subarray(at, at + length))
    const model = Buffer.from(this.#grown(into, to + length))
    copied.copy(model, to)
    this.#models[into] = model
  }

  /** A transaction that fails after its change: nothing of it may be seen. */
  #abort(file: number, at: number, length: number): void {
    const failing = (): void =>
      this.#change(file, (inode) => {
        this.store.contents.write(inode, at, pattern(99, length))
        this.store.contents.punch(inode, 0, at)
        throw new Error("in the middle")
      })
    expect(failing).toThrow("in the middle")
  }

  /** Everything that can be read is what the model says, and no hole is where bytes are. */
  check(): void {
    for (let file = 0; file < FILES; file += 1) {
      const [inode, model] = [this.inode(file), this.#model(file)]
      expect(inode.size).toBe(model.length)
      const all = Buffer.alloc(model.length, 0xee)
      this.store.contents.read(inode, 0, model.length, all, 0)
      expect(firstDifference(all, model)).toBe(-1)
      const [from, to] = [model.length >> 2, model.length - (model.length >> 3)]
      const part = Buffer.alloc(to - from + 2, 0xee)
      this.store.contents.read(inode, from, to - from, part, 1)
      expect(firstDifference(part.subarray(1, -1), model.subarray(from, to))).toBe(-1)
      expect([part[0], part.at(-1)]).toEqual([0xee, 0xee])
      this.#checkHoles(inode, model)
    }
  }

  #checkHoles(inode: Inode, model: Buffer): void {
    const { contents } = this.store
    for (let at = 0; at < model.length;) {
      const data = contents.seek(inode, at, SEEK_DATA)
      const next = isErrno(data) ? model.length : data.offset
      expect(isErrno(data) ? data : E.ENXIO).toBe(E.ENXIO)
      expect(model.subarray(at, next).every((byte) => byte === 0)).toBe(true)
      if (next >= model.length) break
      const hole = contents.seek(inode, next, SEEK_HOLE)
      if (isErrno(hole)) throw new Error("there is always a hole at the end")
      expect(hole.offset).toBeGreaterThan(next)
      at = hole.offset
    }
    expect(contents.seek(inode, model.length, SEEK_DATA)).toBe(E.ENXIO)
    expect(contents.seek(inode, model.length, SEEK_HOLE)).toBe(E.ENXIO)
  }

  dispose(): void {
    for (let file = 0; file < FILES; file += 1) this.store.release(this.inode(file).ino)
    this.store.transact(() => undefined)
  }
}

const file = fc.integer({ min: 0, max: FILES - 1 })
const edges = [0, 1, 100, 4095, 4096, 4097, INLINE_MAX - 1, INLINE_MAX, INLINE_MAX + 1, 20_000, RECORD_MAX]
const near = fc.tuple(fc.constantFrom(...edges, 2 * RECORD_MAX), fc.integer({ min: -2, max: 2 }))
const offset = fc.oneof(
  { weight: 3, arbitrary: fc.nat({ max: 24 * KIB }) },
  { weight: 3, arbitrary: near.map(([edge, by]) => Math.max(0, edge + by)) },
  { weight: 1, arbitrary: fc.nat({ max: 300 * KIB }) },
)
const length = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 6000 }) },
  { weight: 2, arbitrary: near.map(([edge, by]) => Math.max(1, edge + by)) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 200 * KIB }) },
)
const record = fc.record
const one = <T>(kind: T): fc.Arbitrary<T> => fc.constant(kind)
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 9,
    arbitrary: record({ kind: one("write" as const), file, at: offset, length, fill: fc.nat({ max: 50 }) }),
  },
  { weight: 3, arbitrary: record({ kind: one("resize" as const), file, at: offset }) },
  {
    weight: 5,
    arbitrary: record({
      kind: fc.constantFrom("punch" as const, "zero" as const, "allocate" as const),
      file,
      at: offset,
      length,
      keepsSize: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: record({ kind: one("share" as const), file, at: offset, length, into: file, to: offset }),
  },
  { weight: 1, arbitrary: record({ kind: one("abort" as const), file, at: offset, length }) },
  { weight: 1, arbitrary: record({ kind: one("remove" as const), file }) },
  { weight: 1, arbitrary: record({ kind: one("reopen" as const) }) },
)

describe("file contents beside a plain buffer", () => {
  let place: TemporaryStore | undefined
  afterAll(() => place?.[Symbol.dispose]())

  test("are equal to it after any operations, and every count of the store is right", () => {
    fc.assert(
      fc.property(fc.array(operation, { minLength: 1, maxLength: 25 }), (operations) => {
        place ??= temporaryStore()
        try {
          const pair = new Pair(place)
          for (const each of operations) {
            pair.run(each)
            pair.check()
          }
          expect(brokenInvariants(place.directory)).toEqual([])
          pair.dispose()
          expect(place.store.counters.bytes).toBe(0)
        } catch (thrown) {
          // A store that went wrong would hide what the next, smaller case shows.
          place[Symbol.dispose]()
          place = undefined
          throw thrown
        }
      }),
      { numRuns: runs(100) },
    )
  })
})

describe("the examples of docs/FORMAT.md", () => {
  /** "offset+length" of the inline piece and of each extent, then alloc and st_blocks. */
  function layout(place: TemporaryStore, inode: Inode): unknown[] {
    using db = new Database(join(place.directory, META), { readonly: true })
    const extents = db
      .query<[number], [number]>("SELECT length FROM extent WHERE body = ? ORDER BY offset")
      .all(inode.ino)
      .map(([length]) => length)
    const piece = inode.inlineLength === 0 ? "" : `${inode.inlineOffset}+${inode.inlineLength}`
    return [piece, extents, inode.alloc, inode.blocks]
  }

  test("are what happens", () => {
    using place = temporaryStore()
    const { store } = place
    const [empty, small, large] = [makeFile(store), makeFile(store), makeFile(store)]
    expect(layout(place, empty)).toEqual(["", [], 0, 0])
    writeFile(store, small, 0, pattern(1, 5000))
    expect(layout(place, small)).toEqual(["0+5000", [], 5000, 16])
    writeFile(store, large, 0, pattern(2, 300_000))
    expect(layout(place, large)).toEqual(["", [131_072, 131_072, 37_856], 300_000, 592])
    writeFile(store, large, 300_000, pattern(3, 100))
    expect(layout(place, large)).toEqual(["300000+100", [131_072, 131_072, 37_856], 300_100, 592])
    writeFile(store, large, 8192, pattern(4, 4096))
    const split = [8192, 4096, 118_784, 131_072, 37_856]
    expect(layout(place, large)).toEqual(["300000+100", split, 300_100, 592])
  })
})

describe("a copy of a range", () => {
  test("shares the records: no byte is written, and both files read the same", () => {
    using place = temporaryStore()
    const { store } = place
    const [source, target] = [makeFile(store), makeFile(store)]
    writeFile(store, source, 0, pattern(1, 300_000))
    const before = statSync(segmentFile(place.directory, 1)).size
    store.transact(() => {
      store.contents.share(source, 1000, target, 5, 250_000)
      store.inodes.save(target)
    })
    expect(statSync(segmentFile(place.directory, 1)).size).toBe(before)
    const copied = Buffer.concat([Buffer.alloc(5), pattern(1, 300_000).subarray(1000, 251_000)])
    expect(firstDifference(readFile(store, target), copied)).toBe(-1)
    writeFile(store, source, 0, pattern(2, 300_000))
    expect(firstDifference(readFile(store, target), copied)).toBe(-1)
    expect(brokenInvariants(place.directory)).toEqual([])
  })
})

describe("space that is given back", () => {
  test("by punching is not read again, and costs no more than its edges", () => {
    using place = temporaryStore()
    const { store } = place
    const inode = makeFile(store)
    writeFile(store, inode, 0, pattern(1, 300_000))
    store.transact(() => {
      store.contents.punch(inode, 4096, 290_000)
      store.inodes.save(inode)
    })
    expect([inode.alloc, store.counters.bytes, inode.size]).toEqual([14_096, 14_096, 300_000])
    const expected = pattern(1, 300_000).fill(0, 4096, 290_000)
    expect(firstDifference(readFile(store, inode), expected)).toBe(-1)
  })

  test("is none where the file grew without being written", () => {
    using place = temporaryStore()
    const inode = makeFile(place.store)
    place.store.transact(() => {
      place.store.contents.resize(inode, 2 ** 50)
      place.store.inodes.save(inode)
    })
    expect([inode.alloc, inode.size]).toEqual([0, 2 ** 50])
    expect(place.store.contents.seek(inode, 2 ** 49, SEEK_HOLE)).toEqual({ offset: 2 ** 49 })
    expect(place.store.contents.seek(inode, 0, SEEK_DATA)).toBe(E.ENXIO)
  })
})

test("an inline piece that is shorter than its inode says is damage, and nobody else's bytes", () => {
  for (const left of ["x''", "x'0000'"]) {
    using place = temporaryStore()
    const { ino } = makeFile(place.store)
    const inode = place.store.inodes.get(ino)
    if (inode !== undefined) writeFile(place.store, inode, 0, pattern(1, 100))
    {
      using db = new Database(join(place.directory, META))
      db.execute(`UPDATE inline SET data = ${left}`)
    }
    const store = place.reopen()
    const again = store.inodes.get(ino)
    expect(() => again && readFile(store, again)).toThrow(expect.objectContaining({ kind: "corrupt" }))
  }
})
