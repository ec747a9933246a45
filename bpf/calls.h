/*
 * Which system calls are looked at when they return, by number (x86-64, asm/unistd_64.h). Every other one is looked at when
 * it was refused (EPERM, EACCES), whatever it is.
 */
#pragma once
#include "kernel.h"

#define MOST_CALLS 512

/* What a call is about. */
enum kind { KIND_OTHER, KIND_OPEN, KIND_DELETE, KIND_RENAME, KIND_CREATE, KIND_EXECUTE, KIND_CONNECT, KIND_BIND, KIND_SEND, KIND_PRIVILEGED };
#define KIND_MASK 0xf
/* Which argument has the path, or the address. */
#define ARGUMENT_SHIFT 4
#define ARGUMENT_MASK 7
#define ON_SUCCESS 0x80  /* looked at when it succeeds, too */
#define WITHOUT_LSM 0x100 /* the same, where no LSM hook sees it */

#define PATH(kind, argument, when) ((kind) | (argument) << ARGUMENT_SHIFT | (when))
#define PRIVILEGED (KIND_PRIVILEGED | ON_SUCCESS)

static const volatile u16 calls[MOST_CALLS] = {
  [2 /* open */] = PATH(KIND_OPEN, 0, WITHOUT_LSM), [257 /* openat */] = PATH(KIND_OPEN, 1, WITHOUT_LSM),
  [85 /* creat */] = PATH(KIND_OPEN, 0, WITHOUT_LSM), [437 /* openat2 */] = PATH(KIND_OPEN, 1, WITHOUT_LSM),
  [87 /* unlink */] = PATH(KIND_DELETE, 0, ON_SUCCESS), [263 /* unlinkat */] = PATH(KIND_DELETE, 1, ON_SUCCESS),
  [84 /* rmdir */] = PATH(KIND_DELETE, 0, ON_SUCCESS),
  [82 /* rename */] = PATH(KIND_RENAME, 0, ON_SUCCESS), [264 /* renameat */] = PATH(KIND_RENAME, 1, ON_SUCCESS),
  [316 /* renameat2 */] = PATH(KIND_RENAME, 1, ON_SUCCESS),
  [83 /* mkdir */] = PATH(KIND_CREATE, 0, ON_SUCCESS), [258 /* mkdirat */] = PATH(KIND_CREATE, 1, ON_SUCCESS),
  [88 /* symlink */] = PATH(KIND_CREATE, 1, ON_SUCCESS), [266 /* symlinkat */] = PATH(KIND_CREATE, 2, ON_SUCCESS),
  [86 /* link */] = PATH(KIND_CREATE, 1, ON_SUCCESS), [265 /* linkat */] = PATH(KIND_CREATE, 3, ON_SUCCESS),
  [133 /* mknod */] = PATH(KIND_CREATE, 0, ON_SUCCESS), [259 /* mknodat */] = PATH(KIND_CREATE, 1, ON_SUCCESS),
  [59 /* execve */] = PATH(KIND_EXECUTE, 0, 0), [322 /* execveat */] = PATH(KIND_EXECUTE, 1, 0),
  [42 /* connect */] = PATH(KIND_CONNECT, 1, WITHOUT_LSM), [49 /* bind */] = PATH(KIND_BIND, 1, WITHOUT_LSM),
  [44 /* sendto */] = PATH(KIND_SEND, 4, WITHOUT_LSM),

  [101 /* ptrace */] = PRIVILEGED, [310 /* process_vm_readv */] = PRIVILEGED, [311 /* process_vm_writev */] = PRIVILEGED,
  [312 /* kcmp */] = PRIVILEGED, [438 /* pidfd_getfd */] = PRIVILEGED,
  [105 /* setuid */] = PRIVILEGED, [106 /* setgid */] = PRIVILEGED, [113 /* setreuid */] = PRIVILEGED,
  [114 /* setregid */] = PRIVILEGED, [116 /* setgroups */] = PRIVILEGED, [117 /* setresuid */] = PRIVILEGED,
  [119 /* setresgid */] = PRIVILEGED, [122 /* setfsuid */] = PRIVILEGED, [123 /* setfsgid */] = PRIVILEGED,
  [126 /* capset */] = PRIVILEGED,
  [165 /* mount */] = PRIVILEGED, [166 /* umount2 */] = PRIVILEGED, [155 /* pivot_root */] = PRIVILEGED,
  [161 /* chroot */] = PRIVILEGED, [428 /* open_tree */] = PRIVILEGED, [429 /* move_mount */] = PRIVILEGED,
  [430 /* fsopen */] = PRIVILEGED, [431 /* fsconfig */] = PRIVILEGED, [432 /* fsmount */] = PRIVILEGED,
  [433 /* fspick */] = PRIVILEGED, [442 /* mount_setattr */] = PRIVILEGED,
  [272 /* unshare */] = PRIVILEGED, [308 /* setns */] = PRIVILEGED, [435 /* clone3 */] = KIND_PRIVILEGED,
  [303 /* name_to_handle_at */] = PRIVILEGED, [304 /* open_by_handle_at */] = PRIVILEGED,
  [248 /* add_key */] = PRIVILEGED, [249 /* request_key */] = PRIVILEGED, [250 /* keyctl */] = PRIVILEGED,
  [321 /* bpf */] = PRIVILEGED, [298 /* perf_event_open */] = PRIVILEGED, [323 /* userfaultfd */] = PRIVILEGED,
  [425 /* io_uring_setup */] = PRIVILEGED, [426 /* io_uring_enter */] = PRIVILEGED, [427 /* io_uring_register */] = PRIVILEGED,
  [175 /* init_module */] = PRIVILEGED, [313 /* finit_module */] = PRIVILEGED, [176 /* delete_module */] = PRIVILEGED,
  [246 /* kexec_load */] = PRIVILEGED, [320 /* kexec_file_load */] = PRIVILEGED, [169 /* reboot */] = PRIVILEGED,
  [167 /* swapon */] = PRIVILEGED, [168 /* swapoff */] = PRIVILEGED, [172 /* iopl */] = PRIVILEGED, [173 /* ioperm */] = PRIVILEGED,
  [227 /* clock_settime */] = PRIVILEGED, [164 /* settimeofday */] = PRIVILEGED, [163 /* acct */] = PRIVILEGED,
};
