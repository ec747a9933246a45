/** What a tool writes, kept in memory as far as an answer has room for it. */
import { isUtf8 } from "node:buffer"
import { closeSync } from "node:fs"
import { Socket } from "node:net"
import { MOST_OUTPUT, type Output } from "../../schema/tool-answer.ts"
import { pipe } from "../sys/pipes.ts"

/** The first byte of a character in UTF-8; its others begin with the bits 10. */
const OTHER_BYTE = 0x80
const OTHER_BYTE_MASK = 0xc0
const LONGEST_CHARACTER = 4

export class Capture implements Disposable {
  /** For the tool. Whoever hands it over closes it, by `handedOver`. */
  readonly fd: number
  readonly #socket: Socket
  readonly #ended: Promise<void>
  readonly #chunks: Buffer[] = []
  #bytes = 0
  #isTruncated = false
  #isOpen = true

  constructor() {
    const [reading, writing] = pipe()
    this.fd = writing
    this.#socket = new Socket({ fd: reading, readable: true, writable: false })
    this.#socket.on("data", (chunk: Buffer) => this.#keep(chunk))
    this.#socket.on("error", () => this.#socket.destroy())
    this.#ended = new Promise((resolve) => this.#socket.once("close", () => resolve()))
  }

  #keep(chunk: Buffer): void {
    const room = MOST_OUTPUT - this.#bytes
    if (chunk.length > room) this.#isTruncated = true
    if (room <= 0) return
    this.#chunks.push(chunk.subarray(0, room))
    this.#bytes += Math.min(room, chunk.length)
  }

  handedOver(): void {
    if (this.#isOpen) closeSync(this.fd)
    this.#isOpen = false
  }

  /** When every writer is gone. */
  async output(): Promise<Output> {
    this.handedOver()
    await this.#ended
    return outputOf(Buffer.concat(this.#chunks), this.#isTruncated)
  }

  [Symbol.dispose](): void {
    this.handedOver()
    this.#socket.destroy()
  }
}

/** A text that was cut off is one to its last whole character. */
export function outputOf(bytes: Buffer, truncated: boolean): Output {
  const text = truncated ? wholeCharacters(bytes) : bytes
  if (isUtf8(text)) return { encoding: "utf8", data: text.toString("utf8"), truncated }
  return { encoding: "base64", data: bytes.toString("base64"), truncated }
}

function wholeCharacters(bytes: Buffer): Buffer {
  for (let at = bytes.length - 1; at >= Math.max(0, bytes.length - LONGEST_CHARACTER); at -= 1)
    if (((bytes[at] ?? 0) & OTHER_BYTE_MASK) !== OTHER_BYTE)
      return isUtf8(bytes.subarray(at)) ? bytes : bytes.subarray(0, at)
  return bytes
}
