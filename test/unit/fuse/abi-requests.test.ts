import { describe, expect, test } from "vitest"
import { Reader } from "../../../clawfs/core/bytes.ts"
import * as abi from "../../../clawfs/fuse/abi.ts"
import { readGolden, section } from "../support/golden.ts"

const golden = readGolden("fuse.hex")

interface Case {
  readonly title: string
  readonly read: (r: Reader) => unknown
  readonly value: unknown
  /** Bytes at the struct's end that the reader leaves: nothing follows this struct in a request. */
  readonly unread?: number
}

const OFFSET = 0x7161514131211
/** The header has no value for it: above 2^53. */
const HANDLE = Number.MAX_SAFE_INTEGER
const cases: Case[] = [
  {
    title: "fuse_in_header",
    read: abi.readInHeader,
    value: {
      length: 0x04030201,
      opcode: 0x08070605,
      uniqueLow: 0x14131211,
      uniqueHigh: 0x18171615,
      node: 0x7262524232221,
      uid: 0x34333231,
      gid: 0x44434241,
      pid: 0x54535251,
    },
  },
  { title: "fuse_forget_in", read: (r) => r.u53Clamped(), value: OFFSET },
  {
    title: "fuse_forget_one",
    read: abi.readForgetOne,
    value: { node: 0x7262524232221, count: 0x7363534333231 },
  },
  {
    title: "fuse_setattr_in",
    read: abi.readSetattrIn,
    unread: 4,
    value: {
      valid: Object.values(abi.SetattrValid).reduce((all: number, bit) => all | bit, 0),
      size: OFFSET,
      atime: -1,
      mtime: 0x7262524232221,
      ctime: -2,
      atimeNanos: 0x04333231,
      mtimeNanos: 0x05434241,
      ctimeNanos: 0x06535251,
      mode: 0o104755,
      uid: 0x64636261,
      gid: 0x74737271,
    },
  },
  {
    title: "fuse_mknod_in",
    read: abi.readMknodIn,
    value: { mode: 0o060660, rdev: 0x14131211, umask: 0o022 },
  },
  { title: "fuse_mkdir_in", read: abi.readMkdirIn, value: { mode: 0o1777, umask: 0o027 } },
  {
    title: "fuse_create_in",
    read: abi.readCreateIn,
    value: { flags: 0o100302, mode: 0o100644, umask: 0o077, openFlags: abi.OPEN_KILL_SUIDGID },
  },
  { title: "fuse_rename_in", read: (r) => r.u53(), value: OFFSET },
  {
    title: "fuse_rename2_in",
    read: abi.readRename2In,
    value: { newParent: OFFSET, flags: abi.RenameFlag.EXCHANGE },
  },
  { title: "fuse_link_in", read: (r) => r.u53(), value: OFFSET },
  {
    title: "fuse_open_in",
    read: abi.readOpenIn,
    value: { flags: 0o102002, openFlags: abi.OPEN_KILL_SUIDGID },
  },
  {
    title: "fuse_read_in",
    read: abi.readReadIn,
    value: { handle: HANDLE, offset: OFFSET, size: 0x24232221, flags: 0x34333231 },
  },
  {
    title: "fuse_write_in",
    read: abi.readWriteIn,
    value: {
      handle: HANDLE,
      offset: OFFSET,
      size: 0x24232221,
      flags: abi.WriteFlag.CACHE | abi.WriteFlag.KILL_SUIDGID,
    },
  },
  {
    title: "fuse_setxattr_in",
    read: (r) => abi.readSetxattrIn(r, true),
    value: { size: 0x24232221, flags: abi.SetxattrFlag.REPLACE, aclFlags: abi.ACL_KILL_SGID },
  },
  {
    title: "fuse_setxattr_in, 8 bytes without SETXATTR_EXT",
    read: (r) => abi.readSetxattrIn(r, false),
    value: { size: 0x24232221, flags: abi.SetxattrFlag.CREATE, aclFlags: 0 },
  },
  { title: "fuse_getxattr_in", read: abi.readGetxattrIn, value: { size: 0x24232221 } },
  {
    title: "fuse_init_in",
    read: abi.readInitIn,
    unread: 44,
    value: { major: 7, minor: 38, maxReadahead: 131_072, flags: 0x1d_73ff_fffbn },
  },
  {
    title: "fuse_init_in, 16 bytes before 7.36",
    read: abi.readInitIn,
    value: { major: 7, minor: 31, maxReadahead: 131_072, flags: 0x3ff_fffbn },
  },
  {
    title: "fuse_ioctl_in",
    read: abi.readIoctlIn,
    value: { flags: 0x14131211, command: 0x40086602, inSize: 8, outSize: 0x24232221 },
  },
  {
    title: "fuse_fallocate_in",
    read: abi.readFallocateIn,
    value: { offset: OFFSET, length: 0x7262524232221, mode: 3 },
  },
  { title: "fuse_lseek_in", read: abi.readLseekIn, value: { offset: OFFSET, whence: 3 } },
  {
    title: "fuse_copy_file_range_in",
    read: abi.readCopyFileRangeIn,
    value: {
      offset: OFFSET,
      target: 0x7262524232221,
      targetOffset: 0x7363534333231,
      length: 0x7464544434241,
    },
  },
  { title: "fuse_statx_in", read: abi.readStatxIn, value: undefined },
]

