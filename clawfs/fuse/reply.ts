/**
 * The one reply buffer of a channel. An operation writes its result behind the header's place; the protocol sends it.
 * Nothing is copied twice: a READ puts file bytes straight where the kernel takes them from.
 */
import { Writer } from "../core/bytes.ts"
import { Size, writeOutHeader } from "./abi.ts"

export class Reply {
  readonly writer: Writer
  readonly buffer: Buffer

  constructor(buffer: Buffer) {
    this.buffer = buffer
    this.writer = new Writer(buffer)
  }

  /** Forgets what an earlier operation wrote. */
  reset(): void {
    this.writer.seek(Size.outHeader)
  }

  /** Where the next payload byte goes: operations that fill the buffer themselves start here… */
  get start(): number {
    return this.writer.at
  }

  /** … and tell how many bytes they put there. */
  advance(bytes: number): void {
    this.writer.seek(this.writer.at + bytes)
  }

  /** How many payload bytes fit. */
  get capacity(): number {
    return this.buffer.length - Size.outHeader
  }

  /** Seals a success with everything written so far; returns the message's length. */
  sealSuccess(uniqueLow: number, uniqueHigh: number): number {
    const length = this.writer.at
    writeOutHeader(this.writer, length, 0, uniqueLow, uniqueHigh)
    return length
  }

  /** Seals an error, which never carries a payload. */
  sealError(errno: number, uniqueLow: number, uniqueHigh: number): number {
    writeOutHeader(this.writer, Size.outHeader, -errno, uniqueLow, uniqueHigh)
    return Size.outHeader
  }
}

/** An error reply in a buffer of its own, for threads that do not own the channel's buffer. */
export function standaloneReply(errno: number, uniqueLow: number, uniqueHigh: number): Buffer {
  const buffer = Buffer.alloc(Size.outHeader)
  writeOutHeader(new Writer(buffer), Size.outHeader, errno === 0 ? 0 : -errno, uniqueLow, uniqueHigh)
  return buffer
}
