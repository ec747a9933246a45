import {
  copyFileSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { Fault } from "../../../clawfs/core/fault.ts"
import { Counters } from "../../../clawfs/store/counters.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { INLINE_MAX } from "../../../clawfs/store/inline.ts"
import { RECORD_HEADER, RECORD_MAX } from "../../../clawfs/store/record.ts"
import { segmentOf } from "../../../clawfs/store/log-position.ts"
import { SEGMENT_HEADER } from "../../../clawfs/store/log-scan.ts"
import { Segments } from "../../../clawfs/store/segments.ts"
import { fillSums } from "../../../clawfs/store/row-sums.ts"
import { META, SEGMENTS, Store } from "../../../clawfs/store/store.ts"
import { firstDifference } from "../support/compare.ts"
import { readGolden, section } from "../support/golden.ts"
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
import { temporaryStore } from "../support/temporary.ts"

/** More than fits inline, so that it becomes a record. */
const BIG = Buffer.alloc(INLINE_MAX + 1000, "record")

/** The message of a Fault of kind "corrupt" that `run` throws. */
function damage(run: () => unknown): string {
  try {
    run()
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.kind === "corrupt") return thrown.message
    throw thrown
  }
  return "read without complaint"
}

describe("a segment file", () => {
  test("begins with the header that the format describes", () => {
    using place = temporaryStore()
    const uuid = Buffer.from("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf", "hex")
    // Segment 6 counts as full, so the first record begins segment 7.
    writeFileSync(segmentFile(place.directory, 6), "")
    using db = new Database(join(place.directory, META))
    using segments = new Segments(db, join(place.directory, SEGMENTS), uuid, new Counters(db), false)
    segments.append(1, 0, Buffer.from("x"))
    const written = readFileSync(segmentFile(place.directory, 7)).subarray(0, SEGMENT_HEADER)
    expect(written.toString("hex")).toBe(
      section(readGolden("record.hex"), "segment header").bytes.toString("hex"),
    )
  })

  test("is readable by its owner alone", () => {
    using place = temporaryStore()
    writeFile(place.store, makeFile(place.store), 0, BIG)
    expect(statSync(segmentFile(place.directory, 1)).mode & 0o777).toBe(0o600)
    expect(statSync(join(place.directory, SEGMENTS)).mode & 0o777).toBe(0o700)
  })

  test("grows by what was written and nothing else", () => {
    using place = temporaryStore()
    const inode = makeFile(place.store)
    writeFile(place.store, inode, 0, BIG)
    expect(statSync(segmentFile(place.directory, 1)).size).toBe(SEGMENT_HEADER + RECORD_HEADER + BIG.length)
    writeFile(place.store, inode, 10, Buffer.alloc(4096))
    expect(statSync(segmentFile(place.directory, 1)).size).toBe(
      SEGMENT_HEADER + 2 * RECORD_HEADER + BIG.length + 4096,
    )
  })

  test("goes on growing after a restart, behind whatever a crash left", () => {
    using place = temporaryStore()
    const inode = makeFile(place.store)
    writeFile(place.store, inode, 0, BIG)
    place.store[Symbol.dispose]()
    writeFileSync(segmentFile(place.directory, 1), "half a record", { flag: "a" })
    const store = place.reopen()
    const other = makeFile(store)
    writeFile(store, other, 0, BIG)
    expect(segmentFiles(place.directory)).toEqual(["00000001.seg"])
    expect(firstDifference(readFile(store, other), BIG)).toBe(-1)
    expect(brokenInvariants(place.directory)).toEqual([])
  })
})

