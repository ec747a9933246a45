/**
 * Local sockets that keep messages apart (unix(7), SOCK_SEQPACKET), pass descriptors with them, and tell who is at the other
 * end. Synchronous: a client waits for its answer, a server polls. Node has none of this.
 */
import { closeSync, constants, openSync } from "node:fs"
import { Fault } from "../core/fault.ts"
import { addressOf, checked, lastErrno } from "./ffi.ts"
import {
  accept4,
  bindSocket,
  close,
  connect as connectCall,
  getsockopt,
  listen as listenCall,
  recvmsg,
  sendmsg,
  setsockopt,
  socket,
} from "./libc.ts"
import {
  AF_UNIX,
  MSG_CMSG_CLOEXEC,
  SCM_RIGHTS,
  SOCK_CLOEXEC,
  SOL_SOCKET,
  SO_PEERCRED,
  addressOfPath,
} from "./unix-socket.ts"

const SEQPACKET_CLOEXEC = 5 | SOCK_CLOEXEC
const SO_RCVTIMEO = 20
const SO_PEERPIDFD = 77
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
const MSG_TRUNC = 0x20
const MSG_CTRUNC = 0x08
const BACKLOG = 64
/** To walk through a directory that may not be read (open(2)). */
const O_PATH = 0o10000000
const IOVEC = 16
const MSGHDR = 56
const MSGHDR_FLAGS_AT = 48
const CMSGHDR = 16
const ENOENT = 2
const EINTR = 4
const EAGAIN = 11
const ECONNREFUSED = 111

export const MOST_DESCRIPTORS = 16
export const MOST_MESSAGE_BYTES = 64 * 1024

/** Runs `work` with a path of `directory/name` that is short enough for a socket's address. */
export function throughShortPath<T>(directory: string, name: string, work: (path: string) => T): T {
  const fd = openSync(directory, O_PATH | constants.O_DIRECTORY)
  try {
    return work(`/proc/self/fd/${fd}/${name}`)
  } finally {
    closeSync(fd)
  }
}

/** A socket that listens on `path`, where nothing may be. Owner: the caller, who closes it. */
export function listenOn(path: string): number {
  const fd = checked("socket", socket(AF_UNIX, SEQPACKET_CLOEXEC, 0))
  try {
    const address = addressOfPath(path)
    checked("bind", bindSocket(fd, address, address.length))
    checked("listen", listenCall(fd, BACKLOG))
    return fd
  } catch (thrown) {
    close(fd)
    throw thrown
  }
}

/** The next client; undefined when none waits any more. */
export function acceptOn(listener: number): number | undefined {
  const fd = accept4(listener, null, null, SOCK_CLOEXEC)
  return fd < 0 ? undefined : fd
}

/** Undefined where nobody listens. */
export function connectTo(path: string, timeoutSeconds: number): number | undefined {
  const fd = checked("socket", socket(AF_UNIX, SEQPACKET_CLOEXEC, 0))
  const timeout = Buffer.alloc(16)
  timeout.writeBigInt64LE(BigInt(timeoutSeconds))
  const address = addressOfPath(path)
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.length) === 0) {
    if (uninterrupted(() => connectCall(fd, address, address.length)) === 0) return fd
    const errno = lastErrno()
    close(fd)
    if (errno === ENOENT || errno === ECONNREFUSED) return undefined
    throw new Fault(errno === 13 ? "denied" : "io", `can't connect to ${path} (errno ${errno})`)
  }
  close(fd)
  throw new Fault("io", "setsockopt failed")
}

export interface Peer {
  readonly pid: number
  readonly uid: number
  readonly gid: number
  /** Stands for the process itself, whoever gets its number later; undefined before Linux 6.5. Owner: the caller. */
  readonly pidfd: number | undefined
}

/** Who called connect(2), as the kernel noted it then. */
export function peerOf(fd: number): Peer {
  const [credentials, length] = [Buffer.alloc(12), Buffer.alloc(4)]
  length.writeUInt32LE(credentials.length)
  checked("getsockopt", getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length))
  const [value, size] = [Buffer.alloc(4), Buffer.alloc(4)]
  size.writeUInt32LE(value.length)
  const hasPidfd = getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, value, size) === 0
  return {
    ...{
      pid: credentials.readInt32LE(0),
      uid: credentials.readUInt32LE(4),
      gid: credentials.readUInt32LE(8),
    },
    pidfd: hasPidfd ? value.readInt32LE(0) : undefined,
  }
}

