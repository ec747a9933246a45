/*
 * What passes between a tool that has a link (network:link:PORT) and the machine: TCP to the granted ports of the machine's
 * end, the answers, and the ARP that both need. Decided at both ends of the pair of interfaces, as packets arrive, and where
 * control groups of version 2 are, before there is a packet, when a program connects or sends.
 *
 * A link is known by the index of the machine's end, which the tool can't choose; what a packet says of its sender counts for
 * nothing but to be compared. Without an entry nothing passes.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

char LICENSE[] SEC("license") = "GPL";

#define MOST_LINKS 1024
#define XDP_DROP 1
#define XDP_PASS 2
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_ARP 0x0806
#define ARP_ETHERNET 1
#define IPPROTO_TCP 6
#define SOCK_STREAM 1
/* Version 4, a header of 20 bytes: options are not needed, and would be parsed. */
#define PLAIN_IPV4 0x45
/* "More fragments", and the offset: only the first fragment has ports. */
#define FRAGMENT 0x3fff

/* linux/bpf.h: what the kernel hands to these programs; the verifier knows the offsets. */
struct xdp_md { u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex; };
struct bpf_sock_addr { u32 user_family, user_ip4, user_ip6[4], user_port, family, type, protocol; };

struct ethernet { u8 to[6], from[6]; u16 type; } __attribute__((packed));
struct arp { u16 hardware, protocol; u8 hardware_bytes, protocol_bytes; u16 operation; u8 sender[6]; u32 sender_address; u8 target[6]; u32 target_address; } __attribute__((packed));
struct ipv4 { u8 version, service; u16 length, id, fragment; u8 hops, protocol; u16 checksum; u32 from, to; };
struct tcp { u16 from, to; u32 sequence, acknowledged; u16 flags, window, checksum, urgent; };

/* Addresses and ports as packets have them. Room is taken when a link is made: most mounts have none. */
struct link { u32 tool, machine; u64 passed, dropped; };
/* What a link's tool may connect to: at the machine's address, and at those that its own loopback has for other grants. */
struct place { u32 link, address; u16 port, zero; };

struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(map_flags, BPF_F_NO_PREALLOC); __uint(max_entries, MOST_LINKS); __type(key, u32); __type(value, struct link); } links SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(map_flags, BPF_F_NO_PREALLOC); __uint(max_entries, MOST_LINKS); __type(key, u32); __type(value, u32); } tools SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(map_flags, BPF_F_NO_PREALLOC); __uint(max_entries, MOST_LINKS * 64); __type(key, struct place); __type(value, u32); } places SEC(".maps");
/* By the identity of the sandbox's control group. */
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(map_flags, BPF_F_NO_PREALLOC); __uint(max_entries, MOST_LINKS); __type(key, u64); __type(value, u32); } groups SEC(".maps");

static __always_inline bool is_granted(u32 link, u32 address, u16 port) {
  struct place key = {.link = link, .address = address, .port = port};
  return bpf_map_lookup_elem(&places, &key) != 0;
}

static __always_inline int decided(struct link *link, bool may_pass) {
  __sync_fetch_and_add(may_pass ? &link->passed : &link->dropped, 1);
  return may_pass ? XDP_PASS : XDP_DROP;
}

/* Which of the two addresses of each end an ARP packet must have. */
static __always_inline bool is_plain_arp(struct arp *arp, void *end, u32 from, u32 to) {
  if ((void *)(arp + 1) > end) return 0;
  return arp->hardware == bpf_htons(ARP_ETHERNET) && arp->protocol == bpf_htons(ETHERTYPE_IPV4) &&
         arp->hardware_bytes == 6 && arp->protocol_bytes == 4 && arp->sender_address == from && arp->target_address == to;
}

/* The TCP header, or nothing. */
static __always_inline struct tcp *tcp_of(struct ipv4 *ip, void *end) {
  if ((void *)(ip + 1) > end) return 0;
  if (ip->version != PLAIN_IPV4 || ip->protocol != IPPROTO_TCP || (ip->fragment & bpf_htons(FRAGMENT))) return 0;
  struct tcp *tcp = (void *)(ip + 1);
  return (void *)(tcp + 1) > end ? 0 : tcp;
}

/* On the machine's end. */
SEC("xdp")
int from_tool(struct xdp_md *context) {
  void *begin = (void *)(long)context->data, *end = (void *)(long)context->data_end;
  u32 id = context->ingress_ifindex;
  struct link *link = bpf_map_lookup_elem(&links, &id);
  if (!link) return XDP_DROP;
  struct ethernet *frame = begin;
  if ((void *)(frame + 1) > end) return decided(link, 0);
  if (frame->type == bpf_htons(ETHERTYPE_ARP)) return decided(link, is_plain_arp((void *)(frame + 1), end, link->tool, link->machine));
  if (frame->type != bpf_htons(ETHERTYPE_IPV4)) return decided(link, 0);
  struct ipv4 *ip = (void *)(frame + 1);
  struct tcp *tcp = tcp_of(ip, end);
  if (!tcp) return decided(link, 0);
  return decided(link, ip->from == link->tool && ip->to == link->machine && is_granted(id, ip->to, tcp->to));
}

/* On the tool's end, whose index says nothing: every sandbox counts from one. */
SEC("xdp")
int to_tool(struct xdp_md *context) {
  void *begin = (void *)(long)context->data, *end = (void *)(long)context->data_end;
  struct ethernet *frame = begin;
  if ((void *)(frame + 1) > end) return XDP_DROP;
  bool is_arp = frame->type == bpf_htons(ETHERTYPE_ARP);
  if (!is_arp && frame->type != bpf_htons(ETHERTYPE_IPV4)) return XDP_DROP;
  struct arp *arp = (void *)(frame + 1);
  struct ipv4 *ip = (void *)(frame + 1);
  if (is_arp ? (void *)(arp + 1) > end : (void *)(ip + 1) > end) return XDP_DROP;
  u32 tool = is_arp ? arp->target_address : ip->to;
  u32 *id = bpf_map_lookup_elem(&tools, &tool);
  if (!id) return XDP_DROP;
  struct link *link = bpf_map_lookup_elem(&links, id);
  if (!link) return XDP_DROP;
  if (is_arp) return decided(link, is_plain_arp(arp, end, link->machine, link->tool));
  struct tcp *tcp = tcp_of(ip, end);
  if (!tcp) return decided(link, 0);
  return decided(link, ip->from == link->machine && is_granted(*id, ip->from, tcp->from));
}

/* ---- before there is a packet; 1 lets it be, 0 is EPERM ---- */

SEC("cgroup/connect4")
int on_connect4(struct bpf_sock_addr *address) {
  u64 group = bpf_get_current_cgroup_id();
  u32 *id = bpf_map_lookup_elem(&groups, &group);
  if (!id || address->type != SOCK_STREAM || address->protocol != IPPROTO_TCP) return 0;
  return is_granted(*id, address->user_ip4, address->user_port);
}

SEC("cgroup/connect6")
int on_connect6(struct bpf_sock_addr *address) {
  return 0;
}

SEC("cgroup/sendmsg4")
int on_send4(struct bpf_sock_addr *address) {
  return 0;
}

SEC("cgroup/sendmsg6")
int on_send6(struct bpf_sock_addr *address) {
  return 0;
}