describe("a damaged segment", () => {
  const withFile = (bend: (path: string, directory: string) => void): string => {
    using place = temporaryStore()
    const { ino } = makeFile(place.store)
    const before = place.store.inodes.get(ino)
    if (before === undefined) throw new Error("no inode")
    writeFile(place.store, before, 0, BIG)
    place.store[Symbol.dispose]()
    bend(segmentFile(place.directory, 1), place.directory)
    using store = Store.open(place.directory, { readOnly: true })
    const inode = store.inodes.get(ino)
    if (inode === undefined) throw new Error("no inode")
    const message = damage(() => readFile(store, inode))
    // A part of a record is no exception: it is verified as a whole.
    expect(damage(() => store.contents.read(inode, 5, 10, Buffer.alloc(10), 0))).toBe(message)
    return message
  }
  const flip =
    (at: number) =>
    (path: string): void => {
      const bytes = readFileSync(path)
      bytes[at] = (bytes[at] ?? 0) ^ 1
      writeFileSync(path, bytes)
    }

  test("with one bit flipped in a payload never gives that as data", () => {
    for (const at of [0, 1, BIG.length - 1])
      expect(withFile(flip(SEGMENT_HEADER + RECORD_HEADER + at))).toContain("is damaged")
  })

  test("with one bit flipped in a record's header gives no data", () => {
    expect(withFile(flip(SEGMENT_HEADER))).toContain("no valid header")
    expect(withFile(flip(SEGMENT_HEADER + 9))).toContain("is damaged")
    expect(withFile(flip(SEGMENT_HEADER + RECORD_HEADER - 1))).toContain("is damaged")
  })

  test("with one bit flipped in its own header gives no data", () => {
    for (const at of [0, 8, 12, 16, 40, SEGMENT_HEADER - 1])
      expect(withFile(flip(at))).toContain("damaged header")
  })

  test("that ends too early gives no data", () => {
    const cutAt =
      (size: number) =>
      (path: string): void =>
        truncateSync(path, size)
    expect(withFile(cutAt(SEGMENT_HEADER + RECORD_HEADER + BIG.length - 1))).toContain(
      "ends inside of a record",
    )
    expect(withFile(cutAt(SEGMENT_HEADER))).toContain("ends inside of a record")
    expect(withFile(cutAt(10))).toContain("damaged header")
  })

  test("that is missing, or is another segment under its name, gives no data", () => {
    expect(withFile((path) => rmSync(path))).toContain("can't be opened")
    const swapped = withFile((path, directory) => {
      using other = temporaryStore()
      writeFile(other.store, makeFile(other.store), 0, BIG)
      copyFileSync(segmentFile(other.directory, 1), segmentFile(directory, 1))
      expect(path).toBe(segmentFile(directory, 1))
    })
    expect(swapped).toContain("belongs to another store")
  })

  test("does not keep a store from being opened and written", () => {
    using place = temporaryStore()
    const lost = makeFile(place.store).ino
    const before = place.store.inodes.get(lost)
    if (before !== undefined) writeFile(place.store, before, 0, BIG)
    place.store[Symbol.dispose]()
    writeFileSync(segmentFile(place.directory, 1), "rubbish")
    const store = place.reopen()
    const inode = makeFile(store)
    writeFile(store, inode, 0, BIG)
    expect(firstDifference(readFile(store, inode), BIG)).toBe(-1)
    expect(segmentFiles(place.directory)).toEqual(["00000001.seg", "00000002.seg"])
    const old = store.inodes.get(lost)
    expect(damage(() => old && readFile(store, old))).toContain("damaged header")
  })
})

describe("a full segment", () => {
  test("is followed by the next number", () => {
    using place = temporaryStore()
    const first = makeFile(place.store)
    writeFile(place.store, first, 0, BIG)
    const store = fillSegment(place)
    const second = makeFile(store)
    writeFile(store, second, 0, Buffer.alloc(3 * RECORD_MAX, "x"))
    expect(segmentOf(store.logEnd)).toBe(2)
    expect(segmentFiles(place.directory)).toEqual(["00000001.seg", "00000002.seg"])
    expect(firstDifference(readFile(store, second), Buffer.alloc(3 * RECORD_MAX, "x"))).toBe(-1)
    const again = store.inodes.get(first.ino)
    expect(again && firstDifference(readFile(store, again), BIG)).toBe(-1)
    expect(brokenInvariants(place.directory)).toEqual([])
  })

  test("that nothing points to any more is told once, to be deleted", () => {
    using place = temporaryStore()
    const first = makeFile(place.store)
    writeFile(place.store, first, 0, BIG)
    const store = fillSegment(place)
    writeFile(store, makeFile(store), 0, BIG)
    expect(store.takeDeadSegments()).toEqual([])
    const inode = store.inodes.get(first.ino)
    if (inode !== undefined) removeFile(store, inode)
    expect(store.takeDeadSegments()).toEqual([1])
    expect(store.takeDeadSegments()).toEqual([])
    expect(brokenInvariants(place.directory)).toEqual([])
  })

  test("that was the newest is where the log ends, also when it is deleted and the store opened again", () => {
    using place = temporaryStore()
    const file = makeFile(place.store)
    // So much that it is given up as soon as it is dead.
    for (let at = 0; at < 12; at += 1)
      writeFile(place.store, file, at * RECORD_MAX, Buffer.alloc(RECORD_MAX, "x"))
    removeFile(place.store, file)
    expect(place.store.takeDeadSegments()).toEqual([1])
    rmSync(segmentFile(place.directory, 1))
    const end = place.store.logEnd
    const store = place.reopen()
    writeFile(store, makeFile(store), 0, Buffer.from("inline"))
    expect(store.logEnd).toBe(end)
    writeFile(store, makeFile(store), 0, BIG)
    expect(segmentOf(store.logEnd)).toBe(2)
    expect(store.logEnd).toBeGreaterThan(end)
    expect(brokenInvariants(place.directory)).toEqual([])
  })

  test("stays while one byte of it is shared with another file", () => {
    using place = temporaryStore()
    const first = makeFile(place.store)
    writeFile(place.store, first, 0, BIG)
    const store = fillSegment(place)
    const [from, to] = [store.inodes.get(first.ino), makeFile(store)]
    if (from === undefined) throw new Error("no inode")
    store.transact(() => {
      store.contents.share(from, 100, to, 0, 1)
      store.inodes.save(to)
    })
    writeFile(store, makeFile(store), 0, BIG)
    removeFile(store, from)
    expect(store.takeDeadSegments()).toEqual([])
    expect(firstDifference(readFile(store, to), BIG.subarray(100, 101))).toBe(-1)
    removeFile(store, to)
    expect(store.takeDeadSegments()).toEqual([1])
  })

  test("is given back while it is the newest too, once it holds 1 MiB that nobody needs", () => {
    using place = temporaryStore()
    const { store } = place
    const [small, large] = [makeFile(store), makeFile(store)]
    writeFile(store, small, 0, BIG)
    removeFile(store, small)
    expect(store.takeDeadSegments()).toEqual([])
    writeFile(store, large, 0, Buffer.alloc(1 << 20))
    expect(segmentFiles(place.directory)).toEqual(["00000001.seg"])
    removeFile(store, large)
    expect(store.takeDeadSegments()).toEqual([1])
    const next = makeFile(store)
    writeFile(store, next, 0, BIG)
    expect(segmentOf(store.logEnd)).toBe(2)
    expect(brokenInvariants(place.directory)).toEqual([])
  })

  test("that was deleted leaves its number unused, after a restart too", () => {
    using place = temporaryStore()
    for (const id of [1, 2]) {
      const inode = makeFile(place.store)
      writeFile(place.store, inode, 0, Buffer.alloc(1 << 20))
      removeFile(place.store, inode)
      expect(place.store.takeDeadSegments()).toEqual([id])
      rmSync(segmentFile(place.directory, id))
    }
    const store = place.reopen()
    writeFile(store, makeFile(store), 0, BIG)
    // The sync worker remembers by number what is on the disk already.
    expect(segmentOf(store.logEnd)).toBe(3)
  })
})

