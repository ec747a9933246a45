/**
 * The system calls of tools, in the format of P1.2. Whatever is not named gets EPERM. What is left out on purpose:
 * io_uring (seen by no filter), keyctl and its kin (keyrings are not namespaced), bpf, perf_event_open, userfaultfd, mount and
 * its kin, unshare, setns, ptrace, process_vm_*, open_by_handle_at, kexec, modules, clocks, swap, reboot, quotas.
 */
import type { SeccompEntry, SeccompList } from "../../schema/seccomp.ts"
import { allowed, listFor, processes, requests, sockets, threads, type Category } from "./entries.ts"

const CALLS: Readonly<Record<Exclude<Category, "tokio_runtime">, string>> = {
  memory:
    "mmap munmap mprotect brk mremap madvise msync mincore mlock munlock membarrier pkey_alloc pkey_free pkey_mprotect",
  file_io: `
    read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek open openat openat2 creat close close_range
    stat fstat lstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink readlinkat getdents getdents64 getcwd
    chdir fchdir mkdir mkdirat rmdir link linkat unlink unlinkat symlink symlinkat rename renameat renameat2 chmod fchmod
    fchmodat umask utime utimes utimensat futimesat truncate ftruncate fallocate flock fsync fdatasync sync_file_range
    copy_file_range sendfile splice tee fadvise64 readahead dup dup2 dup3 fcntl pipe pipe2 poll ppoll select pselect6
    epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2 inotify_init inotify_init1
    inotify_add_watch inotify_rm_watch getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr setxattr fsetxattr
    removexattr fremovexattr memfd_create`,
  network: `
    connect bind listen accept accept4 sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg shutdown getsockname getpeername
    setsockopt getsockopt`,
  time: `
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time timer_create timer_settime timer_gettime
    timer_getoverrun timer_delete timerfd_create timerfd_settime timerfd_gettime alarm getitimer setitimer times`,
  signals: `
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend rt_sigqueueinfo rt_tgsigqueueinfo
    sigaltstack signalfd signalfd4 pause kill tkill tgkill restart_syscall`,
  process: `
    execve execveat exit exit_group wait4 waitid getpid gettid getppid getpgid getpgrp setpgid getsid setsid getuid geteuid
    getgid getegid getgroups getresuid getresgid capget prlimit64 getrlimit setrlimit getrusage getpriority setpriority futex
    futex_waitv set_robust_list get_robust_list set_tid_address sched_yield sched_getaffinity sched_setaffinity
    sched_getparam sched_getscheduler sched_setscheduler sched_get_priority_max sched_get_priority_min rseq arch_prctl prctl
    pidfd_open pidfd_send_signal`,
  misc: "getrandom uname sysinfo getcpu landlock_create_ruleset landlock_add_rule landlock_restrict_self",
}

/** What every tool may call, whatever the arguments. */
export function ordinaryCalls(): SeccompEntry[] {
  return Object.entries(CALLS).flatMap(([category, names]) => allowed(category as Category, names))
}

/** Requests of ioctl(2) that read, or concern a descriptor alone. TIOCSTI and TIOCLINUX are not among them. */
const IOCTLS = [
  ["TCGETS", 0x5401],
  ["TIOCGPGRP", 0x540f],
  ["TIOCGWINSZ", 0x5413],
  ["FIONREAD", 0x541b],
  ["FIONBIO", 0x5421],
  ["FIONCLEX", 0x5450],
  ["FIOCLEX", 0x5451],
] as const
const FAMILIES = [
  ["AF_UNIX", 1],
  ["AF_INET", 2],
  ["AF_INET6", 10],
] as const

/** What a tool may call, with the capability `process:spawn` or without. */
export function toolList(maySpawn: boolean): SeccompList {
  const id = maySpawn ? "6f3b1c1e-52a5-4a4f-9a53-6a2b7f0d8c11" : "b9d0a3d4-1b7c-4e0e-8f0e-3c5d2e9f4a22"
  const started = maySpawn ? processes() : threads()
  return listFor("tool", id, [
    ...ordinaryCalls(),
    ...started,
    ...sockets(FAMILIES),
    ...requests("ioctl", IOCTLS),
  ])
}
