/** Limits of trees: nothing goes beyond them, nothing that fits is refused, and a refused operation has changed nothing. */
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { clone } from "../../../clawfs/fs/clone.ts"
import { removeQuota, setQuota, showQuota, type Limits } from "../../../clawfs/fs/limits.ts"
import { restore } from "../../../clawfs/fs/restore.ts"
import { createSnapshot } from "../../../clawfs/fs/snapshots.ts"
import { RenameFlag } from "../../../clawfs/fuse/abi.ts"
import { TestFileSystem, ok, outcome } from "../support/filesystem.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { picture } from "../support/picture.ts"
import { Random, runs, seed } from "../support/random.ts"
import { anyStep } from "../support/tree-steps.ts"

const LARGE = 300_000

let fs: TestFileSystem

beforeEach(() => {
  fs = new TestFileSystem()
  ok(fs.mkdir("top"))
  ok(fs.mkdir("top/sub"))
})

afterEach(() => {
  fs.store.settle()
  expect(brokenInvariants(fs.directory)).toEqual([])
  fs[Symbol.dispose]()
})

function limit(path: string, limits: Limits): void {
  setQuota(fs.store, fs.at(path).ino, limits)
}

function used(path = "top"): { bytes: number; inodes: number } {
  const { usedBytes, usedInodes } = showQuota(fs.store, fs.at(path).ino)
  return { bytes: usedBytes, inodes: usedInodes }
}

function file(path: string, bytes = 0): number {
  const { ino } = ok(fs.mknod(path))
  if (bytes > 0) expect(fs.write(ino, 0, Buffer.alloc(bytes, "x"))).toBe("OK")
  return ino
}

/** Everything that programs can see, without the times. */
function seen(): string[] {
  fs.store.settle()
  return picture(fs.directory)
}

/** What adds bytes to `top`, which holds a file with one inline piece and one with records: and how many. */
const GROWTHS: readonly (readonly [name: string, bytes: number, run: (a: number, b: number) => string])[] = [
  ["a write behind the end", 100, (a) => fs.write(a, 5000, Buffer.alloc(100))],
  ["a write that leaves a small hole, which is stored", 1100, (a) => fs.write(a, 6000, Buffer.alloc(100))],
  ["a write that makes records", 20_000, (a) => fs.write(a, 5000, Buffer.alloc(20_000))],
  ["a write half over the end", 50, (a) => fs.write(a, 4950, Buffer.alloc(100))],
  ["a write behind records", 100, (_, b) => fs.write(b, LARGE, Buffer.alloc(100))],
  ["a write of records behind records", 9000, (_, b) => fs.write(b, LARGE - 1000, Buffer.alloc(10_000))],
  ["a write far behind the end", 100, (_, b) => fs.write(b, 2 * LARGE, Buffer.alloc(100))],
  ["fallocate", 4000, (a) => outcome(fs.fs.fallocate(fs.request(a), 0, 4000, 5000))],
  ["fallocate that keeps the size", 5000, (a) => outcome(fs.fs.fallocate(fs.request(a), 1, 5000, 5000))],
  ["zeroing a range", 4000, (a) => outcome(fs.fs.fallocate(fs.request(a), 0x10, 4000, 5000))],
  ["sharing records", 9000, (a, b) => copy(b, 0, a, 0, 14_000)],
  ["sharing an inline piece", 1500, (a, b) => copy(a, 0, b, LARGE - 3500, 5000)],
]

function copy(source: number, offset: number, to: number, targetOffset: number, length: number): string {
  const target = ok(fs.fs.getattr(fs.request(to))).ino
  return outcome(fs.fs.copyFileRange(fs.request(source), { offset, target, targetOffset, length }))
}

