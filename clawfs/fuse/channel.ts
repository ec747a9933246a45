/**
 * Reads requests from and writes replies to /dev/fuse: one request a read(2), one reply a write(2).
 *
 * Waking a CPU costs more than most requests, on both sides. So the descriptor is polled for a moment before the thread
 * sleeps (measured: creations 2 × faster), and while requests follow each other closely the CPUs that wait for answers
 * are kept awake (`CpuLatency`).
 */
import { bug } from "../core/assert.ts"
import type { NodeId } from "../core/brand.ts"
import { errnoName } from "../core/errno.ts"
import type { Log } from "../core/log.ts"
import type { CpuLatency } from "../sys/cpu-latency.ts"
import { checked, lastErrno } from "../sys/ffi.ts"
import { fcntl, poll, ppoll, read, write } from "../sys/libc.ts"
import type { WakeUp } from "../sys/wake-up.ts"
import { Notify, Size, writeOutHeader } from "./abi.ts"
import { MAX_TRANSFER } from "./session.ts"
import { Writer } from "../core/bytes.ts"

/** Room for a request's header and its struct, besides the data. */
export const CHANNEL_OVERHEAD = 8192
export const CHANNEL_BUFFER = MAX_TRANSFER + CHANNEL_OVERHEAD

const SPIN_MS = 0.06
const SPIN_READS = 8
/** So many requests without a longer pause are a stream, ... */
const STREAM_REQUESTS = 4
/** ... and a pause this long ends it. */
const PAUSE_MS = 2
const POLLIN = 1
/** struct pollfd: descriptor, events, returned events. */
const POLLFD = 8
/** In struct timespec */
const TV_NSEC = 8
const F_GETFL = 3
const F_SETFL = 4
const O_NONBLOCK = 0o4000

const ENOENT = 2
const EINTR = 4
const EAGAIN = 11
const ENODEV = 19
const ECONNABORTED = 103

/** The filesystem is unmounted or the connection aborted: nothing more will come. */
export const CLOSED = -1

export interface ChannelOptions {
  readonly latency?: CpuLatency | undefined
  /** Ends the sleep without a request, so that `onQuiet` is asked. */
  readonly wake?: WakeUp
  /** Memory for requests and replies, of the transfer's size and `CHANNEL_OVERHEAD`; ordinary one unless it is given. */
  readonly buffers?: { readonly request: Buffer; readonly reply: Buffer }
}

export class Channel {
  readonly request: Buffer
  readonly reply: Buffer
  readonly #fd: number
  readonly #log: Log
  readonly #latency: CpuLatency | undefined
  readonly #wake: WakeUp | undefined
  readonly #pollfds: Buffer

  /** struct timespec */
  readonly #timeout = Buffer.alloc(16)
  /** What `onDrained` has returned last. */
  #again = 0
  /** Requests since the last pause. */
  #streak = 0

  constructor(fd: number, log: Log, { latency, wake, buffers }: ChannelOptions = {}) {
    this.request = buffers?.request ?? Buffer.allocUnsafeSlow(CHANNEL_BUFFER)
    this.reply = buffers?.reply ?? Buffer.allocUnsafeSlow(CHANNEL_BUFFER)
    this.#fd = fd
    this.#log = log
    this.#latency = latency
    this.#wake = wake
    const fds = wake === undefined ? [fd] : [fd, wake.fd]
    this.#pollfds = Buffer.alloc(fds.length * POLLFD)
    fds.forEach((each, index) => {
      this.#pollfds.writeInt32LE(each, index * POLLFD)
      this.#pollfds.writeInt16LE(POLLIN, index * POLLFD + 4)
    })
    const flags = checked("fcntl", fcntl(fd, F_GETFL, 0))
    checked("fcntl", fcntl(fd, F_SETFL, flags | O_NONBLOCK))
  }

