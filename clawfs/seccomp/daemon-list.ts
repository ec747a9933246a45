/**
 * The system calls of a mount's daemon, and of all that it starts: the supervisor, the server, search, the runner of tools,
 * bubblewrap, and tools, which have a list of their own inside of it. So mounts and namespaces are on it. Not on it is what none
 * of them does: io_uring, kernel modules, kexec, reboot, swap, clocks, ptrace and other processes' memory, userfaultfd,
 * files by handle, quotas, ports of the hardware, the kernel's log, other personalities.
 */
import type { SeccompList } from "../../schema/seccomp.ts"
import { allowed, listFor } from "./entries.ts"
import { ordinaryCalls } from "./tool-list.ts"

export function daemonList(): SeccompList {
  return listFor("daemon", "7d2a9c84-61b3-4c5e-a0d6-1f8e2b94c377", [
    ...ordinaryCalls(),
    ...allowed("memory", "mlock2 mlockall munlockall memfd_secret process_mrelease get_mempolicy"),
    ...allowed(
      "file_io",
      `chown fchown lchown fchownat fchmodat2 mknod mknodat lsetxattr lremovexattr setxattrat getxattrat listxattrat removexattrat
      sync syncfs vmsplice ioctl cachestat chroot mount umount2 pivot_root mount_setattr move_mount open_tree open_tree_attr
      fsopen fsconfig fsmount fspick statmount listmount`,
    ),
    ...allowed("network", "socket socketpair"),
    ...allowed("process", "clone clone3 fork vfork unshare setns seccomp capset"),
    ...allowed(
      "process",
      `setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid sched_setparam sched_setattr
      sched_getattr ioprio_get ioprio_set`,
    ),
    ...allowed("misc", "bpf perf_event_open keyctl add_key request_key sethostname"),
  ])
}
