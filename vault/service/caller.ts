/**
 * Who is at the other end of a connection, now: the process that connected, by its pidfd, so that another one that has got
 * its number is never taken for it; and the file that it runs.
 */
import { createHash } from "node:crypto"
import { closeSync, fstatSync, openSync, readSync, readlinkSync } from "node:fs"
import { Fault } from "../../clawfs/core/fault.ts"
import { poll } from "../../clawfs/sys/libc.ts"
import type { Peer } from "../../clawfs/sys/seqpacket.ts"
import type { Subject } from "../audit.ts"

const POLLIN = 1
const HASH_CHUNK = 1024 * 1024
const MOST_HASHES = 64

/** Whether the process has ended: its pidfd is readable then (pidfd_open(2)). */
function hasEnded({ pidfd }: Peer): boolean {
  if (pidfd === undefined) return false
  const fds = Buffer.alloc(8)
  fds.writeInt32LE(pidfd)
  fds.writeInt16LE(POLLIN, 4)
  return poll(fds, 1, 0) !== 0
}

/** The subject of a request; `withHash` also reads the program's file. Throws `Fault("denied")` for a process that is gone. */
export function subjectOf(peer: Peer, { withHash = false }: { withHash?: boolean } = {}): Subject {
  const { pid, uid } = peer
  const program = readable(() => readlinkSync(`/proc/${pid}/exe`))
  const hash = withHash ? readable(() => hashOf(`/proc/${pid}/exe`)) : undefined
  // What was read belongs to this process only if it is still alive now.
  if (hasEnded(peer)) throw new Fault("denied", "the process that asked is gone")
  return { pid, uid, ...(program === undefined ? {} : { program }), ...(hash === undefined ? {} : { hash }) }
}

/** Undefined for what the kernel does not show: processes of others, or that are no longer there. */
function readable<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException
    if (code === "EACCES" || code === "EPERM" || code === "ENOENT" || code === "ESRCH") return undefined
    throw thrown
  }
}

const hashes = new Map<string, string>()

/** SHA-256 of a file, hexadecimal; remembered as long as the file is the same to the nanosecond. */
export function hashOf(path: string): string {
  const fd = openSync(path, "r")
  try {
    return hashOfOpen(fd)
  } finally {
    closeSync(fd)
  }
}

/** The same of an open file, from its beginning. */
export function hashOfOpen(fd: number): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = fstatSync(fd, { bigint: true })
  const key = [dev, ino, size, mtimeNs, ctimeNs].join(":")
  const known = hashes.get(key)
  if (known !== undefined) return known
  const hash = createHash("sha256")
  const chunk = Buffer.allocUnsafeSlow(HASH_CHUNK)
  for (let at = 0; ;) {
    const got = readSync(fd, chunk, 0, chunk.length, at)
    if (got === 0) break
    hash.update(chunk.subarray(0, got))
    at += got
  }
  if (hashes.size >= MOST_HASHES) hashes.clear()
  const digest = hash.digest("hex")
  hashes.set(key, digest)
  return digest
}
