/**
 * The thread that waits for clients of the vault: it takes connections and messages, and hands them to the main thread,
 * which answers. Nothing of a request is understood here.
 */
import { parentPort, workerData } from "node:worker_threads"
import { present } from "../../clawfs/core/assert.ts"
import { poll } from "../../clawfs/sys/libc.ts"
import { acceptOn, receiveMessage } from "../../clawfs/sys/seqpacket.ts"

export interface ListenerData {
  readonly listener: number
  /** Readable when the thread shall end. */
  readonly stop: number
}

/** From this thread to the main one. The main thread owns all descriptors in it. */
export type Arrival =
  | {
      readonly kind: "message"
      readonly connection: number
      readonly data: Uint8Array
      readonly fds: number[]
    }
  | { readonly kind: "too long"; readonly connection: number }
  /** The client is gone; this thread does not look at the connection any more. */
  | { readonly kind: "end"; readonly connection: number }

const POLLFD = 8
const POLLIN = 1
const MOST_CONNECTIONS = 256

const { listener, stop } = workerData as ListenerData
const port = present(parentPort, "the main thread")
const connections: number[] = []

function tell(arrival: Arrival): void {
  port.postMessage(arrival)
}

function serve(connection: number): void {
  const message = receiveMessage(connection, { wait: false })
  if (message === "late") return
  if (message === "too long") {
    tell({ kind: "too long", connection })
    return
  }
  if (message !== undefined) {
    tell({ kind: "message", connection, data: new Uint8Array(message.data), fds: [...message.fds] })
    return
  }
  connections.splice(connections.indexOf(connection), 1)
  tell({ kind: "end", connection })
}

for (;;) {
  const isFull = connections.length >= MOST_CONNECTIONS
  const watched = [stop, ...connections, ...(isFull ? [] : [listener])]
  const fds = Buffer.alloc(POLLFD * watched.length)
  watched.forEach((fd, at) => {
    fds.writeInt32LE(fd, POLLFD * at)
    fds.writeInt16LE(POLLIN, POLLFD * at + 4)
  })
  poll(fds, watched.length, -1)
  const ready = watched.filter((_, at) => fds.readInt16LE(POLLFD * at + 6) !== 0)
  if (ready.includes(stop)) break
  for (const fd of ready) {
    if (fd !== listener) {
      serve(fd)
      continue
    }
    const connection = acceptOn(listener)
    if (connection !== undefined) connections.push(connection)
  }
}
port.close()
