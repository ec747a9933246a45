/** utimensat(2) and futimens(3): the values that are kept, and who may set which. */
import { AT, O, UTIME } from "../abi.ts"
import { type Case, type Expected, type Test, fileTypes } from "../check.ts"
import type { Role } from "../crew.ts"
import { pathCases } from "../path-cases.ts"
import { probesOf } from "../probes.ts"
import { type TimeSpec, writeTimes } from "../structs.ts"

const S = 1_000_000_000n

/** nanoseconds since 1970 that must survive; ext4 cuts off at its first and last second (1901, 2446) */
const moments: Readonly<Record<string, bigint>> = {
  "1970": 0n,
  "1 ns after 1970": 1n,
  "1 ns before 1970": -1n,
  "1 s before 1970": -S,
  "1969, with nanoseconds": -86_400n * S + 123_456_789n,
  "1901, the least of 32 bits": -(2n ** 31n) * S + 2n * S,
  "2001": 1_000_000_000n * S + 999_999_999n,
  "2038, the last of 32 bits": (2n ** 31n - 1n) * S + 999_999_999n,
  "2038, one more": 2n ** 31n * S,
  "2106, the last unsigned of 32 bits": (2n ** 32n - 1n) * S + 1n,
  "2106, one more": 2n ** 32n * S + 1n,
  "2200": 7_258_118_400n * S + 5n,
  "2446, the last but one of ext4": (2n ** 34n - 2n ** 31n - 2n) * S + 500_000_000n,
}

function times(t: Test, path = "x"): string {
  const { atime, mtime } = t.lstat(path)
  return `${atime} ${mtime}`
}

const values: readonly Case[] = [
  ...fileTypes.map((type): Case => ({
    name: `a ${type} keeps each time to the nanosecond`,
    run: (t) => {
      t.create(type, "x")
      const all = Object.values(moments)
      for (const [index, mtime] of all.entries()) {
        const atime = all[all.length - 1 - index] ?? 0n
        t.ok(t.root.lutimens("x", [atime, mtime]))
        t.equal(times(t), `${atime} ${mtime}`, "atime and mtime")
      }
    },
  })),
  ...Object.entries(moments).map(([when, moment]): Case => ({
    name: `the time ${when}: by path, by descriptor, and after other changes`,
    run: (t) => {
      t.file("x")
      t.dir("d")
      for (const path of ["x", "d"]) {
        const fd = t.ok(t.root.open(path))
        t.ok(t.root.utimens(path, [moment, moment]))
        t.equal(times(t, path), `${moment} ${moment}`, "times by path")
        t.ok(t.root.futimens(fd, [moment + 7n, moment - 7n]))
        t.equal(times(t, path), `${moment + 7n} ${moment - 7n}`, "times by descriptor")
        t.ok(t.root.chmod(path, 0o700))
        t.ok(t.root.rename(path, `${path}2`))
        t.equal(times(t, `${path}2`), `${moment + 7n} ${moment - 7n}`, "times after chmod and rename")
      }
    },
  })),
]

type Setting = readonly [TimeSpec, TimeSpec] | undefined

