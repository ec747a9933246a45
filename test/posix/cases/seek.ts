/** lseek SEEK_DATA and SEEK_HOLE */
import { FALLOC, O, SEEK } from "../abi.ts"
import type { Case, Test } from "../check.ts"

const MIB = 1 << 20

interface Extent {
  readonly from: number
  readonly to: number
}

/** The map of a file as SEEK_DATA and SEEK_HOLE tell it; also checks that it is one. */
function dataOf(t: Test, fd: number): Extent[] {
  const { size } = t.ok(t.root.fstat(fd))
  const extents: Extent[] = []
  for (let at = 0; at < size;) {
    const data = t.root.lseek(fd, at, SEEK.DATA)
    if (data.error === "ENXIO") break
    const from = t.ok(data)
    const to = t.ok(t.root.lseek(fd, from, SEEK.HOLE))
    t.that(
      from >= at && to > from && to <= size,
      `data ${from}…${to} behind ${at} in a file of ${size} bytes`,
    )
    extents.push({ from, to })
    at = to
  }
  return extents
}

interface Layout {
  readonly name: string
  readonly size: number
  readonly written: readonly Extent[]
}

const layouts: readonly Layout[] = [
  { name: "nothing but a hole", size: 4 * MIB, written: [] },
  { name: "data at the start", size: 4 * MIB, written: [{ from: 0, to: 10 }] },
  { name: "data at the end", size: 4 * MIB, written: [{ from: 4 * MIB - 10, to: 4 * MIB }] },
  { name: "data in the middle", size: 6 * MIB, written: [{ from: 2 * MIB, to: 2 * MIB + 5000 }] },
  {
    name: "islands",
    size: 9 * MIB,
    written: [1, 3, 5, 7].map((n) => ({ from: n * MIB, to: n * MIB + 4096 * n })),
  },
]

const maps: readonly Case[] = layouts.map(({ name, size, written }) => ({
  name: `a file with ${name}: all data is called data, holes of a megabyte are called holes`,
  run: (t) => {
    const fd = t.ok(t.root.open("x", O.CREAT | O.RDWR, 0o644))
    for (const { from, to } of written) t.ok(t.root.pfill(fd, 0x61, to - from, from))
    t.ok(t.root.ftruncate(fd, size))
    t.ok(t.root.fsync(fd))
    const extents = dataOf(t, fd)
    for (const { from, to } of written)
      t.that(
        extents.some((extent) => extent.from <= from && extent.to >= to),
        `data ${from}…${to} is missing`,
      )
    t.equal(extents.length, written.length, "pieces of data")
    const claimed = extents.reduce((sum, { from, to }) => sum + to - from, 0)
    const real = written.reduce((sum, { from, to }) => sum + to - from, 0)
    t.that(
      claimed <= real + written.length * 2 * 128 * 1024,
      `${claimed} bytes are called data, ${real} were written`,
    )
  },
}))

const rules: readonly Case[] = [
  {
    name: "a file without holes is one piece of data with a hole behind its end",
    run: (t) => {
      for (const length of [1, 4096, 10_000, 300_000]) {
        const fd = t.ok(t.root.open("x", O.CREAT | O.RDWR | O.TRUNC, 0o644))
        for (let at = 0; at < length; at += 100_000)
          t.ok(t.root.pfill(fd, 0x61, Math.min(100_000, length - at), at))
        t.equal(t.ok(t.root.lseek(fd, 0, SEEK.DATA)), 0, "data")
        t.equal(t.ok(t.root.lseek(fd, 0, SEEK.HOLE)), length, "hole")
        t.equal(t.ok(t.root.lseek(fd, length - 1, SEEK.DATA)), length - 1, "data at the last byte")
        t.equal(t.ok(t.root.lseek(fd, length - 1, SEEK.HOLE)), length, "hole behind the last byte")
      }
    },
  },
  {
    name: "ENXIO at and behind the end, before the start, and for an empty file",
    run: (t) => {
      t.file("x", { content: "content" })
      t.file("empty")
      const [fd, empty] = [t.ok(t.root.open("x")), t.ok(t.root.open("empty"))]
      for (const whence of [SEEK.DATA, SEEK.HOLE]) {
        for (const offset of [7, 8, 1 << 20]) t.fails("ENXIO", t.root.lseek(fd, offset, whence))
        t.fails("ENXIO", t.root.lseek(empty, 0, whence))
        t.fails("ENXIO", t.root.lseek(fd, -1, whence))
      }
    },
  },
  {
    name: "a punched hole is found, and is data again once written to",
    run: (t) => {
      const fd = t.ok(t.root.open("x", O.CREAT | O.RDWR, 0o644))
      for (let i = 0; i < 32; i++) t.ok(t.root.pfill(fd, 0x61, 1 << 17, i << 17))
      t.ok(t.root.fallocate(fd, FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, MIB, 2 * MIB))
      t.ok(t.root.fsync(fd))
      t.equal(t.ok(t.root.lseek(fd, 0, SEEK.HOLE)), MIB, "hole")
      t.equal(t.ok(t.root.lseek(fd, MIB, SEEK.DATA)), 3 * MIB, "data behind the hole")
      t.ok(t.root.pfill(fd, 0x62, 4096, 2 * MIB))
      t.equal(t.ok(t.root.lseek(fd, MIB, SEEK.DATA)), 2 * MIB, "data in the hole")
    },
  },
  {
    name: "growing makes a hole, shrinking takes it away",
    run: (t) => {
      const fd = t.ok(t.root.open("x", O.CREAT | O.RDWR, 0o644))
      t.ok(t.root.pfill(fd, 0x61, 4096, 0))
      t.ok(t.root.ftruncate(fd, 8 * MIB))
      t.ok(t.root.fsync(fd))
      const hole = t.ok(t.root.lseek(fd, 0, SEEK.HOLE))
      t.that(hole >= 4096 && hole <= 4096 + 128 * 1024, `the hole begins at ${hole}`)
      t.fails("ENXIO", t.root.lseek(fd, hole, SEEK.DATA))
      t.ok(t.root.ftruncate(fd, 4096))
      t.equal(t.ok(t.root.lseek(fd, 0, SEEK.HOLE)), 4096, "hole after shrinking")
    },
  },
]

export const cases: readonly Case[] = [...maps, ...rules]
