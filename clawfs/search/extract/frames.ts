/**
 * Messages between the indexer and the extractor's process: length of the head and of the body (u32 each, little-endian),
 * the head as JSON, the body as bytes.
 */
export const PREFIX = 8

export interface Frame {
  readonly head: unknown
  readonly body: Buffer
}

export function encodeFrame(head: unknown, body: Buffer): readonly [Buffer, Buffer] {
  const json = Buffer.from(JSON.stringify(head))
  const prefix = Buffer.alloc(PREFIX)
  prefix.writeUInt32LE(json.length, 0)
  prefix.writeUInt32LE(body.length, 4)
  return [Buffer.concat([prefix, json]), body]
}

/** Puts frames together from what a stream brings. `RangeError` for one that is larger than allowed. */
export class FrameReader {
  readonly #maxBytes: number
  #parts: Buffer[] = []
  #length = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** The frame that `part` completes, if it does. Nothing may follow behind it: the other side waits for an answer. */
  push(part: Buffer): Frame | undefined {
    this.#parts.push(part)
    this.#length += part.length
    if (this.#length < PREFIX) return undefined
    const [first = part] = this.#parts
    if (first.length < PREFIX) this.#parts = [Buffer.concat(this.#parts)]
    const [start = part] = this.#parts
    const [headLength, bodyLength] = [start.readUInt32LE(0), start.readUInt32LE(4)]
    const total = PREFIX + headLength + bodyLength
    if (total > this.#maxBytes || this.#length > total) throw new RangeError("a frame that is too long")
    if (this.#length < total) return undefined
    const whole = Buffer.concat(this.#parts)
    this.#parts = []
    this.#length = 0
    return {
      head: JSON.parse(whole.toString("utf8", PREFIX, PREFIX + headLength)),
      body: whole.subarray(PREFIX + headLength),
    }
  }
}
