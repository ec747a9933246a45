/*
 * What goes through the ring (schema/events.ts reads it, docs/EVENTS.md describes it): whose it is (16 bytes), the header of
 * P1.3 (12), and one of its structures, of which a path's unused end is left out. Little-endian. The 28 bytes put most of the
 * structures' 64-bit fields where a 64-bit machine wants them.
 */
#pragma once
#include "kernel.h"

#define EVENT_VERSION 1
#define PATH_BYTES 256
#define COMM_BYTES 16

enum event_id { EVENT_SYSCALL = 2, EVENT_FILE = 3, EVENT_NETWORK = 4 };
enum operation { OP_READ, OP_WRITE, OP_EXECUTE, OP_DELETE, OP_CREATE, OP_RENAME };
enum protocol { PROTOCOL_UNKNOWN, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMP, PROTOCOL_ICMPV6 };
enum direction { DIRECTION_INBOUND = 1, DIRECTION_OUTBOUND = 2 };

/* Which of the programs below saw it. */
enum source {
  SOURCE_FORK = 1, SOURCE_EXEC, SOURCE_EXIT, SOURCE_CALL, SOURCE_OPEN, SOURCE_EXECUTE, SOURCE_CONNECT, SOURCE_BIND, SOURCE_SEND
};
/* The program denied it: nothing after it was asked. */
#define RECORD_DENIED 1

struct header {
  u32 run;
  u16 call, error;
  u8 source, flags, unused[6];
  u8 version, event_id, reserved[2];
  u64 timestamp_ns;
} __attribute__((packed));

/* 104 */
struct syscall_event {
  struct header header;
  u8 version, reserved;
  u16 sysnum;
  u64 timestamp_ns;
  u32 pid, tid;
  s64 return_value;
  u64 duration_ns;
  u8 arg_count, padding[3];
  u64 args[6];
  char comm[COMM_BYTES];
} __attribute__((packed));

/* 304 */
struct file_event {
  struct header header;
  u8 version, operation, permission_result, reserved;
  u64 timestamp_ns;
  u32 pid, tid, uid, gid;
  u64 inode;
  u32 device_id, mode;
  u16 path_len, padding;
  char path[PATH_BYTES];
} __attribute__((packed));

/* 64 */
struct network_event {
  struct header header;
  u8 version, protocol, direction, reserved;
  u64 timestamp_ns;
  u32 pid, tid;
  u8 src_ip[16], dst_ip[16];
  u16 src_port, dst_port;
  u32 packet_size;
  u8 is_ipv4, padding[3];
} __attribute__((packed));

#define HEADER_BYTES 28
_Static_assert(sizeof(struct header) == HEADER_BYTES, "header");
_Static_assert(sizeof(struct syscall_event) == HEADER_BYTES + 104, "syscall event");
_Static_assert(sizeof(struct file_event) == HEADER_BYTES + 304, "file event");
_Static_assert(sizeof(struct network_event) == HEADER_BYTES + 64, "network event");
