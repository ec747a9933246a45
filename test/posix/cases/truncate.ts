/** truncate(2) and ftruncate(2) */
import { O } from "../abi.ts"
import { type Case, type Test, fileTypes } from "../check.ts"
import { pathCases } from "../path-cases.ts"
import type { Outcome } from "../posix.ts"
import { probesOf } from "../probes.ts"

const HUGE = 2n ** 63n - 1n
const sizes = [0, 1, 511, 512, 4095, 4096, 4097, 16384, 16385, 65537, 131072, 1_000_003]

interface Way {
  readonly name: string
  readonly call: (t: Test, length: number | bigint) => Outcome<unknown>
}

const ways: readonly Way[] = [
  { name: "truncate", call: (t, length) => t.root.truncate("x", length) },
  { name: "ftruncate", call: (t, length) => t.root.ftruncate(t.ok(t.root.open("x", O.WRONLY)), length) },
]

/** The byte that belongs at an offset. */
function pattern(from: number, length: number): string {
  return Array.from({ length }, (_, index) => String.fromCharCode(97 + ((from + index) % 26))).join("")
}

const contents: readonly Case[] = ways.flatMap(({ name, call }) => [
  {
    name: `${name} cuts off what is behind, and growing again shows zeros there`,
    run: (t: Test) => {
      for (const whole of [100, 5000, 20_000, 140_000]) {
        t.file("x", { content: pattern(0, whole) })
        const fd = t.ok(t.root.open("x"))
        const cuts = [whole - 1, whole >> 1, 4096, 13, 0].filter((length) => length < whole)
        for (const cut of cuts.sort((a, b) => b - a)) {
          t.ok(call(t, cut))
          t.equal(t.lstat("x").size, cut, "size")
          t.equal(
            t.ok(t.root.pread(fd, 50, Math.max(0, cut - 20))),
            pattern(Math.max(0, cut - 20), Math.min(20, cut)),
            "tail",
          )
          t.ok(call(t, whole))
          t.equal(
            t.ok(t.root.pread(fd, 50, cut)),
            "\0".repeat(Math.min(50, whole - cut)),
            "content behind the cut",
          )
        }
        t.ok(t.root.unlink("x"))
      }
    },
  },
  {
    name: `${name} grows a file with zeros, to any size`,
    run: (t: Test) => {
      t.file("x", { content: "head" })
      const fd = t.ok(t.root.open("x"))
      for (const size of [...sizes.filter((length) => length > 4), 2 ** 31, 2 ** 32 + 5, 2 ** 40]) {
        t.ok(call(t, size))
        t.equal(t.lstat("x").size, size, "size")
        t.equal(t.ok(t.root.pread(fd, 10, size - 1)), "\0", "last byte")
        t.equal(t.ok(t.root.pread(fd, 10, size)), "", "bytes behind the end")
      }
      t.equal(t.ok(t.root.pread(fd, 6, 0)), "head\0\0", "first bytes")
      t.that(t.lstat("x").blocks * 512 < 1 << 20, "a file of holes takes space")
    },
  },
  {
    name: `${name}: a negative length is EINVAL, one beyond any limit EFBIG, and the size stays`,
    run: (t: Test) => {
      t.file("x", { content: "content" })
      for (const length of [-1, -4096, -(2n ** 63n)]) t.fails("EINVAL", call(t, length))
      t.fails("EFBIG", call(t, HUGE))
      t.equal(t.lstat("x").size, 7, "size")
    },
  },
])

const byPath: readonly Case[] = [
  ...fileTypes
    .filter((type) => type !== "regular" && type !== "symlink")
    .map((type): Case => ({
      name: `truncate of a ${type}: ${type === "dir" ? "EISDIR" : "EINVAL"}`,
      run: (t) => {
        t.create(type, "x")
        t.fails(type === "dir" ? "EISDIR" : "EINVAL", t.root.truncate("x", 0))
      },
    })),
  {
    name: "truncate needs permission to write, for each class",
    run: (t) => {
      t.file("x", { content: "content", owned: "owner" })
      for (const [role, bit] of [
        ["owner", 0o200],
        ["mate", 0o020],
        ["member", 0o020],
        ["stranger", 0o002],
      ] as const) {
        t.ok(t.root.chmod("x", 0o777 & ~bit))
        t.fails("EACCES", t.as(role).truncate("x", 3))
        t.equal(t.lstat("x").size, 7, "size after the refusal")
        t.ok(t.root.chmod("x", bit))
        t.succeeds(t.as(role).truncate("x", 7))
      }
      t.ok(t.root.chmod("x", 0))
      t.succeeds(t.root.truncate("x", 0))
    },
  },
]

const byDescriptor: readonly Case[] = [
  {
    name: "ftruncate asks the descriptor, not the mode of the file",
    run: (t) => {
      t.file("x", { content: "content", owned: "owner" })
      const [w, r] = [t.ok(t.owner.open("x", O.WRONLY)), t.ok(t.owner.open("x", O.RDONLY))]
      t.ok(t.root.chmod("x", 0))
      t.succeeds(t.owner.ftruncate(w, 3))
      t.fails("EINVAL", t.owner.ftruncate(r, 0))
      t.fails("EBADF", t.owner.ftruncate(9999, 0))
      t.equal(t.lstat("x").size, 3, "size")
    },
  },
  {
    name: "ftruncate does not move the offset",
    run: (t) => {
      t.file("x", { content: "0123456789" })
      const fd = t.ok(t.root.open("x", O.RDWR))
      t.ok(t.root.lseek(fd, 8))
      t.ok(t.root.ftruncate(fd, 2))
      t.equal(t.ok(t.root.lseek(fd, 0, 1)), 8, "offset")
      t.ok(t.root.write(fd, "!"))
      t.equal(t.ok(t.root.pread(fd, 20, 0)), "01\0\0\0\0\0\0!", "content")
    },
  },
  {
    name: "EFBIG beyond RLIMIT_FSIZE, for truncate and for a write that begins there; a write across it is short",
    run: (t) => {
      t.file("x", { content: "content" })
      const fd = t.ok(t.root.open("x", O.RDWR))
      t.withFileSizeLimit(10_000, () => {
        t.fails("EFBIG", t.root.ftruncate(fd, 10_001))
        t.fails("EFBIG", t.root.truncate("x", 1 << 20))
        t.fails("EFBIG", t.root.pwrite(fd, "x", 10_000))
        t.fails("EFBIG", t.root.fallocate(fd, 0, 0, 20_000))
        t.equal(t.ok(t.root.pfill(fd, 1, 100, 9_950)), 50, "bytes written across the limit")
        t.equal(t.lstat("x").size, 10_000, "size")
      })
    },
  },
]

export const cases: readonly Case[] = [
  ...pathCases(probesOf("truncate")),
  ...contents,
  ...byPath,
  ...byDescriptor,
]
