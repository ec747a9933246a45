/**
 * The system calls of the search's extractor (search/extract/child-main.ts), which reads files that could be made to hurt: it loads its
 * own modules, computes in threads, and answers through a pipe that is open. It starts nothing, changes no file, sees no network
 * and signals nobody but itself.
 */
import type { SeccompList } from "../../schema/seccomp.ts"
import { allowed, listFor, readOnlyOpens, requests, threads } from "./entries.ts"

export function extractorList(): SeccompList {
  return listFor("extractor", "c2b7a0ce-5d0a-4a2f-8a0c-94c0f2a1e5b7", [
    ...allowed(
      "memory",
      "mmap munmap mprotect brk mremap madvise mincore membarrier pkey_alloc pkey_free pkey_mprotect",
    ),
    ...allowed(
      "file_io",
      `read readv write writev pread64 preadv lseek close stat fstat lstat newfstatat statx statfs fstatfs access faccessat faccessat2
      readlink readlinkat getdents64 getcwd dup dup2 dup3 fcntl pipe2 poll ppoll epoll_create1 epoll_ctl epoll_wait epoll_pwait
      epoll_pwait2 eventfd2`,
    ),
    ...readOnlyOpens(),
    // Node does that to stdout and stderr as it ends, and hangs where it can't.
    ...allowed("file_io", "fsync"),
    // Whether a descriptor is a terminal, and descriptors that do not wait.
    ...requests("ioctl", [
      ["TCGETS", 0x5401],
      ["FIONBIO", 0x5421],
      ["FIOCLEX", 0x5451],
    ]),
    ...allowed(
      "time",
      "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time timer_create timer_settime timer_delete",
    ),
    ...allowed(
      "signals",
      "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigtimedwait sigaltstack tgkill restart_syscall",
    ),
    ...threads(),
    ...allowed(
      "process",
      `exit exit_group getpid gettid getppid getuid geteuid getgid getegid getrusage getpriority prlimit64 getrlimit futex
      set_robust_list get_robust_list sched_yield sched_getaffinity sched_getparam sched_getscheduler rseq prctl`,
    ),
    ...allowed("misc", "getrandom uname sysinfo getcpu"),
  ])
}
