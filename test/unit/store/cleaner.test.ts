/** The cleaner: dead bytes come back, and no file notices. */
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import type { Inode } from "../../../clawfs/store/inode.ts"
import { RECORD_MAX } from "../../../clawfs/store/record.ts"
import { SEGMENTS, Store } from "../../../clawfs/store/store.ts"
import { firstDifference } from "../support/compare.ts"
import {
  fillSegment,
  makeFile,
  readFile,
  removeFile,
  segmentFile,
  segmentFiles,
  writeFile,
} from "../support/files.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { QuietLog } from "../support/log.ts"
import { Random, runs, seed } from "../support/random.ts"
import { temporaryStore, type TemporaryStore } from "../support/temporary.ts"

/** Moves everything that can be moved, commits, and deletes what is empty; the number of bytes that were copied. */
function cleanUp(store: Store, directory: string, step = 1 << 20): number {
  let copied = 0
  store.garbage.wantAll()
  for (;;) {
    const moved = store.clean(step)
    store.commit()
    for (const id of store.takeDeadSegments()) rmSync(segmentFile(directory, id))
    if (moved === 0) return copied
    copied += moved
  }
}

function logBytes(directory: string): number {
  return segmentFiles(directory).reduce(
    (sum, name) => sum + statSync(join(directory, SEGMENTS, name)).size,
    0,
  )
}

/** Two files of ten records each, written in turns, then one of them deleted: half of the segment is dead. */
function halfDead(place: TemporaryStore): { store: Store; kept: Inode; bytes: Buffer } {
  const [kept, gone] = [makeFile(place.store), makeFile(place.store)]
  const bytes = Buffer.alloc(10 * RECORD_MAX, "k")
  for (let at = 0; at < bytes.length; at += RECORD_MAX) {
    bytes.writeUInt32LE(at, at)
    writeFile(place.store, kept, at, bytes.subarray(at, at + RECORD_MAX))
    writeFile(place.store, gone, at, Buffer.alloc(RECORD_MAX, "g"))
  }
  const id = gone.ino
  const store = fillSegment(place)
  // Something in the next segment, so that the first is complete.
  writeFile(store, makeFile(store), 0, Buffer.alloc(RECORD_MAX, "n"))
  const inode = store.inodes.get(id)
  if (inode !== undefined) removeFile(store, inode)
  const again = store.inodes.get(kept.ino)
  if (again === undefined) throw new Error("no inode")
  return { store, kept: again, bytes }
}

test("where all is asked for, the segment that is being filled gives its dead bytes back too, if that pays", () => {
  using place = temporaryStore()
  const { store, directory } = place
  const [kept, gone, small] = [makeFile(store), makeFile(store), makeFile(store)]
  const bytes = Buffer.alloc(10 * RECORD_MAX, "k")
  writeFile(store, kept, 0, bytes)
  writeFile(store, small, 0, Buffer.alloc(RECORD_MAX, "s"))
  removeFile(store, small)
  expect(store.garbage.wholeLogSpace.dead).toBeGreaterThan(RECORD_MAX)
  expect(cleanUp(store, directory)).toBe(0)
  writeFile(store, gone, 0, Buffer.alloc(10 * RECORD_MAX, "g"))
  removeFile(store, gone)
  expect(store.garbage.wholeLogSpace.live).toBe(bytes.length)
  expect(store.garbage.logSpace).toEqual({ live: 0, dead: 0 })
  expect(cleanUp(store, directory)).toBe(bytes.length)
  expect(logBytes(directory)).toBeLessThan(bytes.length + 4096)
  expect(store.garbage.wholeLogSpace.dead).toBeLessThan(4096)
  expect(readFile(place.reopen(), kept).equals(bytes)).toBe(true)
  expect(brokenInvariants(directory)).toEqual([])
  expect(cleanUp(place.store, directory)).toBe(0)
})

