import { describe, expect, test } from "vitest"
import type { NodeId } from "../../../clawfs/core/brand.ts"
import { Writer } from "../../../clawfs/core/bytes.ts"
import * as abi from "../../../clawfs/fuse/abi.ts"
import { DirentPacker } from "../../../clawfs/fuse/dirent.ts"
import { Reply, standaloneReply } from "../../../clawfs/fuse/reply.ts"
import { TTL_SECONDS } from "../../../clawfs/fuse/session.ts"
import { readGolden, section } from "../support/golden.ts"

const golden = readGolden("fuse.hex")

const attr: abi.Attr = {
  ino: 0x11121314151617 as NodeId,
  size: 0x1222324252627,
  blocks: 0x2323334353637,
  atime: -1,
  mtime: 0x3424344454647,
  ctime: -2,
  btime: 0x4525354555657,
  atimeNanos: 0x05060708,
  mtimeNanos: 0x15161718,
  ctimeNanos: 0x25262728,
  btimeNanos: 0x35363738,
  mode: 0o104755,
  nlink: 0x31323334,
  uid: 0xfffffffe,
  gid: 0x41424344,
  rdev: 0x51525354,
}

const statfs: abi.Statfs = {
  blocks: 0x7161514131211,
  blocksFree: 0x7262524232221,
  blocksAvailable: 0x7363534333231,
  files: 0x7464544434241,
  filesFree: 0x7565554535251,
  nameMax: 255,
}

const initOut: abi.InitOut = {
  minor: 38,
  maxReadahead: 0x14131211,
  flags: 0x2827_2625_2423_2221n,
  maxBackground: 0x3231,
  congestionThreshold: 0x4241,
  maxWrite: 0x54535251,
  timeGranularity: 0x64636261,
  maxPages: 0x7271,
}

type Write = (w: Writer) => unknown
const cases: [title: string, size: number, write: Write][] = [
  ["fuse_out_header", abi.Size.outHeader, (w) => abi.writeOutHeader(w, 16, -2, 0x14131211, 0x18171615)],
  ["fuse_attr", abi.Size.attr, (w) => abi.writeAttr(w, attr)],
  ["fuse_entry_out", abi.Size.entryOut, (w) => abi.writeEntryOut(w, attr, TTL_SECONDS)],
  ["fuse_entry_out, negative", abi.Size.entryOut, (w) => abi.writeNegativeEntry(w, TTL_SECONDS)],
  ["fuse_attr_out", abi.Size.attrOut, (w) => abi.writeAttrOut(w, attr, TTL_SECONDS)],
  ["fuse_statx_out", abi.Size.statxOut, (w) => abi.writeStatxOut(w, attr, TTL_SECONDS)],
  ["fuse_open_out", abi.Size.openOut, (w) => abi.writeOpenOut(w, abi.FOPEN_KEEP_CACHE | abi.FOPEN_CACHE_DIR)],
  ["fuse_write_out", abi.Size.writeOut, (w) => abi.writeCountOut(w, 0x14131211)],
  ["fuse_getxattr_out", abi.Size.getxattrOut, (w) => abi.writeCountOut(w, 0x14131211)],
  ["fuse_kstatfs", abi.Size.kstatfs, (w) => abi.writeKstatfs(w, statfs)],
  ["fuse_init_out", abi.Size.initOut, (w) => abi.writeInitOut(w, initOut)],
  ["fuse_ioctl_out", abi.Size.ioctlOut, (w) => abi.writeIoctlOut(w, -13)],
  ["fuse_lseek_out", abi.Size.lseekOut, (w) => w.i53(0x7161514131211)],
  ["fuse_copy_file_range_out", abi.Size.copyFileRangeOut, (w) => w.i53(0x7161514131211)],
  ["fuse_notify_inval_inode_out", abi.Size.notifyInvalInodeOut, (w) => w.i53(attr.ino).i53(-1).i53(0)],
  ["fuse_notify_inval_entry_out", abi.Size.notifyInvalEntryOut, (w) => w.i53(attr.ino).u32(4).u32(0)],
]

describe("replies", () => {
  test.each(cases)("%s is written byte for byte, padding included", (title, size, write) => {
    const { bytes } = section(golden, title)
    expect(bytes).toHaveLength(size)
    // An old reply's bytes must not shine through: every byte is written.
    const buffer = Buffer.alloc(size + 8, 0xee)
    const w = new Writer(buffer)
    write(w)
    expect(w.at).toBe(size)
    expect(buffer.subarray(0, size).toString("hex")).toBe(bytes.toString("hex"))
    expect(buffer.subarray(size).toString("hex")).toBe("ee".repeat(8))
  })

  test.each([false, true])("a directory entry (plus: %s) is written byte for byte", (plus) => {
    const { bytes } = section(golden, plus ? "fuse_direntplus, with a name" : "fuse_dirent, with a name")
    const reply = new Reply(Buffer.alloc(400, 0xee))
    reply.reset()
    const packer = new DirentPacker(reply, 4096, plus, TTL_SECONDS)
    expect(packer.add(Buffer.from("names"), attr.ino, 8, 0x1222324252627, attr)).toBe(true)
    expect(reply.buffer.subarray(abi.Size.outHeader, reply.start).toString("hex")).toBe(bytes.toString("hex"))
  })

  test("an error carries its negative number, the request's unique, and nothing else", () => {
    const { bytes } = section(golden, "fuse_out_header")
    const reply = new Reply(Buffer.alloc(400, 0xee))
    reply.reset()
    reply.writer.u64(0x1234n)
    expect(reply.sealError(2, 0x14131211, 0x18171615)).toBe(16)
    expect(reply.buffer.subarray(0, 16)).toEqual(bytes)
    expect(standaloneReply(2, 0x14131211, 0x18171615)).toEqual(bytes)
  })

  test("a success without a payload says error 0, not minus 0", () => {
    expect(standaloneReply(0, 1, 2).toString("hex")).toBe("10000000" + "00000000" + "01000000" + "02000000")
  })

  test("a success is as long as what was written since the last reply", () => {
    const reply = new Reply(Buffer.alloc(400))
    for (const length of [8, 100, 0]) {
      reply.reset()
      reply.advance(length)
      expect(reply.sealSuccess(1, 2)).toBe(16 + length)
      expect(reply.buffer.readUInt32LE(0)).toBe(16 + length)
    }
    expect(reply.capacity).toBe(384)
  })
})

describe("device numbers", () => {
  test.each([
    [0x0801, 8, 1],
    [0x0103, 1, 3],
    [0x10300405, 4, 0x10305],
    [0xffffffff, 0xfff, 0xfffff],
  ])("the kernel's encoding %i is major %i, minor %i in statx", (rdev, major, minor) => {
    const w = new Writer(Buffer.alloc(abi.Size.statxOut))
    abi.writeStatxOut(w, { ...attr, rdev }, 0)
    const { fields } = section(golden, "fuse_statx_out")
    const at = fields.find(({ name }) => name === "stat.rdev_major")?.offset ?? 0
    expect([w.buffer.readUInt32LE(at), w.buffer.readUInt32LE(at + 4)]).toEqual([major, minor])
  })
})