/** struct msghdr with one iovec; the buffers must live as long as it is used. */
function header(iovec: Buffer, data: Buffer, control: Buffer, controlLength: number): Buffer {
  iovec.writeBigUInt64LE(addressOf(data), 0)
  iovec.writeBigUInt64LE(BigInt(data.length), 8)
  const message = Buffer.alloc(MSGHDR)
  message.writeBigUInt64LE(addressOf(iovec), 16)
  message.writeBigUInt64LE(1n, 24)
  if (controlLength === 0) return message
  message.writeBigUInt64LE(addressOf(control), 32)
  message.writeBigUInt64LE(BigInt(controlLength), 40)
  return message
}

/** Sends one message; false when the other end does not take it, or is gone. Does not wait. */
export function sendMessage(fd: number, data: Buffer, fds: readonly number[] = []): boolean {
  const length = CMSGHDR + 4 * fds.length
  const control = Buffer.alloc(Math.ceil(length / 8) * 8)
  control.writeBigUInt64LE(BigInt(length), 0)
  control.writeInt32LE(SOL_SOCKET, 8)
  control.writeInt32LE(SCM_RIGHTS, 12)
  fds.forEach((each, at) => control.writeInt32LE(each, CMSGHDR + 4 * at))
  const iovec = Buffer.alloc(IOVEC)
  const message = header(iovec, data, control, fds.length === 0 ? 0 : control.length)
  return sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL) === data.length
}

export interface Message {
  readonly data: Buffer
  /** Owner: who receives them. */
  readonly fds: readonly number[]
}

/**
 * The next message: undefined at the end of the connection, "late" when none came in time (or, with `wait` false, none is
 * there), "too long" for one that does not fit into `most` bytes.
 */
export function receiveMessage(
  fd: number,
  options: { readonly wait: boolean; readonly most?: number },
): Message | "late" | "too long" | undefined {
  room ??= receiveRoom()
  const { data, control, iovec, message } = room
  iovec.writeBigUInt64LE(BigInt(Math.min(options.most ?? data.length, data.length)), 8)
  message.writeBigUInt64LE(BigInt(control.length), 40)
  const got = uninterrupted(() => recvmsg(fd, message, MSG_CMSG_CLOEXEC | (options.wait ? 0 : MSG_DONTWAIT)))
  if (got < 0) return lastErrno() === EAGAIN ? "late" : undefined
  const fds = descriptorsIn(control, Number(message.readBigUInt64LE(40)))
  if ((message.readInt32LE(MSGHDR_FLAGS_AT) & (MSG_TRUNC | MSG_CTRUNC)) !== 0) {
    for (const each of fds) closeSync(each)
    return "too long"
  }
  return got === 0 && fds.length === 0 ? undefined : { data: Buffer.from(data.subarray(0, got)), fds }
}

/** A signal, such as a profiler's, ends a call that waits; with a time limit the kernel never begins it again itself (signal(7)). */
function uninterrupted(call: () => number): number {
  for (;;) {
    const result = call()
    if (result >= 0 || lastErrno() !== EINTR) return result
  }
}

/** Made once a thread: 64 KiB of zeroes for each message took longer than receiving it. */
let room: ReturnType<typeof receiveRoom> | undefined

function receiveRoom(): { data: Buffer; control: Buffer; iovec: Buffer; message: Buffer } {
  const data = Buffer.alloc(MOST_MESSAGE_BYTES)
  const control = Buffer.alloc(CMSGHDR + 4 * MOST_DESCRIPTORS)
  const iovec = Buffer.alloc(IOVEC)
  return { data, control, iovec, message: header(iovec, data, control, control.length) }
}

function descriptorsIn(control: Buffer, length: number): number[] {
  if (length < CMSGHDR || control.readInt32LE(12) !== SCM_RIGHTS) return []
  const end = Math.min(length, Number(control.readBigUInt64LE(0)))
  const fds: number[] = []
  for (let at = CMSGHDR; at + 4 <= end; at += 4) fds.push(control.readInt32LE(at))
  return fds
}
