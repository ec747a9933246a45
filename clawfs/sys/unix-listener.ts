/**
 * A socket in the abstract namespace (unix(7)) that takes descriptors from its clients and knows who they are. Node has
 * neither SCM_RIGHTS nor SO_PEERCRED. Nothing here blocks; koffi's poll handles live in the event loop.
 */
import { closeSync } from "node:fs"
import { checked, pollReadable, sysFault, type PollHandle } from "./ffi.ts"
import { watchReadable } from "./watch.ts"
import { receiveSome, type Received } from "./unix-stream.ts"
import { accept4, bindSocket, connect, getsockopt, listen, socket } from "./libc.ts"
import {
  AF_UNIX,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  SO_PEERCRED,
  addressOfName,
} from "./unix-socket.ts"

const BACKLOG = 128

export interface Peer {
  readonly pid: number
  readonly uid: number
  readonly gid: number
}

export interface FirstMessage {
  readonly fd: number
  readonly peer: Peer
  readonly bytes: Buffer
  /** Close-on-exec; the receiver closes them. */
  readonly descriptors: readonly number[]
}

/** Listens on the abstract name. `onClient` owns the connection (non-blocking) from then on. Throws EADDRINUSE. */
export class UnixListener implements Disposable {
  readonly #fd: number
  readonly #handle: PollHandle

  constructor(name: string, onClient: (fd: number) => void) {
    this.#fd = checked("socket", socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0))
    const address = addressOfName(name)
    if (bindSocket(this.#fd, address, address.length) < 0 || listen(this.#fd, BACKLOG) < 0) {
      const fault = sysFault("bind")
      closeSync(this.#fd)
      throw fault
    }
    this.#handle = pollReadable(this.#fd, () => this.#accept(onClient))
  }

  #accept(onClient: (fd: number) => void): void {
    for (;;) {
      const fd = accept4(this.#fd, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK)
      if (fd < 0) return
      onClient(fd)
    }
  }

  [Symbol.dispose](): void {
    this.#handle.close()
    closeSync(this.#fd)
  }
}

/** A stream to who listens on the abstract name; undefined when nobody does. */
export function connectAbstract(name: string): number | undefined {
  const fd = checked("socket", socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))
  const address = addressOfName(name)
  if (connect(fd, address, address.length) === 0) return fd
  closeSync(fd)
  return undefined
}

/** Who was at the other end when it connected. */
export function peerOf(fd: number): Peer {
  const [value, length] = [Buffer.alloc(12), Buffer.alloc(4)]
  length.writeUInt32LE(value.length)
  checked("getsockopt", getsockopt(fd, SOL_SOCKET, SO_PEERCRED, value, length))
  return { pid: value.readInt32LE(0), uid: value.readUInt32LE(4), gid: value.readUInt32LE(8) }
}

/** The first bytes of a connection, up to `most`, with the descriptors that came with them; rejects when none come in time. */
export async function receiveFirst(fd: number, most: number, timeoutMs: number): Promise<FirstMessage> {
  const peer = peerOf(fd)
  // Who connects says something at once, as a rule.
  const first = receiveSome(fd, most) ?? (await receiveLater(fd, most, timeoutMs))
  return { fd, peer, ...first }
}

async function receiveLater(fd: number, most: number, timeoutMs: number): Promise<Received> {
  await new Promise<void>((resolve, reject) => {
    const end = (): void => {
      handle.close()
      clearTimeout(timer)
    }
    const handle = watchReadable(fd, () => {
      end()
      resolve()
    })
    const timer = setTimeout(() => {
      end()
      reject(new Error("the client says nothing"))
    }, timeoutMs)
  })
  return receiveSome(fd, most) ?? { bytes: Buffer.alloc(0), descriptors: [] }
}
