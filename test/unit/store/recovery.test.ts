/** The start after a power cut: copies of a store that is in use, with a part of its bytes missing. */
import { cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { Database } from "../../../clawfs/store/database.ts"
import type { NodeId } from "../../../clawfs/core/brand.ts"
import { positionOf, segmentOf } from "../../../clawfs/store/log-position.ts"
import { recoverFromPowerCut } from "../../../clawfs/store/recovery.ts"
import { META, Store } from "../../../clawfs/store/store.ts"
import { fc } from "../support/fast-check.ts"
import { firstDifference } from "../support/compare.ts"
import { fillSegment, makeFile, readFile, segmentFile, writeFile } from "../support/files.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { QuietLog } from "../support/log.ts"
import { temporary, temporaryStore, type Temporary, type TemporaryStore } from "../support/temporary.ts"

interface Written {
  readonly ino: NodeId
  readonly bytes: Buffer
  /** Where the log ended when the file was committed. */
  readonly end: number
}

/** Files of growing size, a commit each (two: made, then written). */
function writeSome(store: Store, count: number): Written[] {
  return Array.from({ length: count }, (_, i) => {
    const inode = makeFile(store)
    const bytes = Buffer.alloc(20_000 + 30_000 * (i % 5), i + 1)
    writeFile(store, inode, 0, bytes)
    return { ino: inode.ino, bytes, end: store.logEnd }
  })
}

/** What a power cut would leave: the store is still open. */
function cutPower(from: TemporaryStore, to: Temporary): string {
  const directory = join(to.path, "store")
  rmSync(directory, { recursive: true, force: true })
  cpSync(from.directory, directory, { recursive: true })
  rmSync(join(directory, `${META}-shm`), { force: true })
  return directory
}

/** Files up to `good` are whole, the others have never been written. */
function expectPrefix(directory: string, files: readonly Written[], good: number): void {
  using store = Store.open(directory)
  for (const { ino, bytes, end } of files) {
    const inode = store.inodes.get(ino)
    if (end <= good) expect(inode && firstDifference(readFile(store, inode), bytes)).toBe(-1)
    else expect(inode?.size ?? 0).toBe(0)
  }
  expect(brokenInvariants(directory)).toEqual([])
}

test("a log that arrived whole loses no commit", () => {
  using place = temporaryStore()
  using copy = temporary()
  const files = writeSome(place.store, 8)
  const directory = cutPower(place, copy)
  expect(recoverFromPowerCut(directory)).toMatchObject({ undone: 0 })
  expectPrefix(directory, files, Infinity)
})

test("wherever the log breaks off, the store is as it was when that was all of it", () => {
  using place = temporaryStore()
  using copy = temporary()
  const files = writeSome(place.store, 8)
  const size = positionOf(place.store.logEnd)
  fc.assert(
    fc.property(fc.integer({ min: 0, max: size }), fc.boolean(), (at, isCut) => {
      const directory = cutPower(place, copy)
      const path = segmentFile(directory, 1)
      if (isCut) truncateSync(path, at)
      else {
        const bytes = readFileSync(path)
        bytes.fill(0, at, Math.min(at + 512, size))
        writeFileSync(path, bytes)
      }
      const recovery = recoverFromPowerCut(directory)
      const good = files.filter(({ end }) => positionOf(end) <= at).at(-1)?.end ?? 0
      expect(recovery?.undone === 0).toBe(at === size)
      expectPrefix(directory, files, good)
    }),
    { numRuns: 60 },
  )
})

test("a WAL that breaks off takes what the log has more of along", () => {
  using place = temporaryStore()
  using copy = temporary()
  const files = writeSome(place.store, 6)
  const size = readFileSync(join(place.directory, `${META}-wal`)).length
  fc.assert(
    fc.property(fc.nat({ max: size }), (at) => {
      const directory = cutPower(place, copy)
      truncateSync(join(directory, `${META}-wal`), at)
      recoverFromPowerCut(directory)
      using store = Store.open(directory)
      for (const { ino, bytes } of files) {
        const inode = store.inodes.get(ino)
        if (inode !== undefined && inode.size > 0)
          expect(firstDifference(readFile(store, inode), bytes)).toBe(-1)
      }
      // What is written next is not mistaken for something else.
      const next = writeSome(store, 2)
      for (const { ino, bytes } of next) {
        const inode = store.inodes.get(ino)
        expect(inode && firstDifference(readFile(store, inode), bytes)).toBe(-1)
      }
      expect(brokenInvariants(directory)).toEqual([])
    }),
    { numRuns: 40 },
  )
})

test("a segment that never got its name is as good as one that is empty", () => {
  using place = temporaryStore()
  using copy = temporary()
  const files = writeSome(place.store, 3)
  const store = fillSegment(place)
  const later = writeSome(store, 3)
  expect(segmentOf(store.logEnd)).toBe(2)
  const directory = cutPower(place, copy)
  rmSync(segmentFile(directory, 2))
  // The first segment was filled by force, with a hole that is no record.
  expect(recoverFromPowerCut(directory)?.undone).toBeGreaterThan(0)
  expectPrefix(directory, [...files, ...later], files.at(-1)?.end ?? 0)
})

test("going back goes further when what an earlier commit rests on has not arrived either", () => {
  using place = temporaryStore()
  using copy = temporary()
  const { store } = place
  const large = makeFile(store)
  const piece = Buffer.alloc(1024 * 1024, 7)
  for (let at = 0; at < 65; at += 1) writeFile(store, large, at * piece.length, piece)
  const early = writeSome(store, 1)
  const torn = writeSome(store, 1)
  store.transact(() => {
    store.contents.resize(large, 0)
    store.inodes.save(large)
  })
  expect(segmentOf(store.logEnd)).toBe(2)
  const directory = cutPower(place, copy)
  // The newest commit needs nothing of the first segment; the one before the torn record needs all of it.
  writeFileSync(segmentFile(directory, 1), "")
  truncateSync(segmentFile(directory, 2), positionOf(torn[0]?.end ?? 0) - 1)
  expect(recoverFromPowerCut(directory)?.undone).toBeGreaterThan(65)
  expectPrefix(directory, [...early, ...torn], 0)
})

test("what was synced before is not looked at: damage there is no reason to go back", () => {
  using place = temporaryStore()
  using copy = temporary()
  let synced = 0
  const store = place.reopen({ logSynced: () => synced })
  const before = writeSome(store, 3)
  synced = store.logEnd
  const after = writeSome(store, 3)
  const directory = cutPower(place, copy)
  const path = segmentFile(directory, 1)
  const bytes = readFileSync(path)
  bytes.fill(0xff, 1000, 2000)
  writeFileSync(path, bytes)
  expect(recoverFromPowerCut(directory)).toMatchObject({ undone: 0 })
  using opened = Store.open(directory)
  for (const { ino } of [...before, ...after]) expect(opened.inodes.get(ino)?.size).toBeGreaterThan(0)
})

test("commits that are in the database already are never cut off, and the damage is told", () => {
  using place = temporaryStore()
  using copy = temporary()
  const files = writeSome(place.store, 3)
  using other = new Database(join(place.directory, META))
  other.checkpoint("PASSIVE")
  const directory = cutPower(place, copy)
  truncateSync(segmentFile(directory, 1), 100)
  const log = new QuietLog()
  expect(recoverFromPowerCut(directory, log)).toMatchObject({ undone: 0 })
  expect(log.take()).toContainEqual(expect.stringContaining("damaged"))
  using opened = Store.open(directory)
  for (const { ino, bytes } of files) expect(opened.inodes.get(ino)?.size).toBe(bytes.length)
})

test("a store that was closed has nothing to recover", () => {
  using place = temporaryStore()
  writeSome(place.store, 2)
  place.store[Symbol.dispose]()
  expect(recoverFromPowerCut(place.directory)).toBeUndefined()
})
