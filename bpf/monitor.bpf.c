/*
 * Watches what tools do in their sandboxes, and denies what no policy grants.
 *
 * Whose a process is: its mark, kept with the task, set on the sandbox's first process before anything of the tool runs, and
 * copied to every process that a marked one starts. A sandbox's control group (version 2) is a second key, looked up when
 * programs start, should a mark not have been copied. Processes without a mark cost a lookup and nothing else.
 *
 * Nothing is pinned: everything here ends with the process that loaded it. Kernels from 5.15; one object for all.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "calls.h"
#include "records.h"

char LICENSE[] SEC("license") = "GPL";

#define MOST_RUNS 1024
#define NS_PER_S 1000000000ULL
#define EXITED 231 /* exit_group(2), which stands for every end of a process */
#define FORKED 56  /* clone(2), for every start of one */

/* mark.flags */
#define EXEC_LISTED 1 /* starts nothing but what exec_files has */
#define NO_NETWORK 2  /* reaches no internet address, but ports in allowed_ports */
#define SETTING_UP 4  /* bubblewrap still mounts: nothing of it is told until it starts a program */

struct mark { u32 slot, run, flags, denied; };
struct file_key { u64 inode; u32 device, run; };
struct port_key { u32 run; u16 port, zero; };

/* Of one run: exact, whether its records were sent or not. Written here, read when the run has ended. */
struct run_state {
  u64 window_ns, used;
  /* Records in one second: of ordinary things, and of refused ones, so that the first can't hide the second. */
  u64 cap, denied_used;
  u64 opened, written, executed, forked, connected, denied;
  u64 sent, capped, dropped;
};

struct { __uint(type, BPF_MAP_TYPE_TASK_STORAGE); __uint(map_flags, BPF_F_NO_PREALLOC); __type(key, int); __type(value, struct mark); } marks SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, MOST_RUNS); __type(key, u64); __type(value, struct mark); } groups SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, MOST_RUNS); __type(key, u32); __type(value, struct run_state); } runs SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4096); __type(key, struct file_key); __type(value, u32); } deny_files SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 16384); __type(key, struct file_key); __type(value, u32); } exec_files SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 16384); __type(key, struct port_key); __type(value, u32); } allowed_ports SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 1 << 20); } ring SEC(".maps");
/* Of all runs together, by the enum below. */
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 4); __type(key, u32); __type(value, u64); } totals SEC(".maps");
enum total { TOTAL_SENT, TOTAL_DROPPED, TOTAL_CAPPED, TOTAL_UNMARKED };

/* Set before loading: whether LSM hooks see opens and connections, and whether groups are a key. */
const volatile struct { u32 has_lsm, has_groups; } settings SEC(".rodata.settings") = {};
#define has_lsm settings.has_lsm
#define has_groups settings.has_groups

static __always_inline void count(u32 which) {
  u64 *total = bpf_map_lookup_elem(&totals, &which);
  if (total) *total += 1;
}

static __always_inline struct mark *mark_of(struct task_struct *task) {
  return bpf_task_storage_get(&marks, task, 0, 0);
}

/* Undefined too for bubblewrap's process, whose own looks at what is read-only are nobody's violations. */
static __always_inline struct mark *watched(struct task_struct *task) {
  struct mark *mark = mark_of(task);
  return mark && !(mark->flags & SETTING_UP) ? mark : 0;
}

static __always_inline struct run_state *state_of(struct mark *mark) {
  u32 slot = mark->slot;
  return bpf_map_lookup_elem(&runs, &slot);
}

/* Whether there is room for one more in this second. Two CPUs may begin a second together: then a few more pass. */
static __always_inline bool within_cap(struct run_state *state, bool is_denied, u64 now) {
  if (now - state->window_ns >= NS_PER_S) {
    state->window_ns = now;
    state->used = 0;
    state->denied_used = 0;
  }
  u64 used = is_denied ? __sync_fetch_and_add(&state->denied_used, 1) : __sync_fetch_and_add(&state->used, 1);
  if (used < state->cap) return 1;
  __sync_fetch_and_add(&state->capped, 1);
  count(TOTAL_CAPPED);
  return 0;
}

