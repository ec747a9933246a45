/**
 * Stands in for a server that keeps crashing: every request gets EIO, so that programs end instead of hanging. No store,
 * no threads, nothing that could fail the same way.
 */
import { E } from "../core/errno.ts"
import { Log } from "../core/log.ts"
import { Opcode, Size } from "../fuse/abi.ts"
import { CLOSED, Channel, requestResend } from "../fuse/channel.ts"
import { Reply } from "../fuse/reply.ts"
import { ServerFd } from "./messages.ts"

const log = new Log("eio")
const SILENT: readonly number[] = [Opcode.FORGET, Opcode.BATCH_FORGET]

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined)

const channel = new Channel(ServerFd.FUSE, log)
const reply = new Reply(channel.reply)
requestResend(ServerFd.FUSE, log)
for (;;) {
  const length = channel.receive(
    () => 0,
    () => -1,
  )
  if (length === CLOSED) break
  if (length < Size.inHeader || SILENT.includes(channel.request.readUInt32LE(4))) continue
  channel.send(reply.sealError(E.EIO, channel.request.readUInt32LE(8), channel.request.readUInt32LE(12)))
}
process.exit(0)
