/** A store is clean after whatever programs do with it, and a database whose pages are damaged never stops the check. */
import { closeSync, openSync, statSync, writeSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { Fault } from "../../../clawfs/core/fault.ts"
import { clone } from "../../../clawfs/fs/clone.ts"
import { Removal } from "../../../clawfs/fs/removal.ts"
import { createSnapshot, deleteSnapshot } from "../../../clawfs/fs/snapshots.ts"
import { fsck } from "../../../clawfs/fsck/fsck.ts"
import { META } from "../../../clawfs/store/store.ts"
import { TestFileSystem } from "../support/filesystem.ts"
import { Random, runs, seed } from "../support/random.ts"
import { Sample, textOf } from "./sample.ts"

/** Kinds of faults that say that something can't be copied. */
const REFUSALS: readonly string[] = ["not-found", "exists", "invalid", "read-only"]
const NAMES = ["a", "b", "c", "d", "e"] as const

const PAGE = 4096

/** Does something to some path; what is refused does no harm. */
function step(fs: TestFileSystem, random: Random): void {
  const path = (): string =>
    `/${random.below(8) === 0 ? `.snapshots/${random.pick(NAMES)}/` : ""}${random.pick(NAMES)}${random.below(2) === 0 ? "" : `/${random.pick(NAMES)}`}`
  const act = [
    () => fs.mkdir(path()),
    () => fs.mknod(path()),
    () => fs.mknod(path(), 0o010600),
    () => fs.symlink(path(), "some/where"),
    () => fs.link(path(), path()),
    () => fs.unlink(path()),
    () => fs.rmdir(path()),
    () => fs.rename(path(), path(), random.below(3)),
    () => fs.write(fs.at(path()).ino, random.below(500_000), random.bytes(1 + random.below(40_000))),
    () => fs.write(fs.at(path()).ino, random.below(20_000), random.bytes(1 + random.below(3000))),
    () => fs.setattr(fs.at(path()).ino, { size: random.below(400_000) }),
    () =>
      fs.fs.fallocate(
        fs.request(fs.at(path()).ino),
        random.below(4),
        random.below(300_000),
        1 + random.below(200_000),
      ),
    () => fs.fs.setxattr(fs.request(fs.at(path()).ino), Buffer.from("user.x"), random.bytes(20), 0, 0),
    () => fs.fs.removexattr(fs.request(fs.at(path()).ino), Buffer.from("user.x")),
    () => clone(fs.env, Buffer.from(path()), Buffer.from(path())),
    () => snapshot(fs, random, path()),
    () => fs.fs.copyFileRange(fs.request(fs.at(path()).ino), copyRange(fs, path(), random)),
  ] as const
  act[random.below(act.length)]?.()
}

/** Makes a snapshot, or deletes it if there is one of that name; what is left of deleted ones goes later, in parts. */
function snapshot(fs: TestFileSystem, random: Random, path: string): void {
  const name = random.pick(NAMES)
  if (fs.store.snapshots.find(name) === undefined)
    createSnapshot(fs.env, { name, path: Buffer.from(path), isWritable: random.below(2) === 0 })
  else deleteSnapshot(fs.env, name)
  if (random.below(2) === 0) new Removal(fs.env).slice(1 + random.below(20))
}

/** The path does not lead to anything, or to something else than what is needed. */
function expectRefusal(thrown: unknown): void {
  if (thrown instanceof Fault && REFUSALS.includes(thrown.kind)) return
  expect(String(thrown)).toMatch(/unexpected E/)
}

function copyRange(
  fs: TestFileSystem,
  path: string,
  random: Random,
): Parameters<TestFileSystem["fs"]["copyFileRange"]>[1] {
  const [offset, targetOffset] = [random.below(100_000), random.below(300_000)]
  return { offset, target: fs.at(path).ino, targetOffset, length: random.below(200_000) }
}

test("a store is clean at every moment of a random session", () => {
  using fs = new TestFileSystem()
  const random = new Random(seed)
  let snapshots = 0
  for (let round = 0; round < runs(15); round += 1) {
    for (let i = 0; i < 150; i += 1) {
      try {
        step(fs, random)
      } catch (thrown) {
        expectRefusal(thrown)
      }
      if (random.below(200) === 0) fs.restart()
    }
    fs.store.settle()
    // The store is in use: as a mounted one, it is read in one snapshot.
    const { findings, totals } = fsck({ directory: fs.directory, isOnline: true, repair: false })
    expect(findings.map(textOf)).toEqual([])
    expect(totals.names).toBeGreaterThan(0)
    snapshots += fs.store.snapshots.all().length
  }
  expect(snapshots).toBeGreaterThan(0)
  const { totals } = fsck({ directory: fs.directory, isOnline: false, repair: false })
  expect(totals.records).toBeGreaterThan(10)
})

test("pages of the database that are overwritten are findings or one clear fault, and nothing is repaired then", () => {
  using sample = Sample.make()
  const random = new Random(seed)
  let [findings, faults] = [0, 0]
  for (let i = 0; i < runs(60); i += 1) {
    using copy = sample.copy()
    const meta = join(copy.directory, META)
    const fd = openSync(meta, "r+")
    // Half of the time where a page says what is in it; most other bytes are contents, or nobody's.
    const page = PAGE * (1 + random.below(statSync(meta).size / PAGE - 1))
    const at = page + (random.below(2) === 0 ? random.below(40) : random.below(PAGE - 100))
    const length = 1 + random.below(random.below(2) === 0 ? 4 : 100)
    writeSync(fd, random.bytes(length), 0, length, at)
    closeSync(fd)
    try {
      const before = copy.check()
      findings += before.findings.length
      const { findings: after } = copy.repair()
      if (before.findings.some(({ kind }) => kind === "database")) expect(after).toEqual(before.findings)
      else expect(copy.check().findings.filter(({ repairable }) => repairable)).toEqual([])
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown
      expect(thrown.kind, thrown.message).toBe("corrupt")
      faults += 1
    }
  }
  expect(findings).toBeGreaterThan(20)
  // The schema has more pages than the first, which is left alone: without it nothing can be opened.
  expect(faults).toBeLessThan(runs(60) / 4)
})
