/**
 * The system calls of the program behind tools/bin (runner/launcher.c), from its first line on: it opens files to read, speaks to one
 * socket, waits, and writes what it is told to. It starts nothing, changes no file, and has no other network. The names are those of
 * C libraries old and new.
 */
import type { SeccompList } from "../../schema/seccomp.ts"
import { allowed, listFor, readOnlyOpens, requests, sockets } from "./entries.ts"

export function launcherList(): SeccompList {
  return listFor("launcher", "3f0c6f4e-8a55-4f7c-9a51-0c7d3f7b2e63", [
    ...allowed("memory", "brk mmap munmap mremap mprotect madvise"),
    ...allowed(
      "file_io",
      "read readv write writev close fstat stat newfstatat statx readlink readlinkat getcwd lseek poll ppoll",
    ),
    ...readOnlyOpens(),
    ...requests("fcntl", [
      ["F_GETFD", 1],
      ["F_SETFD", 2],
    ]),
    ...sockets([["AF_UNIX", 1]]),
    ...allowed("network", "connect sendto sendmsg recvfrom recvmsg getsockopt"),
    ...allowed("time", "clock_gettime clock_nanosleep nanosleep"),
    // To stop itself, as a shell's Ctrl-Z does.
    ...allowed(
      "signals",
      "rt_sigprocmask rt_sigaction rt_sigreturn signalfd signalfd4 tgkill restart_syscall",
    ),
    ...allowed("process", "exit exit_group getpid gettid getuid geteuid futex rseq set_robust_list"),
    ...allowed("misc", "getrandom"),
  ])
}