describe.each(GROWTHS)("%s", (_, bytes, run) => {
  test.each([0, 1])("fits exactly, and not by a byte more (%i)", (missing) => {
    const [a, b] = [file("top/a", 5000), file("top/sub/b", LARGE)]
    limit("top", { bytes: 5000 + LARGE + bytes - missing })
    const before = seen()
    if (missing === 0) {
      expect(run(a, b)).toBe("OK")
      expect(used().bytes).toBe(5000 + LARGE + bytes)
      return
    }
    expect(run(a, b)).toBe("EDQUOT")
    expect(seen()).toEqual(before)
    expect(fs.write(b, 0, Buffer.alloc(LARGE, "y"))).toBe("OK")
    expect(fs.write(a, 5000, Buffer.alloc(bytes - 1))).toBe("OK")
    expect(fs.write(b, LARGE, "y")).toBe("EDQUOT")
  })
})

describe.each([
  ["mknod", () => outcome(fs.mknod("top/sub/new"))],
  ["mkdir", () => outcome(fs.mkdir("top/new"))],
  ["symlink", () => outcome(fs.symlink("top/new", "target"))],
  ["tmpfile", () => outcome(fs.fs.tmpfile(fs.request(fs.at("top").ino), { mode: 0o600, umask: 0, rdev: 0 }))],
  ["a rename that leaves a whiteout", () => fs.rename("top/a", "top/b", RenameFlag.WHITEOUT)],
])("%s", (_, run) => {
  test("takes one inode, or is refused", () => {
    file("top/a")
    limit("top", { inodes: 3 })
    const before = seen()
    expect(run()).toBe("EDQUOT")
    expect(seen()).toEqual(before)
    limit("top", { inodes: 4 })
    expect(run()).toBe("OK")
    expect(used().inodes).toBe(4)
  })
})

test("what takes nothing is never refused, even far above the limit", () => {
  const [a] = [file("top/a", 5000), file("top/b", LARGE)]
  limit("top", { bytes: 1, inodes: 1 })
  ok(fs.link("top/a", "top/link"))
  expect(fs.rename("top/a", "top/sub/a")).toBe("OK")
  expect(fs.write(a, 0, Buffer.alloc(5000))).toBe("OK")
  ok(fs.setattr(a, { size: 2 ** 40 }))
  expect(copy(fs.at("top/b").ino, 2 ** 30, a, 0, 100)).toBe("OK")
  expect(outcome(fs.fs.fallocate(fs.request(a), 3, 100, 1000))).toBe("OK")
  expect(fs.write(a, 200, "x")).toBe("EDQUOT")
  expect(fs.unlink("top/b")).toBe("OK")
  expect(used()).toEqual({ bytes: 4000 + LARGE, inodes: 4 })
})

test("root is bound as everybody is", () => {
  limit("top", { inodes: 2 })
  expect(outcome(fs.as({ uid: 0 }).mknod("top/a"))).toBe("EDQUOT")
  expect(outcome(fs.as({ uid: 1000 }).mknod("top/a"))).toBe("EDQUOT")
})

test("what was deleted is there again at once", () => {
  file("top/a", LARGE)
  limit("top", { bytes: LARGE, inodes: 3 })
  const { ino } = fs.at("top/a")
  expect(fs.unlink("top/a")).toBe("OK")
  expect(outcome(fs.mknod("top/b"))).toBe("EDQUOT")
  fs.fs.forget(ino, fs.env.lookups.get(ino))
  expect(fs.write(file("top/b"), 0, Buffer.alloc(LARGE))).toBe("OK")
})

