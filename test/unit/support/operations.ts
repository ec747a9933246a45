/** A filesystem that does nothing and remembers what it was asked: for tests of the protocol alone. */
import type { NodeId } from "../../../clawfs/core/brand.ts"
import { OK } from "../../../clawfs/core/errno.ts"
import type { Attr, InHeader } from "../../../clawfs/fuse/abi.ts"
import type { Operations } from "../../../clawfs/fuse/operations.ts"
import { Protocol, type ProtocolOptions, type Replay } from "../../../clawfs/fuse/protocol.ts"
import { QuietLog } from "./log.ts"
import { readReply, type ReplyHead } from "./requests.ts"

export function attrOf(ino: number): Attr {
  return {
    ino: ino as NodeId,
    size: 4096,
    blocks: 8,
    atime: 1,
    mtime: 2,
    ctime: 3,
    btime: 4,
    atimeNanos: 5,
    mtimeNanos: 6,
    ctimeNanos: 7,
    btimeNanos: 8,
    mode: 0o100644,
    nlink: 1,
    uid: 1000,
    gid: 1000,
    rdev: 0,
  }
}

export const MADE = 77

/** What every operation does unless a test says otherwise: it succeeds. */
const successes: Operations = {
  lookup: () => attrOf(MADE),
  isAbsenceKept: () => true,
  forget: () => undefined,
  getattr: ({ node }) => attrOf(node),
  setattr: ({ node }) => attrOf(node),
  readlink: () => Buffer.from("target"),
  symlink: () => attrOf(MADE),
  mknod: () => attrOf(MADE),
  mkdir: () => attrOf(MADE),
  unlink: () => OK,
  rmdir: () => OK,
  rename: () => OK,
  link: () => attrOf(MADE),
  tmpfile: () => attrOf(MADE),
  open: () => OK,
  read: (_request, { size }, reply) => {
    reply.advance(Math.min(size, 100))
    return OK
  },
  write: () => OK,
  fsync: () => OK,
  syncfs: () => OK,
  opendir: () => 0x1_0000_0101,
  releasedir: () => undefined,
  readdir: (_request, _cookie, packer) => {
    for (let i = 1; packer.add(Buffer.from(`name${i}`), MADE + i, 8, i, attrOf(MADE + i)) && i < 20;) i += 1
    return OK
  },
  statfs: () => ({ blocks: 10, blocksFree: 5, blocksAvailable: 5, files: 9, filesFree: 8, nameMax: 255 }),
  setxattr: () => OK,
  getxattr: () => Buffer.from("value"),
  listxattr: () => Buffer.from("user.a\0user.b\0"),
  removexattr: () => OK,
  fallocate: () => OK,
  lseek: () => ({ offset: 4096 }),
  copyFileRange: () => ({ copied: 4096 }),
  ioctl: () => Buffer.alloc(8),
  destroy: () => undefined,
}

export interface Call {
  readonly name: string
  readonly parameters: readonly unknown[]
}

export interface FakeOperations {
  readonly operations: Operations
  readonly calls: Call[]
}

/** Every call is recorded, with buffers copied: they lie in the request's buffer. */
export function fakeOperations(overrides: Partial<Operations> = {}): FakeOperations {
  const calls: Call[] = []
  const implementation = { ...successes, ...overrides }
  const operations = Object.fromEntries(
    Object.entries(implementation).map(([name, run]) => [
      name,
      (...parameters: unknown[]): unknown => {
        calls.push({
          name,
          parameters: parameters.map((each) => (Buffer.isBuffer(each) ? Buffer.from(each) : each)),
        })
        return (run as (...all: unknown[]) => unknown)(...parameters)
      },
    ]),
  ) as unknown as Operations
  return { operations, calls }
}

export interface Wire {
  readonly protocol: Protocol
  readonly log: QuietLog
  readonly request: Buffer
  readonly reply: Buffer
  /** Hands a request over; gives the reply's head and payload, or undefined when there is none. */
  send(message: Buffer): (ReplyHead & { payload: Buffer }) | undefined
}

export const CAPACITY = 256 * 1024

/** Nothing was executed by an earlier server, and nothing waits to be. */
export const NO_REPLAY: Replay = { answer: () => undefined, catchUp: () => undefined }

/** A protocol without a device around it. */
export function wire(operations: Operations, options: Partial<ProtocolOptions> = {}): Wire {
  const log = new QuietLog()
  const [request, reply] = [Buffer.alloc(CAPACITY, 0xdd), Buffer.alloc(CAPACITY, 0xee)]
  const protocol = new Protocol(operations, request, reply, {
    writeback: false,
    openIsAsked: true,
    replay: NO_REPLAY,
    log,
    onAgreement: () => undefined,
    ...options,
  })
  return {
    protocol,
    log,
    request,
    reply,
    send(message) {
      reply.fill(0xee)
      message.copy(request)
      const length = protocol.handle(message.length)
      return length === 0 ? undefined : { ...readReply(reply), payload: reply.subarray(16, length) }
    },
  }
}

/** The header of a request as operations see it. */
export function headerOf(fields: Partial<Omit<InHeader, "node">> & { node?: number } = {}): InHeader {
  return {
    length: 40,
    opcode: 0,
    uniqueLow: 2,
    uniqueHigh: 0,
    uid: 0,
    gid: 0,
    pid: 1,
    ...fields,
    node: (fields.node ?? 1) as NodeId,
  }
}