static __always_inline void head(struct header *header, struct mark *mark, u8 source, u8 event_id, u64 now) {
  header->run = mark->run;
  header->source = source;
  header->version = EVENT_VERSION;
  header->event_id = event_id;
  header->timestamp_ns = now;
}

/* The reader comes by itself every few milliseconds: a wake-up for each record costs more than the record. */
static __always_inline void send(struct run_state *state, void *record, u64 size) {
  if (bpf_ringbuf_output(&ring, record, size, BPF_RB_NO_WAKEUP)) {
    __sync_fetch_and_add(&state->dropped, 1);
    count(TOTAL_DROPPED);
  } else {
    __sync_fetch_and_add(&state->sent, 1);
    count(TOTAL_SENT);
  }
}

static __always_inline void fill_file(struct file_event *event, struct mark *mark, u8 source, u8 operation, u64 now) {
  u64 ids = bpf_get_current_pid_tgid(), owner = bpf_get_current_uid_gid();
  head(&event->header, mark, source, EVENT_FILE, now);
  event->version = EVENT_VERSION;
  event->operation = operation;
  event->timestamp_ns = now;
  event->pid = ids >> 32;
  event->tid = ids;
  event->uid = owner;
  event->gid = owner >> 32;
}

/* `length`: of the path with its NUL, or what a helper returned that failed. */
static __always_inline void send_file(struct run_state *state, struct file_event *event, long length) {
  u64 size = length > 0 ? length : 0;
  /* In the kernel's verifier's sight: a compiler that knows it already would leave it out. */
  asm volatile("%0 &= 0x1ff" : "+r"(size));
  if (size > PATH_BYTES) size = 0;
  event->path_len = size > 0 ? size - 1 : 0;
  send(state, event, sizeof(*event) - PATH_BYTES + size);
}

static __always_inline void fill_call(struct syscall_event *event, struct mark *mark, u8 source, u16 call, long result, u64 now) {
  u64 ids = bpf_get_current_pid_tgid();
  head(&event->header, mark, source, EVENT_SYSCALL, now);
  event->version = EVENT_VERSION;
  event->sysnum = call;
  event->timestamp_ns = now;
  event->pid = ids >> 32;
  event->tid = ids;
  event->return_value = result;
  bpf_get_current_comm(event->comm, sizeof(event->comm));
}

/* ---- the life of processes ---- */

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child) {
  struct mark *mark = mark_of(parent);
  if (!mark && has_groups) {
    u64 group = bpf_get_current_cgroup_id();
    mark = bpf_map_lookup_elem(&groups, &group);
  }
  if (!mark) return 0;
  struct mark copy = {.slot = mark->slot, .run = mark->run, .flags = mark->flags};
  if (!bpf_task_storage_get(&marks, child, &copy, BPF_LOCAL_STORAGE_GET_F_CREATE)) count(TOTAL_UNMARKED);
  struct run_state *state = state_of(&copy);
  /* Threads are counted by the limit of processes; they are not told. */
  if (!state || child->pid != child->tgid) return 0;
  __sync_fetch_and_add(&state->forked, 1);
  u64 now = bpf_ktime_get_ns();
  if (!within_cap(state, 0, now)) return 0;
  struct syscall_event event = {};
  fill_call(&event, &copy, SOURCE_FORK, FORKED, child->pid, now);
  send(state, &event, sizeof(event));
  return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *binary) {
  struct mark *mark = mark_of(task);
  if (!mark && has_groups) {
    u64 group = bpf_get_current_cgroup_id();
    struct mark *second = bpf_map_lookup_elem(&groups, &group);
    if (second) mark = bpf_task_storage_get(&marks, task, second, BPF_LOCAL_STORAGE_GET_F_CREATE);
  }
  if (!mark) return 0;
  mark->flags &= ~SETTING_UP;
  struct run_state *state = state_of(mark);
  if (!state) return 0;
  __sync_fetch_and_add(&state->executed, 1);
  u64 now = bpf_ktime_get_ns();
  if (!within_cap(state, 0, now)) return 0;
  struct file_event event = {};
  fill_file(&event, mark, SOURCE_EXEC, OP_EXECUTE, now);
  event.permission_result = 1;
  struct inode *inode = binary->file->f_inode;
  event.inode = inode->i_ino;
  event.device_id = inode->i_sb->s_dev;
  event.mode = inode->i_mode;
  send_file(state, &event, bpf_probe_read_kernel_str(event.path, PATH_BYTES, binary->filename));
  return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task) {
  struct mark *mark = mark_of(task);
  /* The last thread of a process: its end is the process's. */
  if (!mark || task->signal->live.counter != 0) return 0;
  struct run_state *state = state_of(mark);
  if (!state) return 0;
  u64 now = bpf_ktime_get_ns();
  if (!within_cap(state, 0, now)) return 0;
  struct syscall_event event = {};
  fill_call(&event, mark, SOURCE_EXIT, EXITED, 0, now);
  event.arg_count = 1;
  /* As wait(2) has it: the status in the second byte, a signal in the first. */
  event.args[0] = task->exit_code;
  send(state, &event, sizeof(event));
  return 0;
}

