/** The thread that waits: first for the guard's report, then for requests on the connection, which the main thread serves. */
import { parentPort, workerData } from "node:worker_threads"
import { present } from "../../clawfs/core/assert.ts"
import { poll } from "../../clawfs/sys/libc.ts"
import { receiveMessage } from "../../clawfs/sys/seqpacket.ts"
import type { GuardReport, MountEvent, MountWorkerData } from "./mount-words.ts"

const POLLFD = 8
const POLLIN = 1

const { socket, stop, turn } = workerData as MountWorkerData
const port = present(parentPort, "the main thread")
const mine = new Int32Array(turn)

function tell(event: MountEvent): void {
  port.postMessage(event)
}

/** Which of the descriptors have something. */
function wait(watched: readonly number[]): number[] {
  const fds = Buffer.alloc(POLLFD * watched.length)
  watched.forEach((fd, at) => {
    fds.writeInt32LE(fd, POLLFD * at)
    fds.writeInt16LE(POLLIN, POLLFD * at + 4)
  })
  poll(fds, watched.length, -1)
  return watched.filter((_, at) => fds.readInt16LE(POLLFD * at + 6) !== 0)
}

/** The connection's descriptor; undefined when there is none. */
function connection(): number | undefined {
  if (wait([stop, socket]).includes(stop)) return undefined
  const message = receiveMessage(socket, { wait: false })
  if (message === undefined || typeof message === "string") {
    tell({ kind: "failed", report: { kind: "io", message: "what guards the mount ended without a word" } })
    return undefined
  }
  const report = JSON.parse(message.data.toString()) as GuardReport
  const [fd] = message.fds
  if (report.ok && fd !== undefined) {
    tell({ kind: "mounted", fd })
    return fd
  }
  tell({
    kind: "failed",
    report: report.ok ? { kind: "io", message: "the mount has no descriptor" } : report.error,
  })
  return undefined
}

function serve(fd: number): void {
  for (;;) {
    const ready = wait([stop, socket, fd])
    if (ready.includes(stop)) return
    if (ready.includes(socket)) {
      tell({ kind: "unguarded" })
      return
    }
    Atomics.store(mine, 0, 1)
    tell({ kind: "request" })
    Atomics.wait(mine, 0, 1)
  }
}

const fd = connection()
if (fd !== undefined) serve(fd)
port.close()
