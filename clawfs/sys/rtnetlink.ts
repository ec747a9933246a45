/** Interfaces and their addresses by rtnetlink(7), in the network namespace that the socket was opened in. Linux alone has these. */
import { closeSync } from "node:fs"
import { E, errnoName, errnoOf } from "../core/errno.ts"
import { SysFault } from "../core/fault.ts"
import { bind, checked } from "./ffi.ts"
import { ipv4Bytes } from "./network-namespace.ts"
import { read, socket, write } from "./libc.ts"

const indexOf = bind<[name: string]>("unsigned int if_nametoindex(const char*)")

const AF_INET = 2
const AF_NETLINK = 16
const SOCK_RAW_CLOEXEC = 3 | 0o2000000
const NETLINK_ROUTE = 0
const NLMSG_ERROR = 2
const NLM_F_REQUEST_ACK = 1 | 4
const NLM_F_EXCL_CREATE = 0x200 | 0x400
const RTM_NEWLINK = 16
const RTM_DELLINK = 17
const RTM_NEWADDR = 20
/** linux/if_link.h, linux/veth.h, linux/if_addr.h */
const IFLA = { IFNAME: 3, LINKINFO: 18, INFO_KIND: 1, INFO_DATA: 2, PEER: 1, NET_NS_FD: 28 } as const
const IFA = { ADDRESS: 1, LOCAL: 2 } as const
const IFF_UP = 1
const HEADER_BYTES = 16
const ERROR_BYTES = 8192
const ALIGN = 4
const HOST_PREFIX = 32

/** Index of an interface in this thread's namespace; 0 when there is none of that name. */
export function interfaceIndex(name: string): number {
  return indexOf(name)
}

export class RouteSocket implements Disposable {
  readonly #fd: number

  /** In the network namespace of this thread, whatever that is later. */
  constructor() {
    this.#fd = checked("socket", socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE))
  }

  /**
   * Makes a pair of virtual Ethernet devices (veth(4)): `name` here, `peer` in the namespace that descriptor `namespace` is of. Both are down.
   * Throws EEXIST when there is an interface `name`.
   */
  addPair(name: string, peer: string, namespace: number): void {
    const other = Buffer.concat([
      interfaceHead(),
      attribute(IFLA.IFNAME, text(peer)),
      attribute(IFLA.NET_NS_FD, word(namespace)),
    ])
    const info = [
      attribute(IFLA.INFO_KIND, text("veth")),
      attribute(IFLA.INFO_DATA, attribute(IFLA.PEER, other)),
    ]
    this.#ask("RTM_NEWLINK", RTM_NEWLINK, NLM_F_EXCL_CREATE, [
      interfaceHead(),
      attribute(IFLA.IFNAME, text(name)),
      attribute(IFLA.LINKINFO, Buffer.concat(info)),
    ])
  }

  /** An address of its own, and a route to the one at the other end. */
  addAddress(index: number, own: string, other: string): void {
    const head = Buffer.from([AF_INET, HOST_PREFIX, 0, 0, 0, 0, 0, 0])
    head.writeUInt32LE(index, 4)
    this.#ask("RTM_NEWADDR", RTM_NEWADDR, NLM_F_EXCL_CREATE, [
      head,
      attribute(IFA.LOCAL, ipv4Bytes(own)),
      attribute(IFA.ADDRESS, ipv4Bytes(other)),
    ])
  }

  setUp(index: number): void {
    this.#ask("RTM_NEWLINK", RTM_NEWLINK, 0, [interfaceHead(index, IFF_UP)])
  }

  /** The other one of a pair goes with it. Throws ENODEV when it is gone. */
  remove(index: number): void {
    this.#ask("RTM_DELLINK", RTM_DELLINK, 0, [interfaceHead(index)])
  }

  /** The kernel has done it, or has said why not, when the message has been sent. */
  #ask(what: string, type: number, flags: number, parts: readonly Buffer[]): void {
    const body = Buffer.concat(parts)
    const head = Buffer.alloc(HEADER_BYTES)
    head.writeUInt32LE(HEADER_BYTES + body.length, 0)
    head.writeUInt16LE(type, 4)
    head.writeUInt16LE(NLM_F_REQUEST_ACK | flags, 6)
    const message = Buffer.concat([head, body])
    checked("write", write(this.#fd, message, message.length))
    const answer = Buffer.alloc(ERROR_BYTES)
    const length = checked("read", read(this.#fd, answer, answer.length))
    const isAnswer = length >= HEADER_BYTES + ALIGN && answer.readUInt16LE(4) === NLMSG_ERROR
    if (!isAnswer) throw new SysFault(what, E.EPROTO, "no answer")
    const errno = -answer.readInt32LE(HEADER_BYTES)
    if (errno !== 0) throw new SysFault(what, errnoOf(errno), errnoName(errno))
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }
}

/** struct ifinfomsg. */
function interfaceHead(index = 0, flags = 0): Buffer {
  const head = Buffer.alloc(16)
  head.writeInt32LE(index, 4)
  head.writeUInt32LE(flags, 8)
  // Which of the flags are meant.
  head.writeUInt32LE(flags, 12)
  return head
}

/** struct nlattr, filled up to a multiple of four. */
function attribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(Math.ceil((ALIGN + value.length) / ALIGN) * ALIGN)
  bytes.writeUInt16LE(ALIGN + value.length, 0)
  bytes.writeUInt16LE(type, 2)
  value.copy(bytes, ALIGN)
  return bytes
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`, "latin1")
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