/* ---- connections ---- */

static __always_inline u8 protocol_of(u16 number) {
  switch (number) {
    case 6: return PROTOCOL_TCP;
    case 17: return PROTOCOL_UDP;
    case 1: return PROTOCOL_ICMP;
    case 58: return PROTOCOL_ICMPV6;
    default: return PROTOCOL_UNKNOWN;
  }
}

/* What is being told; the programs below share it with what makes their records. */
struct seen {
  struct run_state *state;
  struct mark *mark;
  u64 now;
  u16 call, error;
  u8 source, flags;
};

/* The address is the peer's when something goes out, else the own one. */
static __noinline int send_network(struct seen *seen, struct address *address, u8 protocol) {
  struct network_event event = {};
  u64 ids = bpf_get_current_pid_tgid();
  bool goes_out = seen->source != SOURCE_BIND;
  head(&event.header, seen->mark, seen->source, EVENT_NETWORK, seen->now);
  event.header.call = seen->call;
  event.header.error = seen->error;
  event.header.flags = seen->flags;
  event.version = EVENT_VERSION;
  event.protocol = protocol;
  event.direction = goes_out ? DIRECTION_OUTBOUND : DIRECTION_INBOUND;
  event.timestamp_ns = seen->now;
  event.pid = ids >> 32;
  event.tid = ids;
  event.is_ipv4 = address->family == AF_INET;
  u8 ip[16] = {};
  if (event.is_ipv4) __builtin_memcpy(ip, address->ip4, 4);
  else __builtin_memcpy(ip, address->ip6, 16);
  if (goes_out) {
    __builtin_memcpy(event.dst_ip, ip, 16);
    event.dst_port = bpf_ntohs(address->port);
  } else {
    __builtin_memcpy(event.src_ip, ip, 16);
    event.src_port = bpf_ntohs(address->port);
  }
  send(seen->state, &event, sizeof(event));
  return 0;
}

#define UNIX_PATH_BYTES 108

/* A socket in the file system, or with "@" one of the abstract names. `path`: as connect(2) has it, in the program's memory or the kernel's. */
static __noinline int send_unix(struct seen *seen, const char *path, bool is_user) {
  struct file_event event = {};
  fill_file(&event, seen->mark, seen->source, seen->source == SOURCE_BIND ? OP_CREATE : OP_WRITE, seen->now);
  event.header.call = seen->call;
  event.header.error = seen->error;
  event.permission_result = seen->error == 0;
  event.path[0] = '@';
  char *name = event.path + 1;
  long length;
  if (is_user) {
    length = bpf_probe_read_user_str(event.path, UNIX_PATH_BYTES, path);
    if (length == 1) length = 1 + bpf_probe_read_user_str(name, UNIX_PATH_BYTES, path + 1);
  } else {
    length = bpf_probe_read_kernel_str(event.path, UNIX_PATH_BYTES, path);
    if (length == 1) length = 1 + bpf_probe_read_kernel_str(name, UNIX_PATH_BYTES, path + 1);
  }
  if (event.path[0] == 0) event.path[0] = '@';
  send_file(seen->state, &event, length);
  return 0;
}

