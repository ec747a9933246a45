/** atime under relatime: a read moves it if it is not later than mtime or ctime, and at most once. */
import { O } from "../abi.ts"
import type { Case, Test } from "../check.ts"

const DONTNEED = 4
const PAST = 1_000_000_000_000_000_000n

/** Drops the cached pages, so that the filesystem sees the next read. */
function drop(t: Test, path: string): void {
  const fd = t.ok(t.root.open(path))
  t.ok(t.root.fsync(fd))
  t.ok(t.root.call("fadvise64", [fd, 0, 0, DONTNEED]))
  t.ok(t.root.close(fd))
}

function read(t: Test, path: string, flags = 0): void {
  t.ok(t.root.read(t.ok(t.root.open(path, O.RDONLY | flags)), 100))
}

export const cases: readonly Case[] = (
  [
    {
      name: "reading moves an atime that is before mtime, and neither mtime nor ctime",
      run: (t) => {
        t.file("x", { content: "content" })
        t.ok(t.root.utimens("x", [PAST, PAST + 1n]))
        drop(t, "x")
        const before = t.lstat("x")
        const since = t.tick()
        read(t, "x")
        const after = t.lstat("x")
        t.that(after.atime >= since && after.atime <= t.now(), `atime is ${after.atime}`)
        t.equal(after.mtime, before.mtime, "mtime")
        t.equal(after.ctime, before.ctime, "ctime")
      },
    },
    {
      name: "reading with O_NOATIME, stat and open leave it alone",
      run: (t) => {
        t.file("x", { content: "content" })
        t.ok(t.root.utimens("x", [PAST, PAST + 1n]))
        drop(t, "x")
        t.tick()
        read(t, "x", O.NOATIME)
        t.ok(t.root.stat("x"))
        t.ok(t.root.open("x", O.RDWR))
        t.equal(t.lstat("x").atime, PAST, "atime")
      },
    },
    {
      name: "writing leaves it alone",
      run: (t) => {
        t.file("x", { content: "content" })
        t.ok(t.root.utimens("x", [PAST, PAST]))
        t.tick()
        t.ok(t.root.write(t.ok(t.root.open("x", O.WRONLY)), "new"))
        t.equal(t.lstat("x").atime, PAST, "atime")
      },
    },
  ] satisfies Case[]
).map((item): Case => ({ ...item, group: "atime" }))
