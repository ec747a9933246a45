/** Composes the parts into the `Operations` that the protocol calls: virtual files first, then the store. */
import { isVirtual, type NodeId } from "../core/brand.ts"
import { E, OK, isErrno, type Errno, type Result, type Status } from "../core/errno.ts"
import type { Attr, CopyFileRangeIn, InHeader, IoctlIn, SetattrIn, Statfs } from "../fuse/abi.ts"
import type { DirentPacker } from "../fuse/dirent.ts"
import type { Creation, LATER, Operations, ReadRange } from "../fuse/operations.ts"
import type { Once, Replay } from "../fuse/protocol.ts"
import type { Reply } from "../fuse/reply.ts"
import { InodeFlag, S_IFDIR } from "../store/inode.ts"
import { flushAccessTimes, hasManyAccessTimes } from "./access-time.ts"
import { setattr } from "./attributes.ts"
import * as directory from "./directory.ts"
import { countLookup, inodeOf, refusal, visibleInodeOf, type Environment } from "./environment.ts"
import * as file from "./file.ts"
import { ioctl } from "./inode-flags.ts"
import { NO_HANDLE } from "./listings.ts"
import { dropPrivileges } from "./privileges.ts"
import { shownWithinLimits } from "./quota.ts"
import { rename } from "./rename.ts"
import type { SearchDirectories } from "./search-directories.ts"
import { SnapshotLinks, WorkspaceSnapshots } from "./workspace-snapshots.ts"
import { VirtualFile, VirtualLink, type VirtualFiles, type VirtualNodes } from "./virtual.ts"
import * as xattr from "./xattr.ts"

/** Inodes are rows: as many as fit the disk. statfs shows this many in all. */
const MAX_INODES = 2 ** 40

const FALLOC_FL_PUNCH_HOLE = 2
/** Belongs to no name, and to no value in any encoding. */
const BETWEEN = Buffer.from([0])
const O_ACCMODE = 3
const O_TRUNC = 0o1000
const O_APPEND = 0o2000

export class FileSystem implements Operations, Replay {
  readonly #env: Environment
  readonly #virtual: VirtualFiles
  readonly #nodes: VirtualNodes
  readonly #searches: SearchDirectories | undefined
  readonly #snapshots: WorkspaceSnapshots

  /** `searches`: undefined where there is no search. */
  constructor(env: Environment, virtual: VirtualFiles, nodes: VirtualNodes, searches?: SearchDirectories) {
    this.#env = env
    this.#virtual = virtual
    this.#nodes = nodes
    this.#searches = searches
    this.#snapshots = new WorkspaceSnapshots(env, nodes)
  }

  catchUp(): void {
    this.#env.store.catchUp()
  }

