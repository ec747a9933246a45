import { afterEach, describe, expect, test } from "vitest"
import { flushAccessTimes, touchAccessLazily, hasManyAccessTimes } from "../../../clawfs/fs/access-time.ts"
import { InodeFlag, type Inode } from "../../../clawfs/store/inode.ts"
import { pinClock, type Timestamp } from "../../../clawfs/sys/clock.ts"
import { TestFileSystem, ok } from "../support/filesystem.ts"

const DAY = 86_400
const NOON: Timestamp = { seconds: 1_700_000_000, nanos: 500 }

afterEach(() => pinClock(undefined))

interface Times {
  readonly atime: Timestamp
  readonly mtime?: Timestamp
  readonly ctime?: Timestamp
}

const before = (seconds: number, nanos = NOON.nanos): Timestamp => ({
  seconds: NOON.seconds - seconds,
  nanos,
})

function fileWith(
  fs: TestFileSystem,
  { atime, mtime = before(9 * DAY), ctime = before(9 * DAY) }: Times,
): Inode {
  const { ino } = ok(fs.mknod("file"))
  const inode = fs.store.inodes.get(ino)
  if (inode === undefined) throw new Error("no inode")
  inode.touchContents(mtime)
  inode.touchChange(ctime)
  inode.touchAccess(atime)
  return inode
}

/** Whether a read at NOON moves the access time of such a file. */
function moves(times: Times): boolean {
  using fs = new TestFileSystem()
  const inode = fileWith(fs, times)
  pinClock(NOON)
  touchAccessLazily(fs.env, inode)
  const { atime, atimeNanos } = inode
  const moved = atime === NOON.seconds && atimeNanos === NOON.nanos
  if (!moved) expect([atime, atimeNanos]).toEqual([times.atime.seconds, times.atime.nanos])
  return moved
}

describe("the access time, by the relatime rule", () => {
  test.each<[what: string, times: Times, expected: boolean]>([
    ["stays when it is newer than every change", { atime: before(60) }, false],
    ["moves when the contents are newer", { atime: before(60), mtime: before(59) }, true],
    [
      "moves when the contents are newer by a nanosecond",
      { atime: before(60), mtime: before(60, 501) },
      true,
    ],
    ["moves when it is as old as the contents", { atime: before(60), mtime: before(60) }, true],
    [
      "stays when it is newer than the contents by a nanosecond",
      { atime: before(60), mtime: before(60, 499) },
      false,
    ],
    ["moves when the attributes are newer", { atime: before(60), ctime: before(59) }, true],
    ["moves when it is as old as the attributes", { atime: before(60), ctime: before(60) }, true],
    ["moves when it is a day old", { atime: before(DAY) }, true],
    ["stays a second before it is a day old", { atime: before(DAY - 1) }, false],
    ["moves from before 1970", { atime: { seconds: -5, nanos: 0 }, mtime: { seconds: -6, nanos: 0 } }, true],
    ["stays in the future", { atime: before(-DAY) }, false],
  ])("%s", (_what, times, expected) => {
    expect(moves(times)).toBe(expected)
  })
})

describe("a moved access time", () => {
  test("is on the disk after the next quiet moment", () => {
    using fs = new TestFileSystem()
    const { ino } = fileWith(fs, { atime: before(2 * DAY) })
    pinClock(NOON)
    expect(fs.read(ino)).toBe("")
    expect(fs.env.accessed.size).toBe(1)
    fs.fs.settle()
    expect(fs.env.accessed.size).toBe(0)
    fs.restart()
    expect(fs.store.inodes.get(ino)?.atime).toBe(NOON.seconds)
  })

  test("changes neither the modification nor the change time", () => {
    using fs = new TestFileSystem()
    const inode = fileWith(fs, { atime: before(2 * DAY), mtime: before(3 * DAY), ctime: before(3 * DAY) })
    pinClock(NOON)
    touchAccessLazily(fs.env, inode)
    expect([inode.mtime, inode.ctime]).toEqual([before(3 * DAY).seconds, before(3 * DAY).seconds])
  })

  test("of a file that was deleted meanwhile is not saved", () => {
    using fs = new TestFileSystem()
    const inode = fileWith(fs, { atime: before(2 * DAY) })
    pinClock(NOON)
    touchAccessLazily(fs.env, inode)
    fs.unlink("file")
    fs.fs.forget(inode.ino, 1000)
    fs.store.transact(() => undefined)
    flushAccessTimes(fs.env)
    expect(fs.store.inodes.get(inode.ino)).toBeUndefined()
  })

  test("that a rollback has made stale overwrites nothing newer", () => {
    using fs = new TestFileSystem()
    const inode = fileWith(fs, { atime: before(2 * DAY) })
    pinClock(NOON)
    touchAccessLazily(fs.env, inode)
    const failing = (): void =>
      fs.store.transact(() => {
        throw new Error("x")
      })
    expect(failing).toThrow("x")
    expect(fs.write(inode.ino, 0, "newer")).toBe("OK")
    flushAccessTimes(fs.env)
    expect(fs.store.inodes.get(inode.ino)?.size).toBe(5)
    fs.restart()
    expect(fs.store.inodes.get(inode.ino)?.size).toBe(5)
  })

  test("of many files asks to be written without waiting for a quiet moment", () => {
    using fs = new TestFileSystem()
    pinClock(before(2 * DAY))
    const inodes = Array.from({ length: 1024 }, (_, i) => ok(fs.mknod(`f${i}`)).ino)
    pinClock(NOON)
    expect(hasManyAccessTimes(fs.env)).toBe(false)
    for (const ino of inodes) fs.read(ino)
    expect(hasManyAccessTimes(fs.env)).toBe(true)
    flushAccessTimes(fs.env)
    expect(fs.env.accessed.size).toBe(0)
  })
})

describe("an access time stays", () => {
  test("for a file with the attribute that says so", () => {
    using fs = new TestFileSystem()
    const inode = fileWith(fs, { atime: before(2 * DAY) })
    inode.setFlag(InodeFlag.NOATIME, true)
    pinClock(NOON)
    touchAccessLazily(fs.env, inode)
    expect(inode.atime).toBe(before(2 * DAY).seconds)
  })

  test("when a program reads with O_NOATIME", () => {
    using fs = new TestFileSystem()
    const { ino } = fileWith(fs, { atime: before(2 * DAY) })
    pinClock(NOON)
    expect(fs.read(ino, { keepsAtime: true })).toBe("")
    expect(fs.store.inodes.get(ino)?.atime).toBe(before(2 * DAY).seconds)
  })
})