describe("many records", () => {
  test("are written and read with few calls, and each is verified", () => {
    using place = temporaryStore()
    const inode = makeFile(place.store)
    const data = Buffer.alloc(1 << 20, "0123456789abcdef-")
    // A request that begins inside of a record: nine of them in one append.
    writeFile(place.store, inode, 1000, data)
    expect(firstDifference(readFile(place.store, inode), Buffer.concat([Buffer.alloc(1000), data]))).toBe(-1)
    const store = place.reopen()
    const again = store.inodes.get(inode.ino)
    expect(again && firstDifference(readFile(store, again), Buffer.concat([Buffer.alloc(1000), data]))).toBe(
      -1,
    )
  })

  test("of 140 segments are found again, though no more than 128 files are kept open", () => {
    using place = temporaryStore()
    using db = new Database(join(place.directory, META))
    const open = (): Segments =>
      new Segments(db, join(place.directory, SEGMENTS), place.store.uuid, new Counters(db), false)
    for (let id = 1; id <= 140; id += 1) {
      using segments = open()
      const [piece] = segments.append(id, 0, Buffer.from(`payload ${id}`))
      expect(piece?.place).toMatchObject({ segment: id, position: SEGMENT_HEADER })
      truncateSync(segmentFile(place.directory, id), 64 * 1024 * 1024)
    }
    using segments = open()
    const descriptors = (): number => readdirSync("/proc/self/fd").length
    const before = descriptors()
    for (const id of [...Array(140).keys(), 0, 139, 64].map((i) => i + 1)) {
      const out = Buffer.alloc(`payload ${id}`.length)
      segments.records.readRun(
        [{ segment: id, position: SEGMENT_HEADER, length: out.length, sequence: 0 }],
        out,
        0,
      )
      expect(out.toString()).toBe(`payload ${id}`)
    }
    // Other test files share this process: their descriptors are not counted on.
    expect(descriptors() - before).toBeLessThan(138)
  })
})

test("a segment under the wrong number is not read from", () => {
  using place = temporaryStore()
  const inode = makeFile(place.store)
  writeFile(place.store, inode, 0, BIG)
  place.store[Symbol.dispose]()
  copyFileSync(segmentFile(place.directory, 1), segmentFile(place.directory, 2))
  {
    // Whatever lies behind the log's known end is deleted unseen.
    using db = new Database(join(place.directory, META))
    db.execute("UPDATE state SET log_end = 0")
    fillSums(db)
  }
  const store = place.reopen()
  const again = makeFile(store)
  writeFile(store, again, 0, BIG)
  expect(segmentFiles(place.directory)).toEqual(["00000001.seg", "00000002.seg", "00000003.seg"])
  expect(firstDifference(readFile(store, again), BIG)).toBe(-1)
})
