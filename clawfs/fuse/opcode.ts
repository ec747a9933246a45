/**
 * One row per opcode: its name, and how a request is decoded, run and answered. A row is written once, here. An opcode
 * without a row gets ENOSYS, which for many opcodes makes the kernel never ask again.
 *
 * ENOSYS on purpose: OPEN, CREATE (in the default no-open mode: open+read+close 60 → 2 µs, no handles to
 * restore), FLUSH (every write is committed before its reply), INTERRUPT (only fsync waits, and a program whose fsync
 * fails with EINTR would take its data for lost), ACCESS, BMAP, POLL, GETLK/SETLK (the kernel keeps locks).
 */
import type { Reader } from "../core/bytes.ts"
import { E, OK, isErrno, type Errno, type Result, type Status } from "../core/errno.ts"
import { isVirtual, type NodeId } from "../core/brand.ts"
import * as abi from "./abi.ts"
import type { Attr, InHeader } from "./abi.ts"
import { DirentPacker } from "./dirent.ts"
import { LATER, type Operations } from "./operations.ts"
import type { Reply } from "./reply.ts"

/** What a row needs besides the request. */
export interface Context {
  readonly operations: Operations
  readonly reply: Reply
  /** How long the kernel may cache names and attributes. */
  readonly ttlSeconds: number
  /** OPEN, OPENDIR and CREATE are answered. */
  readonly openIsAsked: boolean
  readonly extendedSetxattr: boolean
}

export type Outcome = Status | typeof LATER

export interface Row {
  readonly name: string
  /** Changes the tree in a way that a second execution would answer differently: replayed from the reply record. */
  readonly once?: "entry" | "count" | "status"
  run(context: Context, request: InHeader, reader: Reader): Outcome
}

/** The reply to a creation that was executed by an earlier server: CREATE and TMPFILE open the file as well. */
export function entryOrOpen(context: Context, opcode: number, attr: Attr): Status {
  return opcode === abi.Opcode.CREATE || opcode === abi.Opcode.TMPFILE
    ? created(context, attr)
    : entry(context, attr)
}

function entry(context: Context, result: Result<Attr>): Status {
  if (isErrno(result)) return result
  abi.writeEntryOut(context.reply.writer, result, ttl(context, result.ino))
  return OK
}

/** A virtual node is made up for one lookup: its name and attributes must not be cached. */
export function ttl(context: Context, node: NodeId): number {
  return isVirtual(node) ? 0 : context.ttlSeconds
}

function bytes(context: Context, result: Result<Uint8Array>): Status {
  if (isErrno(result)) return result
  context.reply.writer.put(result)
  return OK
}

/** GETXATTR and LISTXATTR: size 0 asks for the length; too small a buffer is ERANGE. */
function sized(context: Context, result: Result<Uint8Array>, size: number): Status {
  if (isErrno(result)) return result
  if (size === 0) abi.writeCountOut(context.reply.writer, result.length)
  else if (result.length > size) return E.ERANGE
  else context.reply.writer.put(result)
  return OK
}

function lookup(context: Context, request: InHeader, reader: Reader): Outcome {
  const name = reader.name()
  const result = context.operations.lookup(request, name)
  if (result === LATER) return LATER
  if (result !== E.ENOENT) return entry(context, result)
  if (!context.operations.isAbsenceKept(request.node, name)) return E.ENOENT
  abi.writeNegativeEntry(context.reply.writer, context.ttlSeconds)
  return OK
}

function attr(context: Context, result: Result<Attr>): Status {
  if (isErrno(result)) return result
  abi.writeAttrOut(context.reply.writer, result, ttl(context, result.ino))
  return OK
}

function created(context: Context, result: Result<Attr>): Status {
  const status = entry(context, result)
  if (status === OK) abi.writeOpenOut(context.reply.writer, abi.FOPEN_KEEP_CACHE)
  return status
}

function readdir(context: Context, request: InHeader, reader: Reader, plus: boolean): Outcome {
  const { offset, size, flags } = abi.readReadIn(reader)
  const packer = new DirentPacker(context.reply, size, plus, context.ttlSeconds)
  return context.operations.readdir(request, offset, packer, (flags & O_NOATIME) !== 0)
}

