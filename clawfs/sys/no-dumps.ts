/** Keeps a process's memory out of core dumps, and other processes of the same user out of its memory. */
import { writeFileSync } from "node:fs"
import { checked } from "./ffi.ts"
import { prctl, setrlimit } from "./libc.ts"

const PR_SET_DUMPABLE = 4
const RLIMIT_CORE = 4

/**
 * From now on this process leaves no core dump, and nobody but root can trace it or read `/proc/PID/mem`. A dump that goes
 * to a program (core_pattern with a pipe) ignores the limit, so the filter excludes all memory as well. `/proc/PID/stat`,
 * which tells whether a process is alive, stays readable.
 */
export function forbidDumps(): void {
  // Before the process stops being dumpable: then the file is root's.
  writeFileSync("/proc/self/coredump_filter", "0")
  checked("setrlimit", setrlimit(RLIMIT_CORE, Buffer.alloc(16)))
  checked("prctl", prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
}
