/**
 * Many descriptors in the event loop, for a short time each, through one epoll(7) instance: koffi keeps some 5 KiB for ever of
 * every handle that `pollReadable` makes, so that is for what is watched as long as the process lives.
 */
import { bind, checked, lastErrno, pollReadable, sysFault, type PollHandle } from "./ffi.ts"

const epollCreate = bind<[flags: number]>("int epoll_create1(int)")
const epollCtl = bind<[epoll: number, operation: number, fd: number, event: Buffer]>(
  "int epoll_ctl(int, int, int, void*)",
)
const epollWait = bind<[epoll: number, events: Buffer, count: number, timeoutMs: number]>(
  "int epoll_wait(int, void*, int, int)",
)

const EPOLL_CLOEXEC = 0o2000000
const EPOLL_CTL_ADD = 1
const EPOLL_CTL_DEL = 2
const EPOLLIN = 1
const EPOLLRDHUP = 0x2000
const EINTR = 4
/** struct epoll_event: packed on x86-64 alone. */
const [EVENT_BYTES, DATA_AT] = process.arch === "x64" ? [12, 4] : [16, 8]
const MOST_AT_ONCE = 64

interface Instance {
  readonly fd: number
  /** Kept: one that is garbage-collected falls silent. */
  readonly handle: PollHandle
}

const callbacks = new Map<number, () => void>()
let instance: Instance | undefined
let nextToken = 1

/**
 * As `pollReadable`. Close it before the descriptor. It does not keep the process alive: what has something else to wait for
 * is meant.
 */
export function watchReadable(fd: number, onReadable: () => void): PollHandle {
  instance ??= create()
  const { fd: epoll } = instance
  const token = nextToken
  nextToken += 1
  const event = Buffer.alloc(EVENT_BYTES)
  event.writeUInt32LE(EPOLLIN | EPOLLRDHUP, 0)
  event.writeBigUInt64LE(BigInt(token), DATA_AT)
  checked("epoll_ctl", epollCtl(epoll, EPOLL_CTL_ADD, fd, event))
  callbacks.set(token, onReadable)
  return {
    close: () => {
      if (callbacks.delete(token)) checked("epoll_ctl", epollCtl(epoll, EPOLL_CTL_DEL, fd, event))
    },
  }
}

function create(): Instance {
  const fd = checked("epoll_create1", epollCreate(EPOLL_CLOEXEC))
  return { fd, handle: pollReadable(fd, () => dispatch(fd), { keepsAlive: false }) }
}

function dispatch(epoll: number): void {
  const events = Buffer.alloc(EVENT_BYTES * MOST_AT_ONCE)
  const count = epollWait(epoll, events, MOST_AT_ONCE, 0)
  if (count < 0 && lastErrno() !== EINTR) throw sysFault("epoll_wait")
  for (let at = 0; at < count; at += 1) {
    // One that an earlier callback has closed is not there any more.
    callbacks.get(Number(events.readBigUInt64LE(EVENT_BYTES * at + DATA_AT)))?.()
  }
}