function open(context: Context, request: InHeader, reader: Reader): Status {
  if (!context.openIsAsked) return E.ENOSYS
  const { flags, openFlags } = abi.readOpenIn(reader)
  const status = context.operations.open(request, flags, (openFlags & abi.OPEN_KILL_SUIDGID) !== 0)
  if (status === OK) abi.writeOpenOut(context.reply.writer, abi.FOPEN_KEEP_CACHE)
  return status
}

/** Always answered: where it is not, the kernel caches every listing, and loses names (see `fs/listings.ts`). */
function opendir(context: Context, request: InHeader): Status {
  const handle = context.operations.opendir(request)
  const flags = handle === 0 ? abi.FOPEN_KEEP_CACHE : abi.FOPEN_KEEP_CACHE | abi.FOPEN_CACHE_DIR
  abi.writeOpenOut(context.reply.writer, flags, handle)
  return OK
}

function releasedir(context: Context, _: InHeader, reader: Reader): Status {
  context.operations.releasedir(abi.readReleaseIn(reader).handle)
  return OK
}

function write(context: Context, request: InHeader, reader: Reader): Outcome {
  const { offset, size, flags } = abi.readWriteIn(reader)
  const status = context.operations.write(request, offset, reader.bytes(size), flags)
  return status === OK ? countReply(context, request.opcode, size) : status
}

function copyFileRange(context: Context, request: InHeader, reader: Reader): Status {
  const result = context.operations.copyFileRange(request, abi.readCopyFileRangeIn(reader))
  return isErrno(result) ? result : countReply(context, request.opcode, result.copied)
}

/** How many bytes were written or copied. */
export function countReply(context: Context, opcode: number, count: number): Status {
  if (opcode === abi.Opcode.COPY_FILE_RANGE_64) context.reply.writer.i53(count)
  else abi.writeCountOut(context.reply.writer, count)
  return OK
}

function forgetMany(context: Context, reader: Reader): void {
  const count = reader.u32()
  reader.skip(4)
  for (let i = 0; i < count; i += 1) {
    const one = abi.readForgetOne(reader)
    context.operations.forget(one.node, one.count)
  }
}

const O = abi.Opcode

/** FORGET and BATCH_FORGET get no reply whatever happens. */
export const NO_REPLY: ReadonlyMap<number, (context: Context, request: InHeader, reader: Reader) => void> =
  new Map([
    [O.FORGET, (c: Context, q: InHeader, r: Reader): void => c.operations.forget(q.node, r.u53Clamped())],
    [O.BATCH_FORGET, (c: Context, _: InHeader, r: Reader): void => forgetMany(c, r)],
  ])

const ok = (): Errno | typeof OK => OK