  answer(request: InHeader, kind: Once): ReturnType<Replay["answer"]> {
    const value = this.#env.store.replyOf(request)
    if (value === undefined) return undefined
    if (kind === "status") return OK
    if (kind === "count") return { count: value }
    const inode = visibleInodeOf(this.#env, value as NodeId)
    return isErrno(inode) ? inode : countLookup(this.#env, request, inode)
  }

  lookup(request: InHeader, name: Buffer): Result<Attr> | typeof LATER {
    return (
      this.#virtual.lookup(request, name) ??
      this.#searches?.lookup(request, name) ??
      this.#lookup(request, name)
    )
  }

  #lookup(request: InHeader, name: Buffer): Result<Attr> {
    const { node } = request
    if (this.#nodes.get(node) instanceof SnapshotLinks) return this.#snapshots.lookup(node, name)
    const found = this.#on(request, () => directory.lookup(this.#env, request, name), E.ENOTDIR)
    return found === E.ENOENT ? this.#snapshots.lookup(node, name) : found
  }

  isAbsenceKept(directory: NodeId, name: Buffer): boolean {
    return !this.#snapshots.comesAndGoes(directory, name)
  }

  forget(node: NodeId, count: number): void {
    if (isVirtual(node)) {
      this.#nodes.forget(node, count)
      return
    }
    if (this.#env.lookups.subtract(node, count) > 0) return
    if (this.#env.orphans.delete(node)) this.#env.store.release(node)
  }

  getattr(request: InHeader): Result<Attr> {
    return this.#nodes.get(request.node) ?? visibleInodeOf(this.#env, request.node)
  }

  setattr(request: InHeader, change: SetattrIn): Result<Attr> {
    return this.#on(request, () => setattr(this.#env, request, change))
  }

  readlink(request: InHeader): Result<Uint8Array> {
    const node = this.#nodes.get(request.node)
    if (node instanceof VirtualLink) return node.target
    return this.#on(request, () => directory.readlink(this.#env, request), E.EINVAL)
  }

  symlink(request: InHeader, name: Buffer, target: Buffer): Result<Attr> {
    this.#env.store.requireRoom()
    return this.#naming(request.node, name) ?? directory.symlink(this.#env, request, name, target)
  }

  mknod(request: InHeader, name: Buffer, creation: Creation): Result<Attr> {
    this.#env.store.requireRoom()
    return this.#naming(request.node, name) ?? directory.create(this.#env, request, name, creation)
  }

  mkdir(request: InHeader, name: Buffer, creation: Creation): Result<Attr> {
    this.#env.store.requireRoom()
    const mode = S_IFDIR | (creation.mode & 0o7777)
    return (
      this.#naming(request.node, name) ?? directory.create(this.#env, request, name, { ...creation, mode })
    )
  }

  unlink(request: InHeader, name: Buffer): Status {
    if (this.#virtual.reserves(request.node, name)) return E.EPERM
    return this.#unnamed(request, name, () => directory.remove(this.#env, request, name, false))
  }

  rmdir(request: InHeader, name: Buffer): Status {
    if (this.#virtual.reserves(request.node, name)) return E.ENOTDIR
    return this.#unnamed(request, name, () => directory.remove(this.#env, request, name, true))
  }

  rename(request: InHeader, name: Buffer, newParent: NodeId, newName: Buffer, flags: number): Status {
    if (isVirtual(newParent)) return E.EROFS
    if (this.#virtual.reserves(request.node, name) || this.#naming(newParent, newName) !== undefined)
      return E.EPERM
    return this.#unnamed(request, name, () => rename(this.#env, request, name, { newParent, newName, flags }))
  }

  link(request: InHeader, existing: NodeId, name: Buffer): Result<Attr> {
    if (isVirtual(existing)) return E.EPERM
    this.#env.store.requireRoom()
    return this.#naming(request.node, name) ?? directory.link(this.#env, request, existing, name)
  }

  tmpfile(request: InHeader, creation: Creation): Result<Attr> {
    this.#env.store.requireRoom()
    return directory.tmpfile(this.#env, request, creation)
  }

  open(request: InHeader, flags: number, killPrivileges: boolean): Status {
    if (isVirtual(request.node)) return (flags & O_ACCMODE) === 0 ? OK : E.EPERM
    const inode = inodeOf(this.#env, request.node)
    if (isErrno(inode)) return inode
    const writes = (flags & O_ACCMODE) !== 0 || (flags & O_TRUNC) !== 0
    const bad = writes ? refusal(this.#env, inode) : undefined
    if (bad !== undefined) return bad
    if (writes && inode.has(InodeFlag.APPEND) && ((flags & O_APPEND) === 0 || (flags & O_TRUNC) !== 0))
      return E.EPERM
    if (killPrivileges) {
      this.#env.store.transact(() => {
        dropPrivileges(inode, request)
        this.#env.store.inodes.save(inode)
      })
    }
    return OK
  }

  read(request: InHeader, range: ReadRange, reply: Reply): Status {
    const virtual = this.#nodes.get(request.node)
    if (!(virtual instanceof VirtualFile))
      return this.#on(request, () => file.read(this.#env, request, range, reply))
    reply.writer.put(virtual.text.subarray(range.offset, range.offset + range.size))
    return OK
  }

  admit(request: InHeader, node: NodeId, texts: readonly Buffer[]): Status | typeof LATER {
    const inode = this.#env.store.inodes.get(node)
    const action = inode === undefined ? undefined : file.guardOf(this.#env, inode)
    if (inode === undefined || action === undefined) return OK
    const data = Buffer.concat(texts.flatMap((text, at) => (at === 0 ? [text] : [BETWEEN, text])))
    const write = { inode, action, offset: 0, data, isFromCache: false, isText: true }
    return this.#env.guard?.(request, write) ?? OK
  }

  write(request: InHeader, offset: number, data: Buffer, flags: number): Status | typeof LATER {
    this.#env.store.requireRoom()
    return this.#on(request, () => file.write(this.#env, request, offset, data, flags))
  }

  fsync(request: InHeader): typeof LATER | Status {
    return this.#env.syncLater(request)
  }

  syncfs(request: InHeader): typeof LATER | Status {
    return this.#env.syncLater(request)
  }

  opendir(request: InHeader): number {
    // What a directory of snapshots shows changes behind the kernel's back.
    if (this.#nodes.get(request.node) instanceof SnapshotLinks) return NO_HANDLE
    return this.#env.listings.open(request)
  }

  releasedir(handle: number): void {
    this.#env.listings.close(handle)
  }

  readdir(
    request: InHeader,
    cookie: number,
    packer: DirentPacker,
    keepsAtime: boolean,
  ): Status | typeof LATER {
    const found =
      this.#snapshots.readdir(request, cookie, packer) ?? this.#searches?.readdir(request, cookie, packer)
    if (found !== undefined) return found
    return directory.readdir(this.#env, request, { cookie, keepsAtime }, packer)
  }

  statfs(request: InHeader): Result<Statfs> {
    const { usedBytes, availableBytes, totalBytes, inodes } = this.#env.store.space()
    // The disk below is shared with others: "free" is what this filesystem does not use, "available" what the disk has.
    const blocks = Math.floor(totalBytes / file.STATFS_BLOCK)
    const whole = {
      blocks,
      blocksFree: Math.max(0, blocks - Math.ceil(usedBytes / file.STATFS_BLOCK)),
      blocksAvailable: Math.floor(availableBytes / file.STATFS_BLOCK),
      files: MAX_INODES,
      filesFree: MAX_INODES - inodes,
      nameMax: directory.NAME_MAX,
    }
    const tree = this.#env.store.inodes.get(request.node)?.tree ?? 0
    return shownWithinLimits(this.#env, tree, file.STATFS_BLOCK, whole)
  }

  setxattr(request: InHeader, name: Buffer, value: Buffer, flags: number, aclFlags: number): Status {
    this.#env.store.requireRoom()
    return this.#on(request, () =>
      xattr.setxattr(this.#env, request, name, value, { set: flags, acl: aclFlags }),
    )
  }

  getxattr(request: InHeader, name: Buffer): Result<Uint8Array> {
    const node = this.#nodes.get(request.node)
    if (node instanceof VirtualLink) return node.attributes.get(name.toString("latin1")) ?? E.ENODATA
    return this.#on(request, () => xattr.getxattr(this.#env, request, name), E.ENODATA)
  }

  listxattr(request: InHeader): Result<Uint8Array> {
    const node = this.#nodes.get(request.node)
    if (node instanceof VirtualLink)
      return Buffer.from([...node.attributes.keys()].map((name) => `${name}\0`).join(""), "latin1")
    return isVirtual(request.node) ? Buffer.alloc(0) : xattr.listxattr(this.#env, request)
  }

  removexattr(request: InHeader, name: Buffer): Status {
    return this.#on(request, () => xattr.removexattr(this.#env, request, name))
  }

  fallocate(request: InHeader, mode: number, offset: number, length: number): Status {
    if ((mode & FALLOC_FL_PUNCH_HOLE) === 0) this.#env.store.requireRoom()
    return this.#on(request, () => file.fallocate(this.#env, request, mode, offset, length))
  }

  lseek(request: InHeader, offset: number, whence: number): Result<{ offset: number }> {
    return this.#on(request, () => file.lseek(this.#env, request, offset, whence), E.EINVAL)
  }

  copyFileRange(request: InHeader, range: CopyFileRangeIn): Result<{ copied: number }> {
    this.#env.store.requireRoom()
    // EXDEV makes the program copy the bytes itself.
    return this.#on(request, () => file.copyFileRange(this.#env, request, range), E.EXDEV)
  }

  ioctl(request: InHeader, head: IoctlIn, input: Buffer): Result<Uint8Array> {
    return this.#on(request, () => ioctl(this.#env, request, head, input), E.ENOTTY)
  }

  destroy(): void {
    this.settle()
  }

  /** So much waits for a quiet moment that it should not wait any longer. */
  get mustSettle(): boolean {
    return this.#env.store.hasManyReleased || hasManyAccessTimes(this.#env)
  }

  /** Writes what waits for a quiet moment, and commits. */
  settle(): void {
    flushAccessTimes(this.#env)
    this.#env.store.settle()
  }

  /** Runs an operation of the store; a virtual node gets `otherwise`. */
  #on<T>(request: InHeader, run: () => T, otherwise = E.EPERM): T | typeof otherwise {
    return isVirtual(request.node) ? otherwise : run()
  }

  /** Takes a name away; nothing takes away what is not in the store. */
  #unnamed(request: InHeader, name: Buffer, run: () => Status): Status {
    if (isVirtual(request.node)) return E.EROFS
    const status = run()
    return status === E.ENOENT && this.#snapshots.isShown(request.node, name) ? E.EROFS : status
  }

  /** EEXIST for a name that a virtual file has, EROFS in a virtual directory. */
  #naming(parent: NodeId, name: Buffer): Errno | undefined {
    if (isVirtual(parent)) return E.EROFS
    return this.#virtual.reserves(parent, name) || this.#searches?.reserves(name) === true
      ? E.EEXIST
      : undefined
  }
}