describe("cleaning", () => {
  test("gives back a segment that is half dead, and the file that is left is the same", () => {
    using place = temporaryStore()
    const { store, kept, bytes } = halfDead(place)
    expect(store.garbage.logSpace.live).toBe(bytes.length)
    expect(cleanUp(store, place.directory)).toBe(bytes.length)
    expect(segmentFiles(place.directory)).toEqual(["00000002.seg"])
    expect(firstDifference(readFile(store, kept), bytes)).toBe(-1)
    expect(brokenInvariants(place.directory)).toEqual([])
    expect(store.garbage.isDue).toBe(false)
  })

  test("copies of a record only what something points to", () => {
    using place = temporaryStore()
    const { store, kept, bytes } = halfDead(place)
    for (let at = 0; at < bytes.length; at += RECORD_MAX) {
      store.transact(() => {
        store.contents.punch(kept, at, at + 100_000)
        store.inodes.save(kept)
      })
      bytes.fill(0, at, at + 100_000)
    }
    expect(cleanUp(store, place.directory)).toBe(10 * (RECORD_MAX - 100_000))
    expect(firstDifference(readFile(store, kept), bytes)).toBe(-1)
    expect(brokenInvariants(place.directory)).toEqual([])
  })

  test("leaves shared records shared", () => {
    using place = temporaryStore()
    const { store, kept, bytes } = halfDead(place)
    const twin = makeFile(store)
    store.transact(() => {
      store.contents.share(kept, 0, twin, 0, bytes.length)
      store.inodes.save(twin)
    })
    const before = logBytes(place.directory)
    expect(cleanUp(store, place.directory)).toBe(bytes.length)
    expect(logBytes(place.directory)).toBeLessThan(before)
    expect(firstDifference(readFile(store, twin), bytes)).toBe(-1)
    expect(firstDifference(readFile(store, kept), bytes)).toBe(-1)
    expect(brokenInvariants(place.directory)).toEqual([])
  })

  test("in small steps, with a restart before each commit and after it, ends the same", () => {
    using place = temporaryStore()
    const { kept, bytes } = halfDead(place)
    let store = place.reopen()
    for (let round = 0; round < 40; round += 1) {
      store.garbage.wantAll()
      const moved = store.clean(200_000)
      if (round % 3 !== 0) store.commit()
      for (const id of store.takeDeadSegments()) rmSync(segmentFile(place.directory, id))
      if (moved === 0) break
      store = place.reopen()
    }
    const inode = store.inodes.get(kept.ino)
    expect(inode && firstDifference(readFile(store, inode), bytes)).toBe(-1)
    expect(brokenInvariants(place.directory)).toEqual([])
  })

  test("leaves a damaged record where it is, tells of it, and moves the others", () => {
    using place = temporaryStore()
    halfDead(place)
    const path = segmentFile(place.directory, 1)
    const damaged = readFileSync(path)
    damaged[500] = (damaged[500] ?? 0) ^ 1
    writeFileSync(path, damaged)
    place.store[Symbol.dispose]()
    const log = new QuietLog()
    const store = place.reopen({ log })
    expect(cleanUp(store, place.directory)).toBe(9 * RECORD_MAX)
    expect(log.take()).toEqual(["a damaged record can't be moved"])
    expect(segmentFiles(place.directory)).toContain("00000001.seg")
    expect(brokenInvariants(place.directory)).toEqual([])
  })

  test("is not due for a few dead bytes", () => {
    using place = temporaryStore()
    const { store } = halfDead(place)
    store.garbage.wantAll()
    cleanUp(store, place.directory)
    expect(store.garbage.isDue).toBe(false)
    expect(store.clean(1 << 20)).toBe(0)
  })
})

test("whatever is written, punched, cut, shared and deleted, cleaning changes no byte, and little that is dead stays", () => {
  for (let round = 0; round < runs(4); round += 1) {
    using place = temporaryStore()
    const random = new Random(seed + round)
    const files = new Map<number, Buffer>()
    let { store } = place
    for (let i = 0; i < 120; i += 1) {
      change(store, random, files)
      if (random.below(30) === 0) store = fillSegment(place)
      if (random.below(10) === 0) {
        store.garbage.wantAll()
        store.clean(random.below(500_000))
        store.commit()
      }
      for (const id of store.takeDeadSegments()) rmSync(segmentFile(place.directory, id))
    }
    cleanUp(store, place.directory)
    for (const [ino, bytes] of files) {
      const inode = store.inodes.get(ino)
      expect(inode && firstDifference(readFile(store, inode), bytes)).toBe(-1)
    }
    expect(brokenInvariants(place.directory)).toEqual([])
    const { live, dead } = store.garbage.logSpace
    expect(dead).toBeLessThanOrEqual(0.03 * live + 100_000)
  }
})

function change(store: Store, random: Random, files: Map<number, Buffer>): void {
  const known = [...files.keys()]
  const ino = known[random.below(known.length + 2)]
  const inode = ino === undefined ? makeFile(store) : store.inodes.get(ino)
  if (inode === undefined) throw new Error("no inode")
  const bytes = files.get(inode.ino) ?? Buffer.alloc(0)
  const offset = random.below(400_000)
  const length = 1 + random.below(300_000)
  const grown = Buffer.alloc(Math.max(bytes.length, offset + length))
  bytes.copy(grown)
  const kind = ino === undefined ? 0 : random.below(5)
  if (kind <= 1) {
    grown.fill(1 + random.below(255), offset, offset + length)
    writeFile(store, inode, offset, grown.subarray(offset, offset + length))
    files.set(inode.ino, grown)
  } else if (kind === 2) {
    removeFile(store, inode)
    files.delete(inode.ino)
  } else if (kind === 3) {
    store.transact(() => {
      store.contents.punch(inode, offset, offset + length)
      store.inodes.save(inode)
    })
    files.set(
      inode.ino,
      Buffer.from(bytes.fill(0, Math.min(offset, bytes.length), Math.min(offset + length, bytes.length))),
    )
  } else {
    const size = random.below(bytes.length + 1)
    store.transact(() => {
      store.contents.resize(inode, size)
      store.inodes.save(inode)
    })
    files.set(inode.ino, Buffer.from(bytes.subarray(0, size)))
  }
}