/** Indexed by opcode; INIT is the session's. */
export const ROWS: ReadonlyMap<number, Row> = new Map<number, Row>([
  [O.LOOKUP, { name: "LOOKUP", run: lookup }],
  [O.GETATTR, { name: "GETATTR", run: (c, q) => attr(c, c.operations.getattr(q)) }],
  [O.SETATTR, { name: "SETATTR", run: (c, q, r) => attr(c, c.operations.setattr(q, abi.readSetattrIn(r))) }],
  [O.STATX, { name: "STATX", run: statx }],
  [O.READLINK, { name: "READLINK", run: (c, q) => bytes(c, c.operations.readlink(q)) }],
  [O.SYMLINK, { name: "SYMLINK", once: "entry", run: symlink }],
  [O.MKNOD, { name: "MKNOD", once: "entry", run: mknod }],
  [O.MKDIR, { name: "MKDIR", once: "entry", run: mkdir }],
  [O.UNLINK, { name: "UNLINK", once: "status", run: (c, q, r) => c.operations.unlink(q, r.name()) }],
  [O.RMDIR, { name: "RMDIR", once: "status", run: (c, q, r) => c.operations.rmdir(q, r.name()) }],
  [O.RENAME, { name: "RENAME", once: "status", run: rename }],
  [O.RENAME2, { name: "RENAME2", once: "status", run: rename2 }],
  [O.LINK, { name: "LINK", once: "entry", run: link }],
  [O.OPEN, { name: "OPEN", run: open }],
  [O.CREATE, { name: "CREATE", once: "entry", run: create }],
  [O.TMPFILE, { name: "TMPFILE", once: "entry", run: tmpfile }],
  [O.READ, { name: "READ", run: read }],
  [O.WRITE, { name: "WRITE", once: "count", run: write }],
  [O.STATFS, { name: "STATFS", run: statfs }],
  [O.RELEASE, { name: "RELEASE", run: ok }],
  [O.FSYNC, { name: "FSYNC", run: (c, q) => c.operations.fsync(q) }],
  [O.FSYNCDIR, { name: "FSYNCDIR", run: (c, q) => c.operations.fsync(q) }],
  [O.SYNCFS, { name: "SYNCFS", run: (c, q) => c.operations.syncfs(q) }],
  [O.SETXATTR, { name: "SETXATTR", once: "status", run: setxattr }],
  [O.GETXATTR, { name: "GETXATTR", run: getxattr }],
  [
    O.LISTXATTR,
    { name: "LISTXATTR", run: (c, q, r) => sized(c, c.operations.listxattr(q), abi.readGetxattrIn(r).size) },
  ],
  [
    O.REMOVEXATTR,
    { name: "REMOVEXATTR", once: "status", run: (c, q, r) => c.operations.removexattr(q, r.name()) },
  ],
  [O.OPENDIR, { name: "OPENDIR", run: opendir }],
  [O.READDIR, { name: "READDIR", run: (c, q, r) => readdir(c, q, r, false) }],
  [O.READDIRPLUS, { name: "READDIRPLUS", run: (c, q, r) => readdir(c, q, r, true) }],
  [O.RELEASEDIR, { name: "RELEASEDIR", run: releasedir }],
  [O.FALLOCATE, { name: "FALLOCATE", run: fallocate }],
  [O.LSEEK, { name: "LSEEK", run: lseek }],
  [O.COPY_FILE_RANGE, { name: "COPY_FILE_RANGE", once: "count", run: copyFileRange }],
  [O.COPY_FILE_RANGE_64, { name: "COPY_FILE_RANGE_64", once: "count", run: copyFileRange }],
  [O.IOCTL, { name: "IOCTL", run: ioctl }],
  [O.DESTROY, { name: "DESTROY", run: destroy }],
])

function statx(context: Context, request: InHeader, reader: Reader): Status {
  abi.readStatxIn(reader)
  const result = context.operations.getattr(request)
  if (isErrno(result)) return result
  abi.writeStatxOut(context.reply.writer, result, ttl(context, result.ino))
  return OK
}

/** Runs what stores `texts` at `node`, if they may be there. */
function admitted(
  { operations }: Context,
  request: InHeader,
  { node, texts }: { readonly node: NodeId; readonly texts: readonly Buffer[] },
  run: () => Outcome,
): Outcome {
  const verdict = operations.admit?.(request, node, texts) ?? OK
  return verdict === OK ? run() : verdict
}

function symlink(context: Context, request: InHeader, reader: Reader): Outcome {
  const [name, target] = [reader.name(), reader.name()]
  return admitted(context, request, { node: request.node, texts: [name, target] }, () =>
    entry(context, context.operations.symlink(request, name, target)),
  )
}

function mknod(context: Context, request: InHeader, reader: Reader): Outcome {
  const creation = abi.readMknodIn(reader)
  const name = reader.name()
  return admitted(context, request, { node: request.node, texts: [name] }, () =>
    entry(context, context.operations.mknod(request, name, creation)),
  )
}

function mkdir(context: Context, request: InHeader, reader: Reader): Outcome {
  const creation = { ...abi.readMkdirIn(reader), rdev: 0 }
  const name = reader.name()
  return admitted(context, request, { node: request.node, texts: [name] }, () =>
    entry(context, context.operations.mkdir(request, name, creation)),
  )
}

