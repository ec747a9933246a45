/**
 * What a filesystem does, one method per kind of request: the seam between the wire (clawfs/fuse) and the meaning
 * (clawfs/fs). Called by one thread, one request at a time, in the order in which the kernel gave them. Names are raw
 * bytes in the request's buffer: copy them to keep them. The kernel has already checked permissions
 * (`default_permissions`), sticky directories, read-only mounts, ETXTBSY, ELOOP and most type errors; the server checks
 * what only it can know, and what a race could have changed.
 *
 * Expected failures are returned as an `Errno`; an exception becomes EIO (or the errno of its `Fault`) and a log line.
 */
import type { NodeId } from "../core/brand.ts"
import type { Result, Status } from "../core/errno.ts"
import type { Attr, CopyFileRangeIn, InHeader, IoctlIn, SetattrIn, Statfs } from "./abi.ts"
import type { DirentPacker } from "./dirent.ts"
import type { Reply } from "./reply.ts"

/** The reply comes later, from another thread. */
export const LATER = Symbol("reply later")

export interface Creation {
  readonly mode: number
  readonly umask: number
  readonly rdev: number
}

export interface ReadRange {
  readonly offset: number
  readonly size: number
  /** Opened with O_NOATIME. */
  readonly keepsAtime: boolean
}

/**
 * Files that are opened for something: each opening has a handle above 0, which goes with it, and nothing of the files is
 * kept in the kernel's caches (FOPEN_DIRECT_IO).
 */
export interface Handles {
  open(request: InHeader, flags: number): Result<{ readonly handle: number }>
  create(
    request: InHeader,
    name: Buffer,
    /** `flags` are those of open(2). */
    creation: Creation & { readonly flags: number },
  ): Result<{ readonly attr: Attr; readonly handle: number }>
  read(handle: number, range: ReadRange, reply: Reply): Status
  write(handle: number, offset: number, data: Buffer): Status
  /** A descriptor of the opening is closed (close(2) gives the status back); there may be others. */
  flush(handle: number): Status
  release(handle: number): void
}

export interface Operations {
  /** Where it is given, OPEN, CREATE, READ, WRITE, FLUSH and RELEASE go there. */
  readonly handles?: Handles
  /** A name that does not exist is ENOENT: the protocol turns it into a negative entry that the kernel remembers. */
  lookup(request: InHeader, name: Buffer): Result<Attr> | typeof LATER
  /** Whether the kernel may remember that a lookup has found nothing under `name`. */
  isAbsenceKept(directory: NodeId, name: Buffer): boolean
  /** Gives back `count` of the lookups that entry replies handed out. At 0 an unlinked inode can go. */
  forget(node: NodeId, count: number): void
  /** Whether names, attributes or a link's target may be stored at `node`: OK, why not, or LATER. Without it they may. */
  admit?(request: InHeader, node: NodeId, texts: readonly Buffer[]): Status | typeof LATER
  getattr(request: InHeader): Result<Attr>
  setattr(request: InHeader, change: SetattrIn): Result<Attr>
  readlink(request: InHeader): Result<Uint8Array>
  symlink(request: InHeader, name: Buffer, target: Buffer): Result<Attr>
  /** Regular files, FIFOs, sockets and device nodes. */
  mknod(request: InHeader, name: Buffer, creation: Creation): Result<Attr>
  mkdir(request: InHeader, name: Buffer, creation: Creation): Result<Attr>
  unlink(request: InHeader, name: Buffer): Status
  rmdir(request: InHeader, name: Buffer): Status
  rename(request: InHeader, name: Buffer, newParent: NodeId, newName: Buffer, flags: number): Status
  link(request: InHeader, existing: NodeId, name: Buffer): Result<Attr>
  /** A file without a name; `linkat` may give it one (open(2), O_TMPFILE). */
  tmpfile(request: InHeader, creation: Creation): Result<Attr>
  /** Only where no-open is off: whether this file may be opened with these open(2) flags. */
  open(request: InHeader, flags: number, killPrivileges: boolean): Status
  /** Puts up to `size` bytes at the reply's start and advances it; fewer only at the end of the file. */
  read(request: InHeader, range: ReadRange, reply: Reply): Status
  /** All of `data`, or an error and nothing. `flags` are `WriteFlag`s. */
  write(request: InHeader, offset: number, data: Buffer, flags: number): Status | typeof LATER
  fsync(request: InHeader): typeof LATER | Status
  syncfs(request: InHeader): typeof LATER | Status
  /** A handle lets the kernel cache the listing until it is given back; 0 does not. */
  opendir(request: InHeader): number
  releasedir(handle: number): void
  readdir(request: InHeader, cookie: number, packer: DirentPacker, keepsAtime: boolean): Status | typeof LATER
  statfs(request: InHeader): Result<Statfs>
  setxattr(request: InHeader, name: Buffer, value: Buffer, flags: number, aclFlags: number): Status
  getxattr(request: InHeader, name: Buffer): Result<Uint8Array>
  /** All names, each followed by a NUL. */
  listxattr(request: InHeader): Result<Uint8Array>
  removexattr(request: InHeader, name: Buffer): Status
  fallocate(request: InHeader, mode: number, offset: number, length: number): Status
  /** SEEK_DATA and SEEK_HOLE. The result is wrapped, because a bare number would be an errno. */
  lseek(request: InHeader, offset: number, whence: number): Result<{ offset: number }>
  copyFileRange(request: InHeader, range: CopyFileRangeIn): Result<{ copied: number }>
  /** FS_IOC_GETFLAGS, SETFLAGS, FSGETXATTR, FSSETXATTR (ioctl_iflags(2)). Returns the bytes to hand back. */
  ioctl(request: InHeader, ioctl: IoctlIn, input: Buffer): Result<Uint8Array>
  /** The kernel unmounts. */
  destroy(): void
}
