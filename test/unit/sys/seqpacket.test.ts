/** Local sockets: what a signal does to who waits for a message. */
import { spawn } from "node:child_process"
import { closeSync } from "node:fs"
import { expect, test } from "vitest"
import { checked } from "../../../clawfs/sys/ffi.ts"
import { setsockopt, socketpair } from "../../../clawfs/sys/libc.ts"
import { receiveMessage } from "../../../clawfs/sys/seqpacket.ts"

const AF_UNIX = 1
const SEQPACKET_CLOEXEC = 5 | 0o2000000
const SOL_SOCKET = 1
const SO_RCVTIMEO = 20

test("who waits for an answer goes on waiting when a signal comes", () => {
  const pair = Buffer.alloc(8)
  checked("socketpair", socketpair(AF_UNIX, SEQPACKET_CLOEXEC, 0, pair))
  const [own, other] = [pair.readInt32LE(0), pair.readInt32LE(4)]
  // Calls with a time limit are not begun again by the kernel.
  const timeout = Buffer.alloc(16)
  timeout.writeBigInt64LE(60n)
  checked("setsockopt", setsockopt(own, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.length))
  const ignored = (): void => undefined
  process.on("SIGUSR2", ignored)
  try {
    const script = `sleep 0.2; for i in 1 2 3; do kill -USR2 ${process.pid}; sleep 0.1; done; printf answer >&3`
    spawn("sh", ["-c", script], { stdio: ["ignore", "ignore", "inherit", other] })
    const message = receiveMessage(own, { wait: true })
    expect(typeof message === "object" ? message.data.toString() : message).toBe("answer")
  } finally {
    process.off("SIGUSR2", ignored)
    for (const fd of [own, other]) closeSync(fd)
  }
})