function rename(context: Context, request: InHeader, reader: Reader): Outcome {
  return renamed(context, request, reader, { newParent: reader.u53() as NodeId, flags: 0 })
}

function rename2(context: Context, request: InHeader, reader: Reader): Outcome {
  return renamed(context, request, reader, abi.readRename2In(reader))
}

function renamed(
  context: Context,
  request: InHeader,
  reader: Reader,
  { newParent, flags }: { readonly newParent: NodeId; readonly flags: number },
): Outcome {
  const [name, newName] = [reader.name(), reader.name()]
  return admitted(context, request, { node: newParent, texts: [newName] }, () =>
    context.operations.rename(request, name, newParent, newName, flags),
  )
}

function link(context: Context, request: InHeader, reader: Reader): Outcome {
  const existing = reader.u53() as NodeId
  const name = reader.name()
  return admitted(context, request, { node: request.node, texts: [name] }, () =>
    entry(context, context.operations.link(request, existing, name)),
  )
}

/** Asked for on a name that the kernel believes to be missing; another request may have made it meanwhile. */
function create(context: Context, request: InHeader, reader: Reader): Outcome {
  if (!context.openIsAsked) return E.ENOSYS
  const creation = { ...abi.readCreateIn(reader), rdev: 0 }
  const name = reader.name()
  return admitted(context, request, { node: request.node, texts: [name] }, () => {
    const made = context.operations.mknod(request, name, creation)
    const exclusive = (creation.flags & O_EXCL) !== 0
    const result = made === E.EEXIST && !exclusive ? context.operations.lookup(request, name) : made
    return result === LATER ? LATER : created(context, result)
  })
}

/** open(2) */
const O_EXCL = 0o200
const O_NOATIME = 0o1000000

function tmpfile(context: Context, request: InHeader, reader: Reader): Status {
  return created(context, context.operations.tmpfile(request, { ...abi.readCreateIn(reader), rdev: 0 }))
}

function read(context: Context, request: InHeader, reader: Reader): Status {
  const { offset, size, flags } = abi.readReadIn(reader)
  const range = {
    offset,
    size: Math.min(size, context.reply.capacity),
    keepsAtime: (flags & O_NOATIME) !== 0,
  }
  return context.operations.read(request, range, context.reply)
}

function statfs(context: Context, request: InHeader): Status {
  const result = context.operations.statfs(request)
  if (isErrno(result)) return result
  abi.writeKstatfs(context.reply.writer, result)
  return OK
}

function setxattr(context: Context, request: InHeader, reader: Reader): Outcome {
  const { size, flags, aclFlags } = abi.readSetxattrIn(reader, context.extendedSetxattr)
  const name = reader.name()
  const value = reader.bytes(size)
  return admitted(context, request, { node: request.node, texts: [name, value] }, () =>
    context.operations.setxattr(request, name, value, flags, aclFlags),
  )
}

function getxattr(context: Context, request: InHeader, reader: Reader): Status {
  const { size } = abi.readGetxattrIn(reader)
  return sized(context, context.operations.getxattr(request, reader.name()), size)
}

function fallocate(context: Context, request: InHeader, reader: Reader): Status {
  const { offset, length, mode } = abi.readFallocateIn(reader)
  return context.operations.fallocate(request, mode, offset, length)
}

function lseek(context: Context, request: InHeader, reader: Reader): Status {
  const { offset, whence } = abi.readLseekIn(reader)
  const result = context.operations.lseek(request, offset, whence)
  if (isErrno(result)) return result
  context.reply.writer.i53(result.offset)
  return OK
}

function ioctl(context: Context, request: InHeader, reader: Reader): Status {
  const head = abi.readIoctlIn(reader)
  const result = context.operations.ioctl(
    request,
    head,
    reader.bytes(Math.min(head.inSize, reader.remaining)),
  )
  if (isErrno(result)) return result
  if (result.length > head.outSize) return E.EINVAL
  abi.writeIoctlOut(context.reply.writer, 0)
  context.reply.writer.put(result)
  return OK
}

function destroy(context: Context): Status {
  context.operations.destroy()
  return OK
}