describe("of trees in trees", () => {
  test("the tightest limit counts", () => {
    limit("top", { bytes: 10_000 })
    limit("top/sub", { bytes: 20_000 })
    const a = file("top/sub/a")
    expect(fs.write(a, 0, Buffer.alloc(10_001))).toBe("EDQUOT")
    expect(fs.write(a, 0, Buffer.alloc(10_000))).toBe("OK")
    limit("top", { bytes: 30_000 })
    expect(fs.write(a, 10_000, Buffer.alloc(10_001))).toBe("EDQUOT")
    expect(fs.write(a, 10_000, Buffer.alloc(10_000))).toBe("OK")
    expect([used("top").bytes, used("top/sub").bytes]).toEqual([20_000, 20_000])
  })

  test("one is made around the other, and taken from around it", () => {
    limit("top/sub", { inodes: 10 })
    file("top/sub/a", 100)
    file("top/b", 10)
    limit("top", { bytes: 1000 })
    expect([used("top"), used("top/sub")]).toEqual([
      { bytes: 110, inodes: 4 },
      { bytes: 100, inodes: 2 },
    ])
    expect(removeQuota(fs.store, fs.at("top").ino)).toEqual({ isTree: false })
    expect(fs.rename("top/b", "b")).toBe("OK")
    expect(fs.rename("top/sub/a", "a")).toBe("EXDEV")
    expect(used("top/sub")).toEqual({ bytes: 100, inodes: 2 })
  })

  test("the inner one dissolves into the outer one, with what is open in it", () => {
    limit("top", { bytes: 1000 })
    limit("top/sub", { bytes: 500 })
    const open = file("top/sub/open", 30)
    expect(fs.unlink("top/sub/open")).toBe("OK")
    file("top/sub/a", 7)
    removeQuota(fs.store, fs.at("top/sub").ino)
    expect(used("top")).toEqual({ bytes: 37, inodes: 4 })
    expect(fs.rename("top/sub/a", "top/a")).toBe("OK")
    expect(fs.write(open, 30, Buffer.alloc(963))).toBe("OK")
    expect(fs.write(open, 0, Buffer.alloc(994))).toBe("EDQUOT")
  })
})

describe("a quota is refused", () => {
  test("where a hard link leads out, by name", () => {
    file("top/sub/a")
    ok(fs.link("top/sub/a", "outside"))
    expect(() => limit("top", { bytes: 1 })).toThrow(
      "/top/sub/a has another name outside of the directory: hard links can't lead out",
    )
    expect(fs.store.trees.get(fs.at("top").ino)).toBeUndefined()
    expect(fs.unlink("outside")).toBe("OK")
    ok(fs.link("top/sub/a", "top/inside"))
    limit("top", { bytes: 1 })
    expect(used().inodes).toBe(3)
  })

  test("for what is no directory, and for one that has none to be shown or removed", () => {
    const a = file("top/a")
    expect(() => setQuota(fs.store, a, { bytes: 1 })).toThrow("this is not a directory")
    expect(() => setQuota(fs.store, 4711, { bytes: 1 })).toThrow("the directory is gone")
    for (const run of [showQuota, removeQuota])
      expect(() => run(fs.store, fs.at("top").ino)).toThrow("/top has no quota")
  })
})

test("clones, and what is restored, count in full, or change nothing", () => {
  const [top, copy] = [Buffer.from("/top"), Buffer.from("/top/sub/copy")]
  file("top/a", 1000)
  file("top/b", LARGE)
  createSnapshot(fs.env, { name: "s", path: top, isWritable: false })
  limit("top", { bytes: 2000 + LARGE })
  expect(clone(fs.env, Buffer.from("/top/a"), copy).copied.bytes).toBe(1000)
  expect(used().bytes).toBe(2000 + LARGE)
  const before = seen()
  expect(() => clone(fs.env, Buffer.from("/top/a"), Buffer.from("/top/again"))).toThrow("exceed the quota")
  expect(seen()).toEqual(before)
  expect(fs.unlink("top/b")).toBe("OK")
  limit("top", { bytes: 2000 + LARGE })
  const held = fs.write(fs.at("top/a").ino, 0, "changed")
  expect(held).toBe("OK")
  // What was unlinked is still open.
  const wanted = { name: "s", path: top, isForced: true }
  limit("top", { bytes: 1000 + LARGE + LARGE - 1 })
  expect(() => restore(fs.env, wanted)).toThrow("exceed the quota")
  limit("top", { bytes: 1000 + LARGE + LARGE })
  restore(fs.env, wanted)
  expect(fs.has("top/sub/copy")).toBe(false)
  expect(fs.read(fs.at("top/a").ino, { size: 7 })).toBe("xxxxxxx")
})

