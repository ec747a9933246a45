/**
 * One writer a store: flock(2) on `STORE/lock`, which the kernel releases with the last process that inherited the
 * descriptor, however it died. The file's text names that process for whoever is refused.
 */
import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import { Fault } from "../core/fault.ts"
import { flock } from "../sys/libc.ts"
import { lastErrno } from "../sys/ffi.ts"
import { isSame } from "../sys/held-directory.ts"
import { requireOwnFiles } from "./place.ts"

const LOCK_EX_NB = 6
const EWOULDBLOCK = 11
const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR } = constants
/** The first file that is written: never through a link, and no FIFO is waited for. */
const NEVER_ELSEWHERE = O_NOFOLLOW | O_NONBLOCK
const OPEN_LOCK = O_RDWR | O_CREAT | O_APPEND | NEVER_ELSEWHERE

/** Takes the lock and returns its descriptor: closing it, or the process's end, gives the lock back. */
export function lockStore(store: string, purpose: string): number {
  requireOwnFiles(store)
  const path = join(store, "lock")
  const fd = openSync(path, OPEN_LOCK, 0o600)
  requireLock(store, path, fd)
  ftruncateSync(fd, 0)
  writeSync(fd, `${JSON.stringify({ pid: process.pid, purpose, since: new Date().toISOString() })}\n`)
  return fd
}

/** Keeps writers out of a store that is only read, without writing into it. Undefined when it has no lock yet. */
export function lockForReading(store: string): number | undefined {
  requireOwnFiles(store)
  const path = join(store, "lock")
  let fd: number
  try {
    fd = openSync(path, O_RDONLY | NEVER_ELSEWHERE)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw cause
  }
  requireLock(store, path, fd)
  return fd
}

/** Whether `store` is the directory whose lock is open as `fd`, and not one that has taken its place. */
export function isLockOf(store: string, fd: number): boolean {
  return isSame(join(store, "lock"), fd)
}

function requireLock(store: string, path: string, fd: number): void {
  if (flock(fd, LOCK_EX_NB) === 0) return
  const errno = lastErrno()
  closeSync(fd)
  if (errno !== EWOULDBLOCK) throw new Fault("io", `can't lock ${path} (errno ${errno})`)
  throw new Fault("busy", `the store ${store} is in use by ${holder(path)}`, {
    hint: "unmount it first: clawfs unmount MOUNTPOINT",
  })
}

function holder(path: string): string {
  try {
    const { pid, purpose } = JSON.parse(readFileSync(path, "utf8")) as { pid: number; purpose: string }
    return `process ${pid} (${purpose})`
  } catch {
    // The holder has taken the lock and not written its name yet.
    return "another process"
  }
}
