/** Descriptors in pairs, for processes that are told their own by SCM_RIGHTS. All are closed by exec. */
import { closeSync } from "node:fs"
import { checked, lastErrno, sysFault } from "./ffi.ts"
import { pipe2, read, socketpair } from "./libc.ts"

const O_CLOEXEC = 0o2000000
const O_NONBLOCK = 0o4000
const AF_UNIX = 1
const SOCK_SEQPACKET = 5
const EAGAIN = 11

/** pipe2(2). */
export function pipe(): [reading: number, writing: number] {
  const pair = Buffer.alloc(8)
  checked("pipe2", pipe2(pair, O_CLOEXEC))
  return [pair.readInt32LE(0), pair.readInt32LE(4)]
}

/** socketpair(2): messages stay apart. */
export function messagePair(): [own: number, other: number] {
  const pair = Buffer.alloc(8)
  checked("socketpair", socketpair(AF_UNIX, SOCK_SEQPACKET | O_CLOEXEC, 0, pair))
  return [pair.readInt32LE(0), pair.readInt32LE(4)]
}

/** A pipe whose reading end never waits: `readAvailable` is for it. */
export function pipeToPoll(): [reading: number, writing: number] {
  const pair = Buffer.alloc(8)
  checked("pipe2", pipe2(pair, O_CLOEXEC | O_NONBLOCK))
  return [pair.readInt32LE(0), pair.readInt32LE(4)]
}

/** What is there now: undefined at the end, empty when nothing has come. */
export function readAvailable(fd: number): Buffer | undefined {
  const bytes = Buffer.alloc(4096)
  const count = read(fd, bytes, bytes.length)
  if (count > 0) return bytes.subarray(0, count)
  if (count === 0) return undefined
  if (lastErrno() === EAGAIN) return bytes.subarray(0, 0)
  throw sysFault("read")
}

/** Closes each. */
export function closeAll(fds: Iterable<number>): void {
  for (const fd of fds) closeSync(fd)
}
