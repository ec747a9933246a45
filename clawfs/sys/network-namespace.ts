/** Sockets in another network namespace (network_namespaces(7)); takes CAP_SYS_ADMIN, as root has it. Linux alone has these. */
import { closeSync, openSync } from "node:fs"
import { bind, checked, sysFault } from "./ffi.ts"
import { bindSocket, ioctl, listen, socket } from "./libc.ts"

const setns = bind<[fd: number, type: number]>("int setns(int, int)")

const CLONE_NEWNET = 0x4000_0000
const AF_INET = 2
const SOCK_STREAM_CLOEXEC_NONBLOCK = 1 | 0o2000000 | 0o4000
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000
const BACKLOG = 32
/** netdevice(7): struct ifreq, with the interface's name and an address behind it. */
const SIOCGIFFLAGS = 0x8913
const IFF_UP = 1
const SIOCSIFADDR = 0x8916
const SIOCSIFNETMASK = 0x891c
const IFREQ = 40
const IFNAMSIZ = 16

/**
 * Runs `work` while this thread is in the network namespace of process `pid`. It must be synchronous: sockets that it makes
 * stay in that namespace. A thread that can't come back ends the process.
 */
export function inNetworkOf<T>(pid: number, work: () => T): T {
  const own = openSync("/proc/thread-self/ns/net", "r")
  const other = openSync(`/proc/${pid}/ns/net`, "r")
  try {
    checked("setns", setns(other, CLONE_NEWNET))
    try {
      return work()
    } finally {
      if (setns(own, CLONE_NEWNET) < 0) process.abort()
    }
  } finally {
    closeSync(own)
    closeSync(other)
  }
}

/** A socket that listens (TCP, IPv4), non-blocking. Owner: the caller. Throws EADDRINUSE and the like. */
export function listeningSocket(address: string, port: number): number {
  const fd = checked("socket", socket(AF_INET, SOCK_STREAM_CLOEXEC_NONBLOCK, 0))
  const name = socketAddress(address, port)
  if (bindSocket(fd, name, name.length) === 0 && listen(fd, BACKLOG) === 0) return fd
  const fault = sysFault("bind")
  closeSync(fd)
  throw fault
}

/** Whether this namespace's loopback is up; it has its address then, too. */
export function isLoopbackUp(): boolean {
  const fd = checked("socket", socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0))
  try {
    const argument = Buffer.alloc(IFREQ)
    argument.write("lo", "latin1")
    checked("ioctl", ioctl(fd, SIOCGIFFLAGS, argument))
    return (argument.readUInt16LE(IFNAMSIZ) & IFF_UP) !== 0
  } finally {
    closeSync(fd)
  }
}

/** Makes an address one of this namespace's own, as number `alias` of the loopback's. Nothing else becomes reachable. */
export function addLoopbackAddress(address: string, alias: number): void {
  const fd = checked("socket", socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0))
  try {
    for (const [request, value] of [
      [SIOCSIFADDR, address],
      [SIOCSIFNETMASK, "255.255.255.255"],
    ] as const) {
      const argument = Buffer.alloc(IFREQ)
      argument.write(`lo:${alias}`, "latin1")
      socketAddress(value, 0).copy(argument, IFNAMSIZ)
      checked("ioctl", ioctl(fd, request, argument))
    }
  } finally {
    closeSync(fd)
  }
}

/** struct sockaddr_in. */
function socketAddress(address: string, port: number): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt16LE(AF_INET, 0)
  bytes.writeUInt16BE(port, 2)
  bytes.set(ipv4Bytes(address), 4)
  return bytes
}

/** As packets have it. `address`: four numbers, with dots between them. */
export function ipv4Bytes(address: string): Buffer {
  return Buffer.from(address.split(".").map(Number))
}
