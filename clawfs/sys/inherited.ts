/** Descriptors that a process was started with by accident. */
import { readdirSync } from "node:fs"
import { closeRangeCall, fcntl } from "./libc.ts"

/** asm-generic/unistd.h; the same number on every architecture that Node is built for. */
const CLOSE_RANGE = 436
const CLOSE_RANGE_CLOEXEC = 4
const LAST = 0xffff_ffff
const F_SETFD = 2
const FD_CLOEXEC = 1

/** None of the descriptors from `first` on is passed to programs that are started from now on. */
export function keepFromChildren(first: number): void {
  if (closeRangeCall(CLOSE_RANGE, first, LAST, CLOSE_RANGE_CLOEXEC) === 0) return
  // Before Linux 5.11.
  for (const fd of readdirSync("/proc/self/fd").map(Number)) if (fd >= first) fcntl(fd, F_SETFD, FD_CLOEXEC)
}
