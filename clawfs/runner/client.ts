/** Calls a tool as its launcher does (launcher.c), and learns more of how it went: for `clawfs tool run --json`. */
import { closeSync, fstatSync, openSync } from "node:fs"
import { Socket } from "node:net"
import type { ToolOutcome } from "../../schema/tool-answer.ts"
import { Fault } from "../core/fault.ts"
import { sendMessage } from "../sys/seqpacket.ts"
import { connectAbstract, peerOf } from "../sys/unix-listener.ts"
import { HEAD_BYTES, requestOf, socketName, type Words } from "./wire.ts"

export interface ToolCall {
  readonly words: Words
  /** The tool's file in `tools/bin`. */
  readonly file: string
  /** stdin, stdout, stderr; they stay the caller's. */
  readonly stdio: readonly [number, number, number]
}

export interface CalledTool {
  readonly status: number
  readonly outcome: ToolOutcome
}

/** A call that is under way; leaving it ends the tool. */
export class Calling {
  readonly #socket: Socket
  /** Rejects with `Fault("io")` when the daemon goes away. */
  readonly ended: Promise<CalledTool>

  /** Throws when there is no such tool or nobody runs it. */
  constructor({ words, file, stdio }: ToolCall) {
    const proof = openSync(file, "r")
    try {
      const fd = connected(proof)
      const { header, text } = requestOf(words)
      if (!sendMessage(fd, header, [...stdio, proof])) {
        closeSync(fd)
        throw new Fault("io", "the daemon does not listen")
      }
      this.#socket = new Socket({ fd })
      this.#socket.write(text)
      this.ended = answerOn(this.#socket)
    } finally {
      closeSync(proof)
    }
  }

  signal(signal: number): void {
    this.#socket.write(Buffer.of(signal))
  }
}

/** Anybody may take a name in the abstract namespace: our descriptors are for root, the file's owner or ourselves. */
function connected(proof: number): number {
  const { dev, uid } = fstatSync(proof)
  const fd = connectAbstract(socketName(dev))
  if (fd === undefined)
    throw new Fault("busy", "no daemon of this mount runs tools", { hint: "clawfs sandbox status" })
  const { uid: other } = peerOf(fd)
  if (other === 0 || other === uid || other === process.getuid?.()) return fd
  closeSync(fd)
  throw new Fault("denied", "another user pretends to be the daemon")
}

function answerOn(socket: Socket): Promise<CalledTool> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    socket.on("data", (chunk: Buffer) => chunks.push(chunk))
    socket.on("error", () => socket.destroy())
    socket.once("close", () => {
      const bytes = Buffer.concat(chunks)
      const length = bytes.length < HEAD_BYTES ? -1 : bytes.readUInt32LE(4)
      if (bytes.length !== HEAD_BYTES + length)
        reject(new Fault("io", "the daemon has ended, and the tool with it"))
      else
        resolve({
          status: bytes.readUInt32LE(0),
          outcome: JSON.parse(bytes.toString("utf8", HEAD_BYTES)) as ToolOutcome,
        })
    })
  })
}
