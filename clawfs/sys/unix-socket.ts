/** Numbers and addresses of sockets of the unix domain (unix(7), socket(2), recvmsg(2)). */
import { Fault } from "../core/fault.ts"

export const AF_UNIX = 1
export const SOCK_STREAM = 1
export const SOCK_CLOEXEC = 0o2000000
export const SOCK_NONBLOCK = 0o4000
export const SOL_SOCKET = 1
export const SO_PEERCRED = 17
export const SCM_RIGHTS = 1
export const MSG_CMSG_CLOEXEC = 0x4000_0000
const SUN_PATH = 108

/** struct sockaddr_un of a path. Throws `Fault("name-too-long")`. */
export function addressOfPath(path: string): Buffer {
  const name = Buffer.from(path)
  if (name.length >= SUN_PATH) throw new Fault("name-too-long", `the path of the socket is too long: ${path}`)
  const address = Buffer.alloc(2 + SUN_PATH)
  address.writeUInt16LE(AF_UNIX)
  name.copy(address, 2)
  return address
}

/** ... of a name in the abstract namespace. */
export function addressOfName(name: string): Buffer {
  return Buffer.concat([Buffer.from([AF_UNIX, 0, 0]), Buffer.from(name)])
}