static __always_inline bool may_reach(struct mark *mark, u16 port) {
  if (!(mark->flags & NO_NETWORK)) return 1;
  struct port_key key = {.run = mark->run, .port = bpf_ntohs(port)};
  return bpf_map_lookup_elem(&allowed_ports, &key) != 0;
}

/* In the verifier's sight a constant: without the barrier the compiler would calculate it from a condition. */
static __always_inline long refused(void) {
  asm volatile("" ::: "memory");
  return -EPERM;
}

static __always_inline long on_address(struct socket *socket, void *given, u8 source) {
  struct mark *mark = watched(bpf_get_current_task_btf());
  if (!mark || !given) return 0;
  struct run_state *state = state_of(mark);
  if (!state) return 0;
  struct address address = {};
  bpf_probe_read_kernel(&address.family, sizeof(address.family), given);
  bool is_inet = address.family == AF_INET || address.family == AF_INET6;
  if (!is_inet && address.family != AF_UNIX) return 0;
  /* Behind a shorter address lies what the kernel's buffer for addresses (128 bytes) holds besides. */
  if (bpf_probe_read_kernel(&address, sizeof(address), given)) return 0;
  bool is_denied = is_inet && source != SOURCE_BIND && !may_reach(mark, address.port);
  if (source != SOURCE_BIND) __sync_fetch_and_add(&state->connected, 1);
  if (is_denied) {
    __sync_fetch_and_add(&state->denied, 1);
    mark->denied = 1;
  }
  struct seen seen = {.state = state, .mark = mark, .now = bpf_ktime_get_ns(), .source = source};
  if (is_denied) {
    seen.error = EPERM;
    seen.flags = RECORD_DENIED;
  }
  if (within_cap(state, is_denied, seen.now)) {
    struct sock *sock = socket->sk;
    if (is_inet) send_network(&seen, &address, sock ? protocol_of(sock->sk_protocol) : 0);
    else send_unix(&seen, given + 2, 0);
  }
  if (is_denied) return refused();
  return 0;
}

SEC("lsm/socket_connect")
long BPF_PROG(lsm_connect, struct socket *socket, struct sockaddr *address, int length) {
  return on_address(socket, address, SOURCE_CONNECT);
}

SEC("lsm/socket_bind")
long BPF_PROG(lsm_bind, struct socket *socket, struct sockaddr *address, int length) {
  return on_address(socket, address, SOURCE_BIND);
}

/* A datagram to an address of its own. */
SEC("lsm/socket_sendmsg")
long BPF_PROG(lsm_send, struct socket *socket, struct msghdr *message, int size) {
  return on_address(socket, message->msg_name, SOURCE_SEND);
}

/* ---- files ---- */

SEC("lsm/file_open")
long BPF_PROG(lsm_open, struct file *file) {
  struct mark *mark = watched(bpf_get_current_task_btf());
  if (!mark) return 0;
  struct run_state *state = state_of(mark);
  if (!state) return 0;
  struct inode *inode = file->f_inode;
  struct file_key key = {.inode = inode->i_ino, .device = inode->i_sb->s_dev};
  bool is_denied = bpf_map_lookup_elem(&deny_files, &key) != 0;
  /* Programs are told when they start. */
  if (!is_denied && (file->f_flags & OPENED_TO_EXECUTE)) return 0;
  u32 mode = file->f_mode;
  if (is_denied) {
    __sync_fetch_and_add(&state->denied, 1);
    mark->denied = 1;
  } else {
    __sync_fetch_and_add(&state->opened, 1);
    if (mode & FMODE_WRITE) __sync_fetch_and_add(&state->written, 1);
  }
  u64 now = bpf_ktime_get_ns();
  if (within_cap(state, is_denied, now)) {
    struct file_event event = {};
    fill_file(&event, mark, SOURCE_OPEN, mode & FMODE_CREATED ? OP_CREATE : mode & FMODE_WRITE ? OP_WRITE : OP_READ, now);
    event.permission_result = !is_denied;
    event.header.flags = is_denied ? RECORD_DENIED : 0;
    event.header.error = is_denied ? EPERM : 0;
    event.inode = key.inode;
    event.device_id = key.device;
    event.mode = inode->i_mode;
    send_file(state, &event, bpf_d_path(&file->f_path, event.path, PATH_BYTES));
  }
  if (is_denied) return refused();
  return 0;
}

