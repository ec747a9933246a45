/*
 * What the monitor reads of the kernel: a few fields of a few structures, found in the running kernel's own types when the
 * program is loaded (CO-RE), so that one object serves all kernels. Nothing is included but libbpf's helpers: the object does
 * not depend on the headers of the machine that it was built on.
 */
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

/* linux/bpf.h */
#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_ARRAY 2
#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_MAP_TYPE_RINGBUF 27
#define BPF_MAP_TYPE_TASK_STORAGE 29
#define BPF_F_NO_PREALLOC 1
#define BPF_RB_NO_WAKEUP 1
#define BPF_LOCAL_STORAGE_GET_F_CREATE 1

#define EPERM 1
#define EACCES 13
#define EROFS 30
#define ENETDOWN 100
#define ENETUNREACH 101
#define EHOSTUNREACH 113
#define MAX_ERRNO 4095
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define O_ACCMODE 3
#define O_CREAT 0100
#define FMODE_WRITE 2
#define FMODE_CREATED 0x100000
/* i_mode */
#define S_IFMT 0170000
#define S_IFSOCK 0140000
/* f_flags of a file that execve(2) opens */
#define OPENED_TO_EXECUTE 0x20

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct super_block { u32 s_dev; };
struct inode { u16 i_mode; struct super_block *i_sb; unsigned long i_ino; };
struct path { void *mnt; void *dentry; };
struct file { u32 f_mode; u32 f_flags; struct inode *f_inode; struct path f_path; void *private_data; };
struct fdtable { u32 max_fds; struct file **fd; };
struct files_struct { struct fdtable *fdt; };
struct linux_binprm { struct file *file; const char *filename; };

struct atomic { int counter; };
struct signal_struct { struct atomic live; };
struct task_struct { int pid; int tgid; int exit_code; struct signal_struct *signal; struct files_struct *files; };

struct pt_regs { unsigned long r10, r9, r8, dx, si, di, orig_ax; };

struct sock { u16 sk_protocol; };
struct socket { short type; struct sock *sk; };
struct sockaddr { u16 sa_family; char sa_data[14]; };
struct msghdr { void *msg_name; };

#pragma clang attribute pop

/* Internet addresses as programs give them (ip(7), ipv6(7)). */
struct address {
  u16 family;
  __be16 port;
  u8 ip4[4]; /* or the flow */
  u8 ip6[16];
};