test("the root may have a limit too; snapshots count for none, made before it or after", () => {
  createSnapshot(fs.env, { name: "before", path: Buffer.from("/top"), isWritable: true })
  limit("", { inodes: 4, bytes: 1000 })
  file("top/a", 1000)
  createSnapshot(fs.env, { name: "after", path: Buffer.from("/top"), isWritable: false })
  expect(used("")).toEqual({ bytes: 1000, inodes: 4 })
  expect(outcome(fs.mknod("b"))).toBe("EDQUOT")
  expect(removeQuota(fs.store, fs.at("").ino)).toEqual({ isTree: false })
  expect(fs.store.inodes.get(fs.at("top/a").ino)?.tree).toBe(0)
})

test("statfs shows the limit as the size, and the tightest of those around", () => {
  // What the disk has to spare is not for this test alone to change.
  const statfs = (path: string): Record<string, number> => {
    const shown = ok(fs.fs.statfs(fs.request(fs.at(path).ino)))
    return shown.blocks > 1000 ? { ...shown, blocksAvailable: 0 } : { ...shown }
  }
  const a = file("top/sub/a", 8192)
  const whole = statfs("top")
  limit("top", { bytes: 1 << 20, inodes: 100 })
  expect(statfs("")).toEqual(whole)
  expect(statfs("top/sub/a")).toEqual({ ...whole, ...blocks(256, 254), files: 100, filesFree: 97 })
  limit("top/sub", { bytes: 40_960, inodes: 1000 })
  expect(statfs("top/sub/a")).toEqual({ ...whole, ...blocks(10, 8), files: 100, filesFree: 97 })
  limit("top", { bytes: 12_288 })
  expect(fs.write(a, 8192, Buffer.alloc(4000))).toBe("OK")
  expect(statfs("top/sub/a")).toMatchObject(blocks(3, 0))
  limit("top", { bytes: 4096 })
  expect(statfs("top")).toMatchObject(blocks(1, 0))
})

const blocks = (all: number, free: number): Record<string, number> => ({
  blocks: all,
  blocksFree: free,
  blocksAvailable: free,
})

/**
 * What a step adds is learned from a twin without a limit; with a limit of one byte or inode less it must be refused, and
 * change nothing, with exactly that much it must succeed.
 */
test("whatever is done, it is refused exactly where the limit would be exceeded", () => {
  using twin = new TestFileSystem()
  const random = new Random(seed)
  for (const each of [fs, twin]) {
    if (each === twin) for (const path of ["top", "top/sub"]) ok(each.mkdir(path))
    setQuota(each.store, each.at("top").ino, { bytes: 2 ** 50, inodes: 2 ** 40 })
  }
  const usage = (): { bytes: number; inodes: number } => {
    twin.store.settle()
    const { usedBytes, usedInodes } = showQuota(twin.store, twin.at("top").ino)
    return { bytes: usedBytes, inodes: usedInodes }
  }
  let refused = 0
  for (let at = 0; at < runs(600); at += 1) {
    const step = anyStep(random, "top")
    const before = usage()
    const wanted = step(twin)
    const after = usage()
    for (const kind of ["bytes", "inodes"] as const) {
      if (after[kind] <= before[kind]) continue
      limit("top", { ...after, [kind]: after[kind] - 1 })
      expect(step(fs), `step ${at}`).toBe("EDQUOT")
      refused += 1
    }
    const isSmaller = after.bytes <= before.bytes && random.below(2) === 0
    limit("top", isSmaller ? { bytes: 1, inodes: Math.max(1, after.inodes) } : after)
    expect(step(fs), `step ${at}`).toBe(wanted)
    if (at % 50 === 0) {
      fs.store.settle()
      expect(used()).toEqual(after)
      expect(brokenInvariants(fs.directory)).toEqual([])
    }
  }
  expect(refused).toBeGreaterThan(runs(60))
})