describe.each(cases)("$title", ({ title, read, value, unread = 0 }) => {
  const { bytes } = section(golden, title)

  test("is read field by field", () => {
    const r = new Reader(bytes)
    expect(read(r)).toEqual(value)
    expect(r.remaining).toBe(unread)
  })

  test("is refused when a single byte of it is missing", () => {
    const whole = bytes.length - unread
    // init_in was 16 bytes long before 7.36: shorter than 64 is not too short.
    const needed = title === "fuse_init_in" ? 16 : whole
    for (let length = 0; length < needed; length += 1)
      expect(() => read(new Reader(bytes, length)), `${length} bytes`).toThrow(RangeError)
  })
})

describe("values that no double can hold", () => {
  const patched = (title: string, at: number): Reader => {
    const bytes = Buffer.from(section(golden, title).bytes)
    bytes.fill(0xff, at, at + 8)
    return new Reader(bytes)
  }

  test("a node id above 2^53-1 was never given out: refused", () => {
    expect(() => abi.readInHeader(patched("fuse_in_header", 16))).toThrow(RangeError)
    expect(() => abi.readForgetOne(patched("fuse_forget_one", 0))).toThrow(RangeError)
    expect(() => abi.readRename2In(patched("fuse_rename2_in", 0))).toThrow(RangeError)
    expect(() => abi.readCopyFileRangeIn(patched("fuse_copy_file_range_in", 16))).toThrow(RangeError)
  })

  test("offsets and lengths above 2^53-1 become 2^53-1, which every operation refuses as too large", () => {
    const MAX = Number.MAX_SAFE_INTEGER
    expect(abi.readReadIn(patched("fuse_read_in", 8)).offset).toBe(MAX)
    expect(abi.readWriteIn(patched("fuse_write_in", 8)).offset).toBe(MAX)
    expect(abi.readLseekIn(patched("fuse_lseek_in", 8)).offset).toBe(MAX)
    expect(abi.readFallocateIn(patched("fuse_fallocate_in", 8)).offset).toBe(MAX)
    expect(abi.readFallocateIn(patched("fuse_fallocate_in", 16)).length).toBe(MAX)
    expect(abi.readSetattrIn(patched("fuse_setattr_in", 16)).size).toBe(MAX)
    expect(abi.readCopyFileRangeIn(patched("fuse_copy_file_range_in", 8)).offset).toBe(MAX)
    expect(abi.readForgetOne(patched("fuse_forget_one", 8)).count).toBe(MAX)
  })

  test("times outside of ±2^53 seconds are refused", () => {
    const bytes = Buffer.from(section(golden, "fuse_setattr_in").bytes)
    bytes.writeBigInt64LE(2n ** 62n, 32)
    expect(() => abi.readSetattrIn(new Reader(bytes))).toThrow(RangeError)
  })
})
