/**
 * The structs of the FUSE kernel protocol, 7.31 to 7.45, in the order of include/uapi/linux/fuse.h: one reader or writer
 * each, fields in header order (object literals are evaluated left to right, so the literal is the layout). Pure: bytes
 * to values and back, no I/O and no policy. `test/unit/fuse/abi-header.test.ts` compares every size here with the
 * system's <linux/fuse.h>. Requests that are too short throw `RangeError`.
 */
import type { Reader, Writer } from "../core/bytes.ts"
import type { NodeId } from "../core/brand.ts"

export const KERNEL_MAJOR = 7
/** Older kernels (before Linux 5.4) lack what no-open and parallel directory operations need. */
export const OLDEST_MINOR = 31
/** The newest minor whose structs are all described here; a newer kernel speaks down to it. */
export const NEWEST_MINOR = 45

export const Opcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  DESTROY: 38,
  IOCTL: 39,
  NOTIFY_REPLY: 41,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  SYNCFS: 50,
  TMPFILE: 51,
  STATX: 52,
  COPY_FILE_RANGE_64: 53,
} as const

/** Codes of notifications: messages to the kernel that answer no request. */
export const Notify = { INVAL_INODE: 2, INVAL_ENTRY: 3, RESEND: 7 } as const

export const Size = {
  inHeader: 40,
  outHeader: 16,
  attr: 88,
  entryOut: 128,
  attrOut: 104,
  openOut: 16,
  writeOut: 8,
  kstatfs: 80,
  getxattrOut: 8,
  initIn: 64,
  initOut: 64,
  dirent: 24,
  direntplus: 152,
  lseekOut: 8,
  ioctlOut: 16,
  setattrIn: 88,
  writeIn: 40,
  readIn: 40,
  statxOut: 288,
  copyFileRangeOut: 8,
  notifyInvalInodeOut: 24,
  notifyInvalEntryOut: 16,
} as const

/** A request whose reply a killed server still owed comes again with this bit (bit 63 of `unique`) set. */
export const UNIQUE_RESEND_HIGH = 0x8000_0000

export const SetattrValid = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  FH: 1 << 6,
  ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8,
  LOCKOWNER: 1 << 9,
  CTIME: 1 << 10,
  KILL_SUIDGID: 1 << 11,
} as const

export const WriteFlag = { CACHE: 1 << 0, LOCKOWNER: 1 << 1, KILL_SUIDGID: 1 << 2 } as const
export const SetxattrFlag = { CREATE: 1, REPLACE: 2 } as const
export const ACL_KILL_SGID = 1 << 0
export const OPEN_KILL_SUIDGID = 1 << 0
export const FOPEN_DIRECT_IO = 1 << 0
export const FOPEN_KEEP_CACHE = 1 << 1
export const FOPEN_CACHE_DIR = 1 << 3
export const RenameFlag = { NOREPLACE: 1, EXCHANGE: 2, WHITEOUT: 4 } as const

/** The owner of a request and what it is about. `unique` is kept as two halves: it is only compared and echoed. */
export interface InHeader {
  readonly length: number
  readonly opcode: number
  readonly uniqueLow: number
  readonly uniqueHigh: number
  readonly node: NodeId
  readonly uid: number
  readonly gid: number
  readonly pid: number
}

/** struct fuse_in_header, 40 bytes. */
export function readInHeader(r: Reader): InHeader {
  const header = {
    length: r.u32(),
    opcode: r.u32(),
    uniqueLow: r.u32(),
    uniqueHigh: r.u32(),
    node: r.u53() as NodeId,
    uid: r.u32(),
    gid: r.u32(),
    pid: r.u32(),
  }
  r.skip(4)
  return header
}

/** struct fuse_out_header, 16 bytes; `error` is 0 or a negative errno, for notifications the code. */
export function writeOutHeader(
  w: Writer,
  length: number,
  error: number,
  uniqueLow: number,
  uniqueHigh: number,
): void {
  w.seek(0).u32(length).i32(error).u32(uniqueLow).u32(uniqueHigh)
}

