/**
 * The system calls of tools, in the format of P1.2. Whatever is not named gets EPERM. What is left out on purpose:
 * io_uring (seen by no filter), keyctl and its kin (keyrings are not namespaced), bpf, perf_event_open, userfaultfd, mount and
 * its kin, unshare, setns, ptrace, process_vm_*, open_by_handle_at, kexec, modules, clocks, swap, reboot, quotas.
 */
import type { SeccompEntry, SeccompList } from "../../schema/seccomp.ts"

type Category = NonNullable<SeccompEntry["category"]>

const ALLOWED: Readonly<Record<Exclude<Category, "tokio_runtime">, string>> = {
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

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */
const NEW_NAMESPACES = 0x7e02_0000
const CLONE_THREAD = 0x0001_0000
/** The kernel looks at the low 32 bits of the request only (CVE-2019-7303), so no more is compared. */
const LOW_32_BITS = 0xffff_ffff

/** Requests of ioctl(2) that read, or concern a descriptor alone. TIOCSTI and TIOCLINUX are not among them. */
const IOCTLS: readonly (readonly [name: string, request: number])[] = [
  ["TCGETS", 0x5401],
  ["TIOCGPGRP", 0x540f],
  ["TIOCGWINSZ", 0x5413],
  ["FIONREAD", 0x541b],
  ["FIONBIO", 0x5421],
  ["FIONCLEX", 0x5450],
  ["FIOCLEX", 0x5451],
]
const SOCKET_FAMILIES: readonly (readonly [name: string, family: number])[] = [
  ["AF_UNIX", 1],
  ["AF_INET", 2],
  ["AF_INET6", 10],
]

function conditional(
  name: string,
  description: string,
  filter: { arg_index: number; value: number; mask: number },
  category: Category,
): SeccompEntry {
  const conditions = { description, argument_filter: { operator: "masked_eq" as const, ...filter } }
  return { name, permission: "CONDITIONAL", category, conditions }
}

/** New processes, or threads alone. clone3 hides its flags in memory: ENOSYS makes C libraries use clone. */
function processes(maySpawn: boolean): SeccompEntry[] {
  const clone3: SeccompEntry = { name: "clone3", permission: "DENY", category: "process", errno: "ENOSYS" }
  if (!maySpawn) {
    const filter = { arg_index: 0, value: CLONE_THREAD, mask: CLONE_THREAD + NEW_NAMESPACES }
    return [clone3, conditional("clone", "threads, in the same namespaces", filter, "process")]
  }
  const filter = { arg_index: 0, value: 0, mask: NEW_NAMESPACES }
  return [
    clone3,
    conditional("clone", "in the same namespaces", filter, "process"),
    ...["fork", "vfork"].map((name): SeccompEntry => ({ name, permission: "ALLOW", category: "process" })),
  ]
}

/** What a tool may call, with the capability `process:spawn` or without. */
export function toolList(maySpawn: boolean): SeccompList {
  const allowed = Object.entries(ALLOWED).flatMap(([category, names]) =>
    names
      .trim()
      .split(/\s+/)
      .map((name): SeccompEntry => ({ name, permission: "ALLOW", category: category as Category })),
  )
  const sockets = ["socket", "socketpair"].flatMap((name) =>
    SOCKET_FAMILIES.map(([family, value]) =>
      conditional(name, family, { arg_index: 0, value, mask: LOW_32_BITS }, "network"),
    ),
  )
  const ioctls = IOCTLS.map(([request, value]) =>
    conditional("ioctl", request, { arg_index: 1, value, mask: LOW_32_BITS }, "file_io"),
  )
  return {
    schema_version: "1.0.0",
    whitelist_id: maySpawn ? "6f3b1c1e-52a5-4a4f-9a53-6a2b7f0d8c11" : "b9d0a3d4-1b7c-4e0e-8f0e-3c5d2e9f4a22",
    created_at: "2026-11-21T00:00:00Z",
    created_by: "ClawFS",
    metadata: { target_process: "tool", environment: "production", security_level: "strict" },
    syscalls: [...allowed, ...processes(maySpawn), ...sockets, ...ioctls],
  }
}
