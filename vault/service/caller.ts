/**
 * Who is at the other end of a connection, now: the process that connected, by its pidfd, so that another one that has got
 * its number is never taken for it; and the file that it runs.
 */
import { createHash } from "node:crypto"
import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync, readlinkSync } from "node:fs"
import { Fault } from "../../clawfs/core/fault.ts"
import { poll, syscall2 } from "../../clawfs/sys/libc.ts"
import type { Peer } from "../../clawfs/sys/seqpacket.ts"
import type { Subject } from "../audit.ts"

const POLLIN = 1
/** asm-generic/unistd.h; the same number on every architecture that Node is built for. */
const PIDFD_OPEN = 434
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

/** The subject of a request; `inFull` also reads the program's file, and its control group. Throws `Fault("denied")` for a process that is gone. */
export function subjectOf(peer: Peer, { inFull = false }: { inFull?: boolean } = {}): Subject {
  const { pid, uid } = peer
  const program = readable(() => readlinkSync(`/proc/${pid}/exe`))
  const hash = inFull ? readable(() => hashOf(`/proc/${pid}/exe`)) : undefined
  const cgroup = inFull ? cgroupOf(pid) : undefined
  // What was read belongs to this process only if it is still alive now.
  if (hasEnded(peer)) throw new Fault("denied", "the process that asked is gone")
  return {
    ...{ pid, uid },
    ...(program === undefined ? {} : { program }),
    ...(hash === undefined ? {} : { hash }),
    ...(cgroup === undefined ? {} : { cgroup }),
  }
}

/** The process's group in the hierarchy of version 2 (cgroups(7)), as this process sees it; undefined where there is none. */
function cgroupOf(pid: number): string | undefined {
  const text = readable(() => readFileSync(`/proc/${pid}/cgroup`, "utf8"))
  return /^0::(\/.*)$/m.exec(text ?? "")?.[1]
}

/**
 * The process that the thread `tid` belongs to, which waits in the kernel for us: it neither ends nor executes another program
 * before it gets its answer. Its pidfd is taken all the same, and looked at last.
 */
export function subjectOfThread(tid: number, uid: number, options: { inFull: boolean }): Subject {
  const status = tid === 0 ? undefined : readable(() => readFileSync(`/proc/${tid}/status`, "latin1"))
  const pid = Number(/^Tgid:\t(\d+)$/m.exec(status ?? "")?.[1] ?? 0)
  if (pid === 0) throw new Fault("denied", "the process that asks is not to be seen")
  const pidfd = syscall2(PIDFD_OPEN, pid, 0, null, 0)
  if (pidfd < 0) throw new Fault("denied", "the process that asks is gone")
  try {
    if (!existsSync(`/proc/${pid}/task/${tid}`)) throw new Fault("denied", "the process that asks is gone")
    return subjectOf({ pid, uid, gid: 0, pidfd }, options)
  } finally {
    closeSync(pidfd)
  }
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