/** What stat(2) shows. Seconds are signed; `blocks` counts 512-byte units. */
export interface Attr {
  readonly ino: NodeId
  readonly size: number
  readonly blocks: number
  readonly atime: number
  readonly mtime: number
  readonly ctime: number
  readonly btime: number
  readonly atimeNanos: number
  readonly mtimeNanos: number
  readonly ctimeNanos: number
  readonly btimeNanos: number
  readonly mode: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  readonly rdev: number
}

const BLOCK_SIZE = 4096

/** struct fuse_attr, 88 bytes. */
export function writeAttr(w: Writer, a: Attr): void {
  w.i53(a.ino).i53(a.size).i53(a.blocks).i53(a.atime).i53(a.mtime).i53(a.ctime)
  w.u32(a.atimeNanos).u32(a.mtimeNanos).u32(a.ctimeNanos)
  w.u32(a.mode).u32(a.nlink).u32(a.uid).u32(a.gid).u32(a.rdev).u32(BLOCK_SIZE).u32(0)
}

/**
 * struct fuse_entry_out, 128 bytes. `ttlSeconds` holds for the name and the attributes. The generation is 0: node ids
 * are never reused.
 */
export function writeEntryOut(w: Writer, attr: Attr, ttlSeconds: number): void {
  w.i53(attr.ino).i53(0).i53(ttlSeconds).i53(ttlSeconds).u32(0).u32(0)
  writeAttr(w, attr)
}

/** A fuse_entry_out with node 0: the kernel may remember that the name does not exist. */
export function writeNegativeEntry(w: Writer, ttlSeconds: number): void {
  w.i53(0)
    .i53(0)
    .i53(ttlSeconds)
    .i53(0)
    .zero(8 + Size.attr)
}

/** struct fuse_attr_out, 104 bytes. */
export function writeAttrOut(w: Writer, attr: Attr, ttlSeconds: number): void {
  w.i53(ttlSeconds).u32(0).u32(0)
  writeAttr(w, attr)
}

const STATX_BASIC_AND_BTIME = 0xfff

/** struct fuse_statx_out with its struct fuse_statx, 288 bytes (7.39). */
export function writeStatxOut(w: Writer, a: Attr, ttlSeconds: number): void {
  w.i53(ttlSeconds).u32(0).u32(0).zero(16)
  w.u32(STATX_BASIC_AND_BTIME).u32(BLOCK_SIZE).i53(0).u32(a.nlink).u32(a.uid).u32(a.gid).u16(a.mode).u16(0)
  w.i53(a.ino).i53(a.size).i53(a.blocks).i53(0)
  w.i53(a.atime).u32(a.atimeNanos).u32(0).i53(a.btime).u32(a.btimeNanos).u32(0)
  w.i53(a.ctime).u32(a.ctimeNanos).u32(0).i53(a.mtime).u32(a.mtimeNanos).u32(0)
  w.u32(deviceMajor(a.rdev)).u32(deviceMinor(a.rdev)).u32(0).u32(0).zero(112)
}

/** The kernel's 32-bit device encoding (new_encode_dev in linux/kdev_t.h). */
function deviceMajor(rdev: number): number {
  return (rdev >>> 8) & 0xfff
}

function deviceMinor(rdev: number): number {
  return (rdev & 0xff) | ((rdev >>> 12) & 0xfff00)
}

/** struct fuse_forget_one, 16 bytes: also the body of FORGET with the node from the header. */
export function readForgetOne(r: Reader): { node: NodeId; count: number } {
  return { node: r.u53() as NodeId, count: r.u53Clamped() }
}

