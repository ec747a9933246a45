/** Secrets through descriptors that a client passed along: read into secret memory, written out of it, never waited for. */
import { fstatSync, readSync, writeSync } from "node:fs"
import { Fault } from "../../clawfs/core/fault.ts"
import { checked } from "../../clawfs/sys/ffi.ts"
import { fcntl } from "../../clawfs/sys/libc.ts"

const F_GETFL = 3
const F_SETFL = 4
const O_NONBLOCK = 0o4000
const F_GET_SEALS = 1034
/** shrink, write */
const SEALS = 2 | 8

/**
 * A client that keeps its end open, and says nothing, would stop the vault. Files wait all the same: one of a FUSE filesystem as
 * long as its server wants. What is in memory alone, and can't be changed any more, does not.
 */
function dontWait(fd: number): void {
  const stat = fstatSync(fd)
  const seals = fcntl(fd, F_GET_SEALS, 0)
  const isSealed = seals >= 0 && (seals & SEALS) === SEALS
  if (!stat.isFIFO() && !stat.isSocket() && !isSealed)
    throw new Fault("invalid", "a descriptor is neither a pipe nor sealed memory")
  checked("fcntl", fcntl(fd, F_SETFL, checked("fcntl", fcntl(fd, F_GETFL, 0)) | O_NONBLOCK))
}

/** Throws `Fault("invalid")` for anything but a file that is in memory alone (memfd_create(2)), where nothing waits. */
export function requireMemory(fd: number): void {
  if (fcntl(fd, F_GET_SEALS, 0) < 0) throw new Fault("invalid", "a descriptor is no file in memory")
}

/** Fills `into` from a descriptor up to its end. Returns how much came. Throws `Fault("invalid")` for more than fits. */
export function readAllInto(fd: number, into: Buffer, what: string): number {
  let length = 0
  try {
    dontWait(fd)
    while (length < into.length) {
      const got = readSync(fd, into, length, into.length - length, null)
      if (got === 0) return length
      length += got
    }
  } catch (cause) {
    throw new Fault("invalid", `${what} can't be read from its descriptor`, { cause })
  }
  throw new Fault("invalid", `${what} has more than ${into.length - 1} bytes`)
}

/** Writes all of it. Throws `Fault("invalid")` for a descriptor that does not take it at once. */
export function writeAllFrom(fd: number, bytes: Buffer, what: string): void {
  try {
    dontWait(fd)
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at)
  } catch (cause) {
    throw new Fault("invalid", `${what} can't be written to its descriptor`, { cause })
  }
}
