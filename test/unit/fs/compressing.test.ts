/** Files of a compressed tree: programs notice nothing, the log gets shorter, and its dead bytes come back. */
import { rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { compressBelow, showCompression, stopCompressing } from "../../../clawfs/fs/compressing.ts"
import { setQuota } from "../../../clawfs/fs/limits.ts"
import { compressionStats } from "../../../clawfs/store/compression-stats.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { fillSums } from "../../../clawfs/store/row-sums.ts"
import { META, SEGMENTS } from "../../../clawfs/store/store.ts"
import { firstDifference } from "../support/compare.ts"
import { segmentFile, segmentFiles } from "../support/files.ts"
import { TestFileSystem, ok } from "../support/filesystem.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { Random, runs, seed } from "../support/random.ts"

const MIB = 1 << 20
const TEXT = Buffer.alloc(4 * MIB, "a line that comes again and again, as in most files that people have\n")

let fs: TestFileSystem

beforeEach(() => {
  fs = new TestFileSystem()
  for (const path of ["top", "top/sub", "plain"]) ok(fs.mkdir(path))
  compressBelow(fs.store, fs.at("top").ino, 3)
})

afterEach(() => {
  fs.store.settle()
  expect(brokenInvariants(fs.directory)).toEqual([])
  fs[Symbol.dispose]()
})

const stats = (path = "top"): { bytes: number; storedBytes: number } => {
  fs.store.settle()
  using db = new Database(join(fs.directory, META), { readonly: true })
  return compressionStats(db, fs.store.inodes.get(fs.at(path).ino)?.tree ?? 0)
}

function file(path: string, data: Buffer): number {
  const { ino } = ok(fs.mknod(path))
  write(ino, 0, data)
  return ino
}

/** As the kernel sends it: in requests of 1 MiB at most. */
function write(ino: number, offset: number, data: Buffer): void {
  for (let at = 0; at < data.length; at += MIB)
    expect(fs.write(ino, offset + at, data.subarray(at, at + MIB))).toBe("OK")
}

function read(ino: number, length: number): Buffer {
  const [parts, step]: [Buffer[], number] = [[], MIB / 2]
  for (let offset = 0; offset < length; offset += step)
    parts.push(Buffer.from(fs.read(ino, { offset, size: Math.min(step, length - offset) }), "latin1"))
  return Buffer.concat(parts)
}

function logBytes(): number {
  const sizes = segmentFiles(fs.directory).map((name) => statSync(join(fs.directory, SEGMENTS, name)).size)
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** All that pays comes back; the number of bytes that were moved for it. */
function clean(): number {
  let moved = 0
  fs.store.garbage.wantAll()
  for (;;) {
    const some = fs.store.clean(MIB)
    fs.store.commit()
    for (const id of fs.store.takeDeadSegments()) rmSync(segmentFile(fs.directory, id))
    if (some === 0) return moved
    moved += some
    expect(moved).toBeLessThan(1000 * MIB)
  }
}

describe("a compressed tree", () => {
  test("stores less, shows the same, and takes what it takes to the limits", () => {
    const ino = file("top/sub/text", TEXT)
    expect(firstDifference(read(ino, TEXT.length), TEXT)).toBe(-1)
    expect(stats()).toMatchObject({ bytes: TEXT.length })
    expect(stats().storedBytes).toBeLessThan(TEXT.length / 50)
    expect(logBytes()).toBeLessThan(TEXT.length / 20)
    expect(fs.at("top/sub/text").blocks).toBe(TEXT.length / 512)
    expect(fs.store.space().usedBytes).toBe(TEXT.length)
    fs.restart()
    expect(firstDifference(read(ino, TEXT.length), TEXT)).toBe(-1)
  })

  test("compresses nothing outside, and nothing that was there before", () => {
    file("plain/text", TEXT)
    const shared = file("top/shared", TEXT)
    const target = ok(fs.mknod("plain/copy")).ino
    ok(fs.fs.copyFileRange(fs.request(shared), { offset: 0, target, targetOffset: 0, length: TEXT.length }))
    expect(firstDifference(read(target, TEXT.length), TEXT)).toBe(-1)
    expect(logBytes()).toBeGreaterThan(TEXT.length)
    expect(stats("plain").storedBytes).toBeGreaterThan(TEXT.length)
  })

  test("leaves data alone that does not shrink, and tries again later", () => {
    const noise = new Random(seed).bytes(MIB / 2)
    const ino = file("top/noise", noise)
    expect(stats()).toEqual({ bytes: noise.length, storedBytes: noise.length })
    write(ino, noise.length, TEXT.subarray(0, MIB / 4))
    expect(stats().storedBytes).toBe(noise.length + MIB / 4)
    write(ino, noise.length, TEXT.subarray(0, 3 * MIB))
    expect(stats().storedBytes).toBeLessThan(noise.length + MIB)
  })

  test("stops when it is told to, and is an ordinary directory again", () => {
    expect(stopCompressing(fs.store, fs.at("top").ino)).toEqual({ level: undefined, tree: 0 })
    file("top/text", TEXT)
    expect(logBytes()).toBeGreaterThan(TEXT.length)
    expect(fs.rename("top/text", "plain/text")).toBe("OK")
    expect(stopCompressing(fs.store, fs.at("top").ino)).toEqual({ level: undefined, tree: 0 })
  })

  test("hands its level to the trees in it, unless they have another or none", () => {
    const { ino } = fs.at("top/sub")
    setQuota(fs.store, ino, { bytes: 100 * MIB })
    expect(showCompression(fs.store, ino)).toEqual({ level: 3, tree: ino })
    expect(compressBelow(fs.store, ino, 9).level).toBe(9)
    expect(stopCompressing(fs.store, ino).level).toBeUndefined()
    file("top/sub/text", TEXT)
    expect(logBytes()).toBeGreaterThan(TEXT.length)
    stopCompressing(fs.store, fs.at("top").ino)
    expect(compressBelow(fs.store, fs.at("top").ino, 1).level).toBe(1)
    expect(showCompression(fs.store, ino).level).toBeUndefined()
    expect(stats("top/sub").bytes).toBe(TEXT.length)
  })
})

test("records that are used in parts only are stored again as those parts", () => {
  const ino = file("top/text", TEXT)
  const model = Buffer.from(TEXT)
  const random = new Random(seed)
  // Every record of 128 KiB keeps some of its blocks.
  for (let at = 0; at < 700; at += 1) {
    const block = random.bytes(4096)
    const offset = random.below(TEXT.length / 4096) * 4096
    block.copy(model, offset)
    expect(fs.write(ino, offset, block)).toBe("OK")
  }
  expect(firstDifference(read(ino, model.length), model)).toBe(-1)
  completeSegment()
  clean()
  const { storedBytes } = stats()
  expect(logBytes()).toBeLessThan(1.1 * storedBytes + MIB)
  expect(firstDifference(read(ino, model.length), model)).toBe(-1)
  completeSegment()
  expect(clean()).toBe(0)
})

test("records that shrink to less than their headers are not moved for ever", () => {
  file("top/zeroes", Buffer.alloc(16 * MIB))
  completeSegment()
  const { live, dead } = fs.store.garbage.logSpace
  expect(dead).toBeGreaterThan(live)
  expect(clean()).toBe(0)
})

/** The cleaner may have what has been written so far: the next record begins another segment. */
function completeSegment(): void {
  fs.store.settle()
  {
    // As if a segment had been deleted that was begun behind this one.
    using db = new Database(join(fs.directory, META))
    db.execute("UPDATE state SET last_segment = last_segment + 1")
    fillSums(db)
  }
  fs.restart()
}

test("whatever is done to files, they are as if nothing were compressed", () => {
  const random = new Random(seed)
  const models = new Map<string, Buffer>()
  const names = ["a", "b", "sub/c"] as const
  for (const name of names) {
    ok(fs.mknod(`top/${name}`))
    models.set(name, Buffer.alloc(0))
  }
  const grown = (model: Buffer, size: number): Buffer => {
    const bytes = Buffer.alloc(Math.max(size, model.length))
    model.copy(bytes)
    return bytes
  }
  for (let step = 0; step < runs(400); step += 1) {
    const name = random.pick(names)
    const [{ ino }, model] = [fs.at(`top/${name}`), models.get(name) ?? Buffer.alloc(0)]
    const offset = random.below(random.below(2) === 0 ? 600_000 : model.length + 1)
    const length = 1 + random.below(random.pick([300, 5000, 300_000]))
    const kind = random.below(10)
    if (kind === 0) {
      ok(fs.setattr(ino, { size: offset }))
      models.set(name, grown(model, offset).subarray(0, offset))
    } else if (kind === 1) {
      ok(fs.fs.fallocate(fs.request(ino), 3, offset, length))
      const holed = Buffer.from(model)
      models.set(name, holed.fill(0, Math.min(offset, model.length), Math.min(offset + length, model.length)))
    } else if (kind === 2) {
      completeSegment()
      fs.store.garbage.wantAll()
      fs.store.clean(1 << 18)
    } else if (kind === 3) {
      fs.restart()
    } else {
      const data = kind < 6 ? random.bytes(length) : Buffer.from(TEXT.subarray(step, step + length))
      write(ino, offset, data)
      const bytes = grown(model, offset + data.length)
      data.copy(bytes, offset)
      models.set(name, bytes)
    }
    if (step % 40 === 0) {
      fs.store.settle()
      expect(brokenInvariants(fs.directory)).toEqual([])
    }
  }
  for (const [name, model] of models)
    expect(firstDifference(read(fs.at(`top/${name}`).ino, model.length), model), name).toBe(-1)
})
