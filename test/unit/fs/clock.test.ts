/** A clock that jumps: times are what it said, and nothing else depends on it. */
import { afterEach, expect, test } from "vitest"
import { Removal } from "../../../clawfs/fs/removal.ts"
import { createSnapshot, deleteSnapshot } from "../../../clawfs/fs/snapshots.ts"
import { fsck } from "../../../clawfs/fsck/fsck.ts"
import { pinClock, type Timestamp } from "../../../clawfs/sys/clock.ts"
import { TestFileSystem, ok } from "../support/filesystem.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { Random, runs, seed } from "../support/random.ts"

afterEach(() => pinClock(undefined))

/** Before 1970, the present, the ends of 32 and 33 bits, as far as ext4 counts, and the year 3000. */
const ERAS = [
  -86_400 * 400,
  0,
  1_800_000_000,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 33,
  15_032_385_535,
  32_503_680_000,
] as const

test("files made and written while it jumps to and fro have these times, and the store stays whole, over kills too", () => {
  for (let round = 0; round < runs(5); round += 1) jump(new Random(seed + round))
})

function jump(random: Random): void {
  using fs = new TestFileSystem()
  const times = new Map<string, Timestamp>()
  ok(fs.mkdir("a"))
  for (let step = 0; step < 60; step += 1) {
    const time = {
      seconds: (ERAS[random.below(ERAS.length)] ?? 0) + random.below(1000),
      nanos: random.below(1_000_000_000),
    }
    pinClock(time)
    const path = `a/${random.below(12)}`
    const kind = random.below(8)
    if (kind === 0) fs.restart()
    else if (kind === 1) snapshot(fs, step)
    else if (fs.has(path) && kind === 2) {
      expect(fs.unlink(path)).toBe("OK")
      times.delete(path)
    } else {
      if (!fs.has(path)) ok(fs.mknod(path))
      expect(
        fs.write(fs.at(path).ino, random.below(40_000), Buffer.alloc(1 + random.below(30_000), step)),
      ).toBe("OK")
      times.set(path, time)
    }
  }
  for (const [path, { seconds, nanos }] of times) {
    const { mtime, mtimeNanos, ctime, ctimeNanos } = fs.at(path)
    expect([path, mtime, mtimeNanos, ctime, ctimeNanos]).toEqual([path, seconds, nanos, seconds, nanos])
  }
  fs.store.settle()
  expect(brokenInvariants(fs.directory)).toEqual([])
  expect(fsck({ directory: fs.directory, isOnline: true, repair: false }).findings).toEqual([])
}

function snapshot(fs: TestFileSystem, step: number): void {
  const all = fs.store.snapshots.all()
  const [oldest] = all
  if (oldest === undefined || all.length < 3)
    createSnapshot(fs.env, { name: `s${step}`, path: Buffer.from("/a"), isWritable: false })
  else {
    deleteSnapshot(fs.env, oldest.name)
    const removal = new Removal(fs.env)
    while (removal.slice(100) > 0);
  }
}
