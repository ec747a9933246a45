/** One inode as the server works with it: the row of table `inode`, mutable, with what stat(2) derives from it. */
import type { NodeId } from "../core/brand.ts"
import type { Timestamp } from "../sys/clock.ts"

export const S_IFMT = 0o170000
export const S_IFREG = 0o100000
export const S_IFDIR = 0o040000
export const S_IFLNK = 0o120000
export const S_IFCHR = 0o020000
export const S_ISUID = 0o4000
export const S_ISGID = 0o2000
export const S_IXGRP = 0o010
export const PERMISSIONS = 0o7777

/** Attributes that ioctl_iflags(2) shows, with their kernel numbers (linux/fs.h). */
export const InodeFlag = {
  SYNC: 0x8,
  IMMUTABLE: 0x10,
  APPEND: 0x20,
  NODUMP: 0x40,
  NOATIME: 0x80,
  DIRSYNC: 0x1_0000,
  /** Internal, never shown: there are rows in `xattr`, so a GETXATTR miss needs no query when this is off. */
  HAS_XATTR: 0x0100_0000,
  HAS_ACCESS_ACL: 0x0200_0000,
  HAS_DEFAULT_ACL: 0x0400_0000,
  /** Made by O_TMPFILE and not linked yet: `link` may raise its count from 0. */
  UNNAMED: 0x0800_0000,
} as const

export const USER_FLAGS =
  InodeFlag.SYNC |
  InodeFlag.IMMUTABLE |
  InodeFlag.APPEND |
  InodeFlag.NODUMP |
  InodeFlag.NOATIME |
  InodeFlag.DIRSYNC

/** stat(2) counts in 512-byte sectors; allocation is shown in 4 KiB blocks as on ext4. */
const SECTORS_PER_BLOCK = 8
const BLOCK = 4096

export class Inode {
  readonly ino: NodeId
  mode: number
  nlink: number
  uid: number
  gid: number
  readonly rdev: number
  size = 0
  /** Bytes that are stored or reserved: inline, records, unwritten. */
  alloc = 0
  flags = 0
  /** Directories: the directory above. Others: 0. */
  parent = 0
  /** The innermost tree that it belongs to (`trees.ts`); 0: none. */
  tree = 0
  /** The key of its contents, which other inodes may share; see `Contents`. */
  body: number
  /** Nobody else has `body`: it may be written to. In memory only; false while unknown. */
  isSole = false
  inlineOffset = 0
  inlineLength = 0
  atime = 0
  atimeNanos = 0
  mtime = 0
  mtimeNanos = 0
  ctime = 0
  ctimeNanos = 0
  btime = 0
  btimeNanos = 0
  /** Sum over a directory's names, or over the extents of a body (`checksum.ts`). */
  partSum = 0
  /** The extents were found to be all there. In memory only. */
  isWhole = false
  /** No extent reaches beyond this; -1 while unknown. In memory only. */
  extentsEnd = -1

  constructor(ino: NodeId, mode: number, nlink: number, uid: number, gid: number, rdev: number) {
    this.ino = ino
    this.mode = mode
    this.nlink = nlink
    this.uid = uid
    this.gid = gid
    this.rdev = rdev
    this.body = ino
  }

  get blocks(): number {
    return Math.ceil(this.alloc / BLOCK) * SECTORS_PER_BLOCK
  }

  get isDirectory(): boolean {
    return (this.mode & S_IFMT) === S_IFDIR
  }

  get isRegular(): boolean {
    return (this.mode & S_IFMT) === S_IFREG
  }

  get isSymlink(): boolean {
    return (this.mode & S_IFMT) === S_IFLNK
  }

  /** The file type of a directory entry (DT_DIR and so on). */
  get type(): number {
    return this.mode >>> 12
  }

  has(flag: number): boolean {
    return (this.flags & flag) !== 0
  }

  setFlag(flag: number, on: boolean): void {
    this.flags = on ? this.flags | flag : this.flags & ~flag
  }

  /** Nothing belongs to it yet: its checksum is known. */
  beginEmpty(): void {
    this.partSum = 0
    this.isWhole = true
  }

  touchChange(t: Timestamp): void {
    this.ctime = t.seconds
    this.ctimeNanos = t.nanos
  }

  /** Contents changed: mtime and ctime. */
  touchContents(t: Timestamp): void {
    this.mtime = t.seconds
    this.mtimeNanos = t.nanos
    this.touchChange(t)
  }

  touchAccess(t: Timestamp): void {
    this.atime = t.seconds
    this.atimeNanos = t.nanos
  }
}
