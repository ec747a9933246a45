import { FALLOC, O } from "../abi.ts"
import type { Case, Test } from "../check.ts"

const { KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE } = FALLOC
const BLOCK = 4096
const KIB = 1024

/** A file "x" of `length` times "a", open for both. */
function filled(t: Test, length: number): number {
  const fd = t.ok(t.root.open("x", O.CREAT | O.RDWR, 0o644))
  t.ok(t.root.pfill(fd, 0x61, length, 0))
  return fd
}

/** Runs of the content: "a4096 \0100 a7". */
function runs(t: Test, fd: number): string {
  const { size } = t.ok(t.root.fstat(fd))
  let content = ""
  while (content.length < size) content += t.ok(t.root.pread(fd, 64 * KIB, content.length))
  return (content.match(/([^])\1*/g) ?? [])
    .map((run) => `${run.startsWith("\0") ? "0" : run[0]}×${run.length}`)
    .join(" ")
}

const ranges: readonly [offset: number, length: number][] = [
  [0, BLOCK],
  [BLOCK, BLOCK],
  [BLOCK, 2 * BLOCK],
  [0, 1],
  [100, 50],
  [BLOCK - 1, 2],
  [100, 3 * BLOCK],
  [7 * BLOCK + 5, BLOCK - 5],
]

const zeroing: readonly Case[] = ranges.flatMap(([offset, length]) =>
  (["punched", "zeroed"] as const).map((what) => ({
    name: `bytes ${offset}+${length} ${what} read as zeros, and the others stay`,
    run: (t: Test) => {
      for (const size of [8 * BLOCK, 3 * BLOCK + 77, 40 * BLOCK]) {
        const fd = filled(t, size)
        t.ok(
          t.root.fallocate(
            fd,
            what === "punched" ? PUNCH_HOLE | KEEP_SIZE : ZERO_RANGE | KEEP_SIZE,
            offset,
            length,
          ),
        )
        const end = Math.min(offset + length, size)
        const want = [
          ["a", Math.min(offset, size)],
          ["0", Math.max(0, end - offset)],
          ["a", size - end],
        ] as const
        const parts = offset >= size ? ([["a", size]] as const) : want
        t.equal(
          runs(t, fd),
          parts
            .filter(([, n]) => n > 0)
            .map(([c, n]) => `${c}×${n}`)
            .join(" "),
          "content",
        )
        t.equal(t.ok(t.root.fstat(fd)).size, size, "size")
        t.ok(t.root.unlink("x"))
      }
    },
  })),
)

const allocating: readonly Case[] = [
  {
    name: "allocating grows the file with zeros and keeps its content",
    run: (t) => {
      const fd = filled(t, 100)
      t.ok(t.root.fallocate(fd, 0, 0, 50))
      t.equal(runs(t, fd), "a×100", "content")
      t.ok(t.root.fallocate(fd, 0, 50, 200))
      t.equal(runs(t, fd), "a×100 0×150", "content")
      t.ok(t.root.fallocate(fd, 0, 100_000, 28_000))
      t.equal(t.lstat("x").size, 128_000, "size")
      t.equal(runs(t, fd), "a×100 0×127900", "content")
    },
  },
  {
    name: "allocated space is accounted for; KEEP_SIZE leaves the size alone",
    run: (t) => {
      const fd = filled(t, 10)
      t.ok(t.root.fallocate(fd, KEEP_SIZE, 0, 256 * KIB))
      t.equal(t.lstat("x").size, 10, "size")
      t.that(t.lstat("x").blocks * 512 >= 256 * KIB, "blocks are fewer than allocated")
      t.ok(t.root.fallocate(fd, 0, 0, 256 * KIB))
      t.equal(t.lstat("x").size, 256 * KIB, "size")
      t.that(t.lstat("x").blocks * 512 >= 256 * KIB, "blocks are fewer than allocated")
    },
  },
  {
    name: "ZERO_RANGE grows the file unless KEEP_SIZE is set",
    run: (t) => {
      const fd = filled(t, 100)
      t.ok(t.root.fallocate(fd, ZERO_RANGE | KEEP_SIZE, 50, 10_000))
      t.equal(runs(t, fd), "a×50 0×50", "content")
      t.ok(t.root.fallocate(fd, ZERO_RANGE, 20, 10_000))
      t.equal(runs(t, fd), "a×20 0×10000", "content")
    },
  },
  {
    name: "a punched hole gives its space back",
    run: (t) => {
      const fd = filled(t, 200 * KIB)
      t.ok(t.root.fsync(fd))
      const before = t.lstat("x").blocks
      t.ok(t.root.fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 64 * KIB, 128 * KIB))
      t.ok(t.root.fsync(fd))
      t.that(
        t.lstat("x").blocks <= before - (128 * KIB) / 512,
        `blocks went from ${before} to ${t.lstat("x").blocks}`,
      )
      t.equal(runs(t, fd), `a×${64 * KIB} 0×${128 * KIB} a×${8 * KIB}`, "content")
    },
  },
  {
    name: "a hole behind the end changes nothing",
    run: (t) => {
      const fd = filled(t, 100)
      t.succeeds(t.root.fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 50_000, 100))
      t.equal(runs(t, fd), "a×100", "content")
    },
  },
]

const errors: readonly Case[] = [
  {
    name: "EINVAL for a negative offset or a length that is not positive",
    run: (t) => {
      const fd = filled(t, 100)
      for (const mode of [0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE])
        for (const [offset, length] of [
          [-1, 10],
          [0, 0],
          [0, -1],
          [10, -10],
        ] as const)
          t.fails("EINVAL", t.root.fallocate(fd, mode, offset, length))
      t.equal(runs(t, fd), "a×100", "content")
    },
  },
  {
    name: "EOPNOTSUPP for a hole that would change the size, and for modes that do not exist",
    run: (t) => {
      const fd = filled(t, 100)
      t.fails("EOPNOTSUPP", t.root.fallocate(fd, PUNCH_HOLE, 0, 10))
      t.fails("EOPNOTSUPP", t.root.fallocate(fd, PUNCH_HOLE | ZERO_RANGE | KEEP_SIZE, 0, 10))
      t.fails("EOPNOTSUPP", t.root.fallocate(fd, 0x4000, 0, 10))
    },
  },
  {
    name: "EFBIG beyond the largest size",
    run: (t) => {
      const fd = filled(t, 100)
      t.fails("EFBIG", t.root.fallocate(fd, 0, 2n ** 63n - 4097n, 8192n))
      t.fails("EFBIG", t.root.fallocate(fd, 0, 2n ** 62n, 4096))
    },
  },
  {
    name: "EBADF for a descriptor that is bad or open for reading only; ESPIPE for a fifo",
    run: (t) => {
      t.file("x")
      t.fails("EBADF", t.root.fallocate(t.ok(t.root.open("x")), 0, 0, 10))
      t.fails("EBADF", t.root.fallocate(9999, 0, 0, 10))
      t.create("fifo", "fifo")
      t.fails("ESPIPE", t.root.fallocate(t.ok(t.root.open("fifo", O.RDWR | O.NONBLOCK)), 0, 0, 10))
      t.dir("d")
      t.fails("EBADF", t.root.fallocate(t.ok(t.root.open("d")), 0, 0, 10))
    },
  },
]

export const cases: readonly Case[] = [...zeroing, ...allocating, ...errors]