  /**
   * Waits for a request and returns its length in `request`, or `CLOSED`. `onDrained` runs as soon as none is there, and again
   * after as many seconds as it returns, if not 0 and nothing comes.
   * `onQuiet` runs before the thread sleeps and says for how many milliseconds at most (-1: until something comes); it is
   * asked again after that time.
   */
  receive(onDrained: () => number, onQuiet: () => number): number {
    for (;;) {
      const length = this.#spin(onDrained)
      if (length > 0) {
        this.#streak += 1
        if (this.#streak === STREAM_REQUESTS) this.#latency?.hold()
        return length
      }
      const errno = lastErrno()
      if (errno === ENODEV || errno === ECONNABORTED) return CLOSED
      if (errno === EAGAIN && this.#again > 0) this.#pollFor(this.#again)
      else if (errno === EAGAIN) this.#sleep(onQuiet())
      // ENOENT: the program was killed before its request was read.
      else if (errno !== EINTR && errno !== ENOENT) bug(`read of /dev/fuse: ${errnoName(errno)}`)
    }
  }

  /** A request that is there already: its length in `request`, 0 for none, or `CLOSED`. Does not wait. */
  receiveNow(): number {
    for (;;) {
      const length = this.#read()
      if (length > 0) return length
      const errno = lastErrno()
      if (errno === EAGAIN) return 0
      if (errno === ENODEV || errno === ECONNABORTED) return CLOSED
      if (errno !== EINTR && errno !== ENOENT) bug(`read of /dev/fuse: ${errnoName(errno)}`)
    }
  }

  #sleep(milliseconds: number): void {
    if (this.#streak > 0) {
      if (this.#poll(PAUSE_MS)) return
      this.#streak = 0
      this.#latency?.release()
    }
    this.#poll(milliseconds)
  }

  #poll(milliseconds: number): boolean {
    return this.#polled(poll(this.#pollfds, this.#pollfds.length / POLLFD, milliseconds))
  }

  /** Less than a second. */
  #pollFor(seconds: number): boolean {
    this.#timeout.writeUInt32LE(Math.floor(seconds * 1e9), TV_NSEC)
    return this.#polled(ppoll(this.#pollfds, this.#pollfds.length / POLLFD, this.#timeout, null))
  }

  #polled(ready: number): boolean {
    if (ready <= 0) return false
    if (this.#wake !== undefined && this.#pollfds.readInt16LE(POLLFD + 6) !== 0) this.#wake.clear()
    return true
  }

  #spin(onDrained: () => number): number {
    let length = this.#read()
    if (length > 0 || lastErrno() !== EAGAIN) return length
    this.#again = onDrained()
    const until = performance.now() + SPIN_MS
    do {
      for (let i = 0; i < SPIN_READS; i += 1) {
        length = this.#read()
        if (length > 0 || lastErrno() !== EAGAIN) return length
      }
    } while (performance.now() < until)
    return length
  }

  #read(): number {
    return read(this.#fd, this.request, this.request.length)
  }

  /** Sends the first `length` bytes of `reply`. A program that was killed meanwhile wants no answer any more. */
  send(length: number): void {
    sendMessage(this.#fd, this.reply, length, this.#log)
  }
}

/** Writes one reply or notification; used by other threads too, with buffers of their own. */
export function sendMessage(fd: number, message: Buffer, length: number, log: Log): void {
  if (write(fd, message, length) >= 0) return
  const errno = lastErrno()
  if (errno !== ENOENT && errno !== ENODEV && errno !== ECONNABORTED) {
    log.error("the kernel refused a reply", { errno: errnoName(errno), length })
  }
}

/**
 * Asks the kernel to give again what an earlier server had read and not answered (FUSE_NOTIFY_RESEND, Linux 6.9). To be
 * sent before the first read.
 */
export function requestResend(fd: number, log: Log): void {
  const message = Buffer.alloc(Size.outHeader)
  writeOutHeader(new Writer(message), Size.outHeader, Notify.RESEND, 0, 0)
  sendMessage(fd, message, message.length, log)
}

/**
 * Makes the kernel ask again for the attributes of an inode; its pages stay. The one notification that the serving
 * thread may send: it takes no lock, as long as the inode is open in the request being served (fuse_reverse_inval_inode
 * in the kernel's fs/fuse/inode.c). Any other could wait for the request that this thread is about to answer.
 */
export function invalidateAttributes(fd: number, node: NodeId, log: Log): void {
  const message = Buffer.alloc(Size.outHeader + Size.notifyInvalInodeOut)
  const writer = new Writer(message)
  writeOutHeader(writer, message.length, Notify.INVAL_INODE, 0, 0)
  writer.i53(node).i53(ATTRIBUTES_ONLY).i53(0)
  sendMessage(fd, message, message.length, log)
}

/** A negative offset leaves the page cache alone. */
const ATTRIBUTES_ONLY = -1