SEC("lsm/bprm_check_security")
long BPF_PROG(lsm_execute, struct linux_binprm *binary) {
  struct mark *mark = mark_of(bpf_get_current_task_btf());
  if (!mark || !(mark->flags & EXEC_LISTED)) return 0;
  struct run_state *state = state_of(mark);
  if (!state) return 0;
  struct inode *inode = binary->file->f_inode;
  struct file_key key = {.inode = inode->i_ino, .device = inode->i_sb->s_dev, .run = mark->run};
  if (bpf_map_lookup_elem(&exec_files, &key)) return 0;
  __sync_fetch_and_add(&state->denied, 1);
  mark->denied = 1;
  u64 now = bpf_ktime_get_ns();
  if (within_cap(state, 1, now)) {
    struct file_event event = {};
    fill_file(&event, mark, SOURCE_EXECUTE, OP_EXECUTE, now);
    event.header.flags = RECORD_DENIED;
    event.header.error = EPERM;
    event.inode = key.inode;
    event.device_id = key.device;
    event.mode = inode->i_mode;
    send_file(state, &event, bpf_probe_read_kernel_str(event.path, PATH_BYTES, binary->filename));
  }
  return -EPERM;
}

/* ---- system calls, as they return ---- */

static __always_inline u64 argument(struct pt_regs *regs, u32 which) {
  switch (which) {
    case 0: return regs->di;
    case 1: return regs->si;
    case 2: return regs->dx;
    case 3: return regs->r10;
    case 4: return regs->r8;
    default: return regs->r9;
  }
}

static __always_inline bool opens_to_write(struct pt_regs *regs, u32 call, u64 *flags) {
  *flags = 0;
  if (call == 85) *flags = O_CREAT | 1;
  else if (call == 2) *flags = regs->si;
  else if (call == 257) *flags = regs->dx;
  /* struct open_how begins with them */
  else bpf_probe_read_user(flags, sizeof(*flags), (void *)regs->dx);
  return (*flags & O_ACCMODE) != 0;
}

static __noinline int call_on_path(struct seen *seen, struct pt_regs *regs, u32 call, u32 about) {
  u32 kind = about & KIND_MASK;
  u8 operation = kind == KIND_DELETE ? OP_DELETE : kind == KIND_RENAME ? OP_RENAME : kind == KIND_CREATE ? OP_CREATE : OP_EXECUTE;
  u64 flags = 0;
  if (kind == KIND_OPEN) operation = opens_to_write(regs, call, &flags) ? OP_WRITE : OP_READ;
  struct file_event event = {};
  fill_file(&event, seen->mark, SOURCE_CALL, operation, seen->now);
  event.permission_result = seen->error == 0;
  event.header.call = seen->call;
  event.header.error = seen->error;
  send_file(seen->state, &event, bpf_probe_read_user_str(event.path, PATH_BYTES, (void *)argument(regs, about >> ARGUMENT_SHIFT & ARGUMENT_MASK)));
  return 0;
}

/* Of a descriptor of the program that has called; 0 when it is no socket. What another thread closes meanwhile is read or not, and
   does no harm. A function of its own: those of an address use all of the stack that kernels before 6.13 give. */
static __noinline u16 protocol_number(u32 fd) {
  struct fdtable *table = BPF_CORE_READ(bpf_get_current_task_btf(), files, fdt);
  if (fd >= BPF_CORE_READ(table, max_fds)) return 0;
  struct file *file = 0;
  bpf_probe_read_kernel(&file, sizeof(file), BPF_CORE_READ(table, fd) + fd);
  if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK) return 0;
  struct socket *socket = BPF_CORE_READ(file, private_data);
  return BPF_CORE_READ(socket, sk, sk_protocol);
}

