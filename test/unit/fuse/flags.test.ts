import { describe, expect, test } from "vitest"
import { ADOPTED, Flag, REFUSED, flagNames, negotiate, type FlagName } from "../../../clawfs/fuse/flags.ts"

/** Every capability bit of the kernel's header up to 7.45, by number. */
const KERNEL = [
  "ASYNC_READ",
  "POSIX_LOCKS",
  "FILE_OPS",
  "ATOMIC_O_TRUNC",
  "EXPORT_SUPPORT",
  "BIG_WRITES",
  "DONT_MASK",
  "SPLICE_WRITE",
  "SPLICE_MOVE",
  "SPLICE_READ",
  "FLOCK_LOCKS",
  "HAS_IOCTL_DIR",
  "AUTO_INVAL_DATA",
  "DO_READDIRPLUS",
  "READDIRPLUS_AUTO",
  "ASYNC_DIO",
  "WRITEBACK_CACHE",
  "NO_OPEN_SUPPORT",
  "PARALLEL_DIROPS",
  "HANDLE_KILLPRIV",
  "POSIX_ACL",
  "ABORT_ERROR",
  "MAX_PAGES",
  "CACHE_SYMLINKS",
  "NO_OPENDIR_SUPPORT",
  "EXPLICIT_INVAL_DATA",
  "MAP_ALIGNMENT",
  "SUBMOUNTS",
  "HANDLE_KILLPRIV_V2",
  "SETXATTR_EXT",
  "INIT_EXT",
  "INIT_RESERVED",
  "SECURITY_CTX",
  "HAS_INODE_DAX",
  "CREATE_SUPP_GROUP",
  "HAS_EXPIRE_ONLY",
  "DIRECT_IO_ALLOW_MMAP",
  "PASSTHROUGH",
  "NO_EXPORT_SUPPORT",
  "HAS_RESEND",
  "ALLOW_IDMAP",
  "OVER_IO_URING",
] as const

/** Bits that this version does not know: never answered, whatever the kernel offers. */
const UNKNOWN = [
  "FILE_OPS",
  "SPLICE_WRITE",
  "SPLICE_MOVE",
  "SPLICE_READ",
  "HAS_IOCTL_DIR",
  "HANDLE_KILLPRIV",
  "ABORT_ERROR",
  "MAP_ALIGNMENT",
  "SUBMOUNTS",
  "INIT_RESERVED",
  "HAS_INODE_DAX",
  "NO_EXPORT_SUPPORT",
]

const ALL = (1n << 64n) - 1n
const adopted = Object.keys(ADOPTED)
const refused = Object.keys(REFUSED)

describe("every capability bit of the kernel", () => {
  test("is adopted, refused, on request, or unknown, and only one of these", () => {
    for (const name of KERNEL) {
      const places = [adopted, refused, ["WRITEBACK_CACHE"], UNKNOWN].filter((names) => names.includes(name))
      expect(places, name).toHaveLength(1)
    }
  })

  test("has its number wherever it has a name", () => {
    for (const [bit, name] of KERNEL.entries()) {
      const value = name in Flag ? Flag[name as FlagName] : undefined
      expect(value, name).toBe(UNKNOWN.includes(name) ? undefined : 1n << BigInt(bit))
    }
    expect(Object.keys(Flag).filter((name) => !KERNEL.includes(name as (typeof KERNEL)[number]))).toEqual([])
  })

  test("is answered exactly if it is adopted, and no bit above is", () => {
    for (let bit = 0; bit < 64; bit += 1) {
      const answer = negotiate(1n << BigInt(bit), { writeback: false })
      expect(answer !== 0n, `bit ${bit}`).toBe(adopted.includes(KERNEL[bit] ?? ""))
    }
  })
})

describe("the answer to INIT", () => {
  test("never has a bit that the kernel did not offer", () => {
    for (const offered of [0n, 1n, Flag.POSIX_ACL | Flag.MAX_PAGES, ALL & ~Flag.HAS_RESEND, ALL])
      expect(negotiate(offered, { writeback: true }) & ~offered).toBe(0n)
  })

  test("has the writeback cache on request only", () => {
    expect(flagNames(negotiate(ALL, { writeback: false }))).not.toContain("WRITEBACK_CACHE")
    expect(flagNames(negotiate(ALL, { writeback: true }))).toContain("WRITEBACK_CACHE")
    expect(negotiate(ALL & ~Flag.WRITEBACK_CACHE, { writeback: true }) & Flag.WRITEBACK_CACHE).toBe(0n)
  })

  test("never has ATOMIC_O_TRUNC, which loses truncations where OPEN is not answered", () => {
    expect(negotiate(ALL, { writeback: true }) & Flag.ATOMIC_O_TRUNC).toBe(0n)
  })

  test("is shown by the names of its bits", () => {
    expect(flagNames(Flag.POSIX_ACL | Flag.HAS_RESEND)).toEqual(["POSIX_ACL", "HAS_RESEND"])
    expect(flagNames(0n)).toEqual([])
  })
})

test("every decision has a reason", () => {
  for (const reason of [...Object.values(ADOPTED), ...Object.values(REFUSED)]) expect(reason).not.toBe("")
  for (const name of [...adopted, ...refused]) expect(name in Flag, name).toBe(true)
})