const special: readonly Case[] = [
  {
    name: "now is the time of the call, omit leaves a time alone, and ctime moves unless both are omitted",
    run: (t) => {
      t.file("x")
      for (const setting of [
        undefined,
        ["now", "now"],
        ["now", "omit"],
        ["omit", "now"],
        ["omit", "omit"],
        [5n, "omit"],
        ["omit", 5n],
        [5n, "now"],
      ] as Setting[]) {
        t.ok(t.root.utimens("x", [1n, 2n]))
        const { ctime } = t.lstat("x")
        const since = t.tick()
        t.ok(t.root.utimens("x", setting))
        const after = t.lstat("x")
        for (const [spec, got, old] of [
          [setting?.[0] ?? "now", after.atime, 1n],
          [setting?.[1] ?? "now", after.mtime, 2n],
        ] as const) {
          if (spec === "now") t.that(got >= since && got <= t.now(), `now became ${got}`)
          else t.equal(got, spec === "omit" ? old : spec, "time")
        }
        const isTouched = setting?.[0] !== "omit" || setting[1] !== "omit"
        t.equal(after.ctime > ctime, isTouched, "ctime moved")
      }
    },
  },
  {
    name: "nanoseconds outside of a second are EINVAL, and change nothing",
    run: (t) => {
      t.file("x")
      t.ok(t.root.utimens("x", [1n, 2n]))
      for (const nanoseconds of [-1, 1_000_000_000, 0x3ffffffd, 2 ** 31]) {
        for (const offset of [8, 24]) {
          const b = writeTimes(3n, 4n)
          b.writeBigInt64LE(BigInt(nanoseconds), offset)
          t.fails("EINVAL", t.root.call("utimensat", [AT.FDCWD, "x", { bytes: b.toString("base64") }, 0]))
        }
      }
      t.equal(times(t), "1 2", "times")
    },
  },
  {
    name: "with now and omit the seconds do not matter",
    run: (t) => {
      t.file("x")
      t.ok(t.root.utimens("x", [1n, 2n]))
      const b = Buffer.alloc(32)
      b.writeBigInt64LE(-77n, 0)
      b.writeBigInt64LE(BigInt(UTIME.OMIT), 8)
      b.writeBigInt64LE(77n, 16)
      b.writeBigInt64LE(BigInt(UTIME.OMIT), 24)
      t.succeeds(t.root.call("utimensat", [AT.FDCWD, "x", { bytes: b.toString("base64") }, 0]))
      t.equal(times(t), "1 2", "times")
    },
  },
  {
    name: "a symbolic link has times of its own; without NOFOLLOW those of the target are set",
    run: (t) => {
      t.file("x")
      t.ok(t.root.symlink("x", "s"))
      t.ok(t.root.utimens("s", [3n, 4n]))
      t.ok(t.root.lutimens("s", [1n, 2n]))
      t.equal(times(t, "s"), "1 2", "times of the link")
      t.equal(times(t, "x"), "3 4", "times of the target")
    },
  },
  {
    name: "bad pointers are EFAULT, unknown flags EINVAL, bad and O_PATH descriptors EBADF",
    run: (t) => {
      t.file("x")
      t.fails("EFAULT", t.root.call("utimensat", [AT.FDCWD, "x", 1, 0]))
      t.fails("EINVAL", t.root.call("utimensat", [AT.FDCWD, "x", 0, 0x4000]))
      t.fails("EBADF", t.root.futimens(9999))
      t.fails("EBADF", t.root.futimens(t.ok(t.root.open("x", O.PATH))))
    },
  },
  {
    name: "a descriptor open for reading only is good enough for the owner",
    run: (t) => {
      t.file("x", { mode: 0o444, owned: "owner" })
      const fd = t.ok(t.owner.open("x"))
      for (const setting of [undefined, [1n, 2n], ["now", 2n]] as Setting[])
        t.succeeds(t.owner.futimens(fd, setting))
    },
  },
]

// ---- permissions

interface Rule {
  readonly setting: Setting
  readonly name: string
  /** by someone who may write to the file but does not own it, and by someone who may not write either */
  readonly writer: Expected
  readonly reader: Expected
}

const rules: readonly Rule[] = [
  { setting: undefined, name: "both to now", writer: "ok", reader: "EACCES" },
  { setting: ["now", "now"], name: "both to UTIME_NOW", writer: "ok", reader: "EACCES" },
  { setting: [1n, 2n], name: "both to values", writer: "EPERM", reader: "EPERM" },
  { setting: ["now", 2n], name: "now and a value", writer: "EPERM", reader: "EPERM" },
  { setting: ["now", "omit"], name: "now and omit", writer: "EPERM", reader: "EPERM" },
  { setting: ["omit", "now"], name: "omit and now", writer: "EPERM", reader: "EPERM" },
  { setting: [1n, "omit"], name: "a value and omit", writer: "EPERM", reader: "EPERM" },
  { setting: ["omit", "omit"], name: "both omitted", writer: "ok", reader: "ok" },
]

const classes: readonly [Role, number][] = [
  ["mate", 0o020],
  ["member", 0o020],
  ["stranger", 0o002],
]

const permissions: readonly Case[] = rules.flatMap(({ setting, name, writer, reader }) =>
  (["regular", "dir", "fifo"] as const).map((type) => ({
    name: `times of a ${type}, ${name}: writer ${writer}, reader ${reader}, owner and root ok`,
    run: (t: Test) => {
      t.create(type, "x")
      t.ok(t.root.chown("x", 71001, 71001))
      for (const [role, bit] of classes) {
        t.ok(t.root.chmod("x", bit))
        t.expect(writer, t.as(role).utimens("x", setting))
        t.ok(t.root.chmod("x", 0o777 & ~bit))
        t.ok(t.root.utimens("x", [8n, 9n]))
        t.expect(reader, t.as(role).utimens("x", setting))
        t.equal(times(t), "8 9", "times after the refusal")
      }
      t.ok(t.root.chmod("x", 0))
      t.succeeds(t.owner.utimens("x", setting))
      t.succeeds(t.root.utimens("x", setting))
    },
  })),
)

export const cases: readonly Case[] = [
  ...pathCases(probesOf("utimensat")),
  ...values,
  ...special,
  ...permissions,
]