static __noinline int call_on_address(struct seen *seen, struct pt_regs *regs, u32 about) {
  u32 kind = about & KIND_MASK, place = about >> ARGUMENT_SHIFT & ARGUMENT_MASK;
  void *given = (void *)argument(regs, place);
  struct address address = {};
  u64 length = kind == KIND_SEND ? regs->r9 : regs->dx;
  if (length > sizeof(address)) length = sizeof(address);
  if (length < 2 || bpf_probe_read_user(&address, length & 0x1f, given)) return 0;
  seen->source = kind == KIND_BIND ? SOURCE_BIND : kind == KIND_SEND ? SOURCE_SEND : SOURCE_CONNECT;
  if (address.family == AF_INET || address.family == AF_INET6) send_network(seen, &address, protocol_of(protocol_number(regs->di)));
  else if (address.family == AF_UNIX) send_unix(seen, given + 2, 1);
  return 0;
}

static __noinline int call_with_arguments(struct seen *seen, struct pt_regs *regs, u32 call, long result) {
  struct syscall_event event = {};
  fill_call(&event, seen->mark, SOURCE_CALL, call, result, seen->now);
  event.header.call = call;
  event.header.error = seen->error;
  event.arg_count = 6;
  event.args[0] = regs->di;
  event.args[1] = regs->si;
  event.args[2] = regs->dx;
  event.args[3] = regs->r10;
  event.args[4] = regs->r8;
  event.args[5] = regs->r9;
  send(seen->state, &event, sizeof(event));
  return 0;
}

/* By whom, tell.ts says. */
static __always_inline bool is_refusal(u16 error) {
  return error == EPERM || error == EACCES || error == EROFS || error == ENETUNREACH || error == ENETDOWN || error == EHOSTUNREACH;
}

/* Counted here only where no LSM hook does it. */
static __always_inline void count_call(struct run_state *state, struct pt_regs *regs, u32 call, u32 kind, u16 error) {
  if (is_refusal(error)) __sync_fetch_and_add(&state->denied, 1);
  if (has_lsm) return;
  /* Tried, whatever became of it. */
  if (kind == KIND_CONNECT || (kind == KIND_SEND && regs->r8 != 0)) __sync_fetch_and_add(&state->connected, 1);
  if (error != 0 || kind != KIND_OPEN) return;
  u64 flags = 0;
  __sync_fetch_and_add(&state->opened, 1);
  if (opens_to_write(regs, call, &flags)) __sync_fetch_and_add(&state->written, 1);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_return, struct pt_regs *regs, long result) {
  u64 call = regs->orig_ax;
  if (call >= MOST_CALLS) return 0;
  u32 about = calls[call & (MOST_CALLS - 1)], kind = about & KIND_MASK;
  bool is_error = result < 0 && result >= -MAX_ERRNO;
  u16 error = is_error ? -result : 0;
  if (!is_error) {
    if (!(about & (has_lsm ? ON_SUCCESS : ON_SUCCESS | WITHOUT_LSM))) return 0;
  } else if (kind == KIND_OTHER && !is_refusal(error))
    return 0;
  struct mark *mark = watched(bpf_get_current_task_btf());
  if (!mark) return 0;
  /* A hook has told of it. */
  if (mark->denied) {
    mark->denied = 0;
    if (is_error) return 0;
  }
  bool is_address = kind == KIND_CONNECT || kind == KIND_BIND || kind == KIND_SEND;
  bool is_refused = is_refusal(error);
  /* A hook has told of the attempt, before its outcome was known. */
  if (is_address && has_lsm && !is_refused) return 0;
  struct run_state *state = state_of(mark);
  if (!state) return 0;
  count_call(state, regs, call, kind, error);
  struct seen seen = {.state = state, .mark = mark, .now = bpf_ktime_get_ns(), .call = call, .error = error};
  if (!within_cap(state, is_refused || kind == KIND_PRIVILEGED, seen.now)) return 0;
  if (is_address) call_on_address(&seen, regs, about);
  else if (kind == KIND_OTHER || kind == KIND_PRIVILEGED) call_with_arguments(&seen, regs, call, result);
  else call_on_path(&seen, regs, call, about);
  return 0;
}