export interface SetattrIn {
  readonly valid: number
  readonly size: number
  readonly atime: number
  readonly mtime: number
  readonly ctime: number
  readonly atimeNanos: number
  readonly mtimeNanos: number
  readonly ctimeNanos: number
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

/** struct fuse_setattr_in, 88 bytes. */
export function readSetattrIn(r: Reader): SetattrIn {
  const valid = r.u32()
  r.skip(4 + 8)
  const size = r.u53Clamped()
  r.skip(8)
  const times = {
    atime: r.i53(),
    mtime: r.i53(),
    ctime: r.i53(),
    atimeNanos: r.u32(),
    mtimeNanos: r.u32(),
    ctimeNanos: r.u32(),
  }
  const mode = r.u32()
  r.skip(4)
  return { valid, size, ...times, mode, uid: r.u32(), gid: r.u32() }
}

/** struct fuse_mknod_in, 16 bytes, then the name. */
export function readMknodIn(r: Reader): { mode: number; rdev: number; umask: number } {
  const body = { mode: r.u32(), rdev: r.u32(), umask: r.u32() }
  r.skip(4)
  return body
}

/** struct fuse_mkdir_in, 8 bytes, then the name. */
export function readMkdirIn(r: Reader): { mode: number; umask: number } {
  return { mode: r.u32(), umask: r.u32() }
}

/** struct fuse_create_in, 16 bytes, then the name (TMPFILE: a name that means nothing). */
export function readCreateIn(r: Reader): { flags: number; mode: number; umask: number; openFlags: number } {
  return { flags: r.u32(), mode: r.u32(), umask: r.u32(), openFlags: r.u32() }
}

/** struct fuse_rename2_in, 16 bytes, then both names. RENAME has the first field alone. */
export function readRename2In(r: Reader): { newParent: NodeId; flags: number } {
  const body = { newParent: r.u53() as NodeId, flags: r.u32() }
  r.skip(4)
  return body
}

/** struct fuse_open_in, 8 bytes. */
export function readOpenIn(r: Reader): { flags: number; openFlags: number } {
  return { flags: r.u32(), openFlags: r.u32() }
}

/** struct fuse_open_out, 16 bytes. The handle of a store's file is always 0: nothing to restore after a restart. */
export function writeOpenOut(w: Writer, openFlags: number, handle = 0): void {
  w.i53(handle).u32(openFlags).u32(0)
}

/** struct fuse_release_in and fuse_flush_in, 24 bytes; of interest is only the handle. */
export function readReleaseIn(r: Reader): { handle: number } {
  const body = { handle: r.u53Clamped() }
  r.skip(16)
  return body
}

/**
 * struct fuse_read_in, 40 bytes; also READDIR and READDIRPLUS, where `offset` is a cookie. `flags` are those of the open
 * file (open(2)).
 */
export function readReadIn(r: Reader): { handle: number; offset: number; size: number; flags: number } {
  const body = { handle: r.u53Clamped(), offset: r.u53Clamped(), size: r.u32() }
  r.skip(12)
  const flags = r.u32()
  r.skip(4)
  return { ...body, flags }
}

/** struct fuse_write_in, 40 bytes, then the data. */
export function readWriteIn(r: Reader): { handle: number; offset: number; size: number; flags: number } {
  const body = { handle: r.u53Clamped(), offset: r.u53Clamped(), size: r.u32(), flags: r.u32() }
  r.skip(16)
  return body
}

/** struct fuse_write_out, 8 bytes; also getxattr_out, which has the same shape. */
export function writeCountOut(w: Writer, count: number): void {
  w.u32(count).u32(0)
}

export interface Statfs {
  readonly blocks: number
  readonly blocksFree: number
  readonly blocksAvailable: number
  readonly files: number
  readonly filesFree: number
  readonly nameMax: number
}

/** struct fuse_kstatfs, 80 bytes; block counts are in units of 4096 bytes. */
export function writeKstatfs(w: Writer, s: Statfs): void {
  w.i53(s.blocks).i53(s.blocksFree).i53(s.blocksAvailable).i53(s.files).i53(s.filesFree)
  w.u32(BLOCK_SIZE).u32(s.nameMax).u32(BLOCK_SIZE).zero(28)
}

/** struct fuse_setxattr_in: 16 bytes with SETXATTR_EXT (7.33), else 8; then name and value. */
export function readSetxattrIn(
  r: Reader,
  extended: boolean,
): { size: number; flags: number; aclFlags: number } {
  const body = { size: r.u32(), flags: r.u32() }
  if (!extended) return { ...body, aclFlags: 0 }
  const aclFlags = r.u32()
  r.skip(4)
  return { ...body, aclFlags }
}

/** struct fuse_getxattr_in, 8 bytes; GETXATTR has a name behind it. */
export function readGetxattrIn(r: Reader): { size: number } {
  const size = r.u32()
  r.skip(4)
  return { size }
}

export interface InitIn {
  readonly major: number
  readonly minor: number
  readonly maxReadahead: number
  /** Both flag words as one number: flags2 times 2^32. */
  readonly flags: bigint
}

/** struct fuse_init_in: 64 bytes since 7.36, 16 before. */
export function readInitIn(r: Reader): InitIn {
  const head = { major: r.u32(), minor: r.u32(), maxReadahead: r.u32() }
  const low = r.u32()
  const high = r.remaining >= 4 ? r.u32() : 0
  return { ...head, flags: BigInt(low) | (BigInt(high) << 32n) }
}

export interface InitOut {
  readonly minor: number
  readonly maxReadahead: number
  readonly flags: bigint
  readonly maxBackground: number
  readonly congestionThreshold: number
  readonly maxWrite: number
  readonly timeGranularity: number
  readonly maxPages: number
}

/** struct fuse_init_out, 64 bytes. */
export function writeInitOut(w: Writer, o: InitOut): void {
  w.u32(KERNEL_MAJOR)
    .u32(o.minor)
    .u32(o.maxReadahead)
    .u32(Number(o.flags & 0xffff_ffffn))
  w.u16(o.maxBackground)
    .u16(o.congestionThreshold)
    .u32(o.maxWrite)
    .u32(o.timeGranularity)
    .u16(o.maxPages)
    .u16(0)
  w.u32(Number(o.flags >> 32n)).zero(28)
}

export interface IoctlIn {
  readonly flags: number
  readonly command: number
  readonly inSize: number
  readonly outSize: number
}

/** struct fuse_ioctl_in, 32 bytes, then `inSize` bytes. */
export function readIoctlIn(r: Reader): IoctlIn {
  r.skip(8)
  const head = { flags: r.u32(), command: r.u32() }
  r.skip(8)
  return { ...head, inSize: r.u32(), outSize: r.u32() }
}

/** struct fuse_ioctl_out, 16 bytes, then the data. */
export function writeIoctlOut(w: Writer, result: number): void {
  w.i32(result).u32(0).u32(0).u32(0)
}

/** struct fuse_fallocate_in, 32 bytes. */
export function readFallocateIn(r: Reader): { offset: number; length: number; mode: number } {
  r.skip(8)
  const body = { offset: r.u53Clamped(), length: r.u53Clamped(), mode: r.u32() }
  r.skip(4)
  return body
}

/** struct fuse_lseek_in, 24 bytes. */
export function readLseekIn(r: Reader): { offset: number; whence: number } {
  r.skip(8)
  const body = { offset: r.u53Clamped(), whence: r.u32() }
  r.skip(4)
  return body
}

export interface CopyFileRangeIn {
  readonly offset: number
  readonly target: NodeId
  readonly targetOffset: number
  readonly length: number
}

/** struct fuse_copy_file_range_in, 56 bytes. */
export function readCopyFileRangeIn(r: Reader): CopyFileRangeIn {
  r.skip(8)
  const offset = r.u53Clamped()
  const target = r.u53() as NodeId
  r.skip(8)
  const body = { offset, target, targetOffset: r.u53Clamped(), length: r.u53Clamped() }
  r.skip(8)
  return body
}

/** struct fuse_statx_in, 24 bytes (7.39): which fields are wanted does not matter, all are given. */
export function readStatxIn(r: Reader): void {
  r.skip(24)
}
