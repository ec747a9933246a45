/** Streams of the unix domain (unix(7)) that pass descriptors: connecting, and taking what has come. Node has neither. */
import { closeSync } from "node:fs"
import { addressOf, checked, lastErrno, sysFault } from "./ffi.ts"
import { connect, recvmsg, socket } from "./libc.ts"
import {
  AF_UNIX,
  MSG_CMSG_CLOEXEC,
  SCM_RIGHTS,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  addressOfPath,
} from "./unix-socket.ts"

const EAGAIN = 11
const EINTR = 4
/** struct cmsghdr, and where its descriptors begin */
const CMSG_HEADER = 16
/** The kernel passes up to 253 in one message; more than this nobody has to send. */
const MOST_DESCRIPTORS = 16

/** A connection, non-blocking, to who listens at `path`. Owner: the caller. Throws a `SysFault` where nobody does. */
export function connectStream(path: string): number {
  const address = addressOfPath(path)
  const fd = checked("socket", socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0))
  if (connect(fd, address, address.length) === 0) return fd
  const fault = sysFault("connect")
  closeSync(fd)
  throw fault
}

export interface Received {
  readonly bytes: Buffer
  readonly descriptors: number[]
}

/** Undefined when nothing has come yet. */
export function receiveSome(fd: number, most: number): Received | undefined {
  const bytes = Buffer.alloc(most)
  const control = Buffer.alloc(CMSG_HEADER + 4 * MOST_DESCRIPTORS)
  const [iovec, message] = [Buffer.alloc(16), Buffer.alloc(56)]
  iovec.writeBigUInt64LE(addressOf(bytes), 0)
  iovec.writeBigUInt64LE(BigInt(bytes.length), 8)
  message.writeBigUInt64LE(addressOf(iovec), 16)
  message.writeBigUInt64LE(1n, 24)
  message.writeBigUInt64LE(addressOf(control), 32)
  message.writeBigUInt64LE(BigInt(control.length), 40)
  const count = recvmsg(fd, message, MSG_CMSG_CLOEXEC)
  if (count < 0) {
    const errno = lastErrno()
    if (errno === EAGAIN || errno === EINTR) return undefined
    throw sysFault("recvmsg")
  }
  return {
    bytes: bytes.subarray(0, count),
    descriptors: descriptorsIn(control, Number(message.readBigUInt64LE(40))),
  }
}

/** `used`: the bytes of control that the kernel has filled. */
function descriptorsIn(control: Buffer, used: number): number[] {
  const found: number[] = []
  for (let at = 0; at + CMSG_HEADER <= used;) {
    const length = Number(control.readBigUInt64LE(at))
    if (length < CMSG_HEADER) break
    const isRights = control.readInt32LE(at + 8) === SOL_SOCKET && control.readInt32LE(at + 12) === SCM_RIGHTS
    if (isRights)
      for (let place = at + CMSG_HEADER; place + 4 <= at + length; place += 4)
        found.push(control.readInt32LE(place))
    at += Math.ceil(length / 8) * 8
  }
  return found
}
