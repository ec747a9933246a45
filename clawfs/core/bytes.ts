/**
 * Cursors over little-endian bytes: the kernel's wire structs and the records of the segment log are read and written
 * through these alone. Little-endian, because both are defined for the hosts that Node supports on Linux.
 * Reads past the end throw `RangeError` (bad data from outside); they never read a neighbour's bytes.
 */
const TWO_32 = 0x1_0000_0000

export class Reader {
  #bytes: Buffer
  #view: DataView
  #at = 0
  #end = 0

  constructor(bytes: Buffer, end = bytes.length) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#end = end
  }

  /** Reads `[start, end)` of the same buffer from now on, so that a hot loop allocates nothing. */
  rewind(start: number, end: number): void {
    if (end > this.#bytes.length || start > end)
      throw new RangeError(`window ${start}..${end} is outside of the buffer`)
    this.#at = start
    this.#end = end
  }

  get remaining(): number {
    return this.#end - this.#at
  }

  #take(size: number): number {
    const at = this.#at
    if (at + size > this.#end) throw new RangeError(`want ${size} bytes, have ${this.#end - at}`)
    this.#at = at + size
    return at
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true)
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true)
  }

  i32(): number {
    return this.#view.getInt32(this.#take(4), true)
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true)
  }

  /** A u64 that must fit a double exactly (sizes, offsets, ids that we minted). Above 2^53-1: `RangeError`. */
  u53(): number {
    const at = this.#take(8)
    const high = this.#view.getUint32(at + 4, true)
    if (high > 0x1f_ffff) throw new RangeError("64-bit value above 2^53-1")
    return high * TWO_32 + this.#view.getUint32(at, true)
  }

  /** A u64 where a larger value only means "very much": clamped to 2^53-1. */
  u53Clamped(): number {
    const at = this.#take(8)
    const high = this.#view.getUint32(at + 4, true)
    return high > 0x1f_ffff ? Number.MAX_SAFE_INTEGER : high * TWO_32 + this.#view.getUint32(at, true)
  }

  /** A signed 64-bit value (seconds before 1970) that fits a double exactly. */
  i53(): number {
    const at = this.#take(8)
    const high = this.#view.getInt32(at + 4, true)
    if (high > 0x1f_ffff || high < -0x20_0000) throw new RangeError("64-bit value outside of ±2^53")
    return high * TWO_32 + this.#view.getUint32(at, true)
  }

  skip(size: number): void {
    this.#take(size)
  }

  /** `size` bytes as a view: valid until the buffer is filled again. */
  bytes(size: number): Buffer {
    const at = this.#take(size)
    return this.#bytes.subarray(at, at + size)
  }

  /** A NUL-terminated name as a view without its NUL. A missing NUL is a `RangeError`. */
  name(): Buffer {
    const start = this.#at
    const nul = this.#bytes.indexOf(0, start)
    if (nul < 0 || nul >= this.#end) throw new RangeError("name without a terminating NUL")
    this.#at = nul + 1
    return this.#bytes.subarray(start, nul)
  }
}

export class Writer {
  readonly buffer: Buffer
  #view: DataView
  #at = 0

  constructor(buffer: Buffer) {
    this.buffer = buffer
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  }

  get at(): number {
    return this.#at
  }

  seek(at: number): this {
    this.#at = at
    return this
  }

  u8(value: number): this {
    this.#view.setUint8(this.#at, value)
    this.#at += 1
    return this
  }

  u16(value: number): this {
    this.#view.setUint16(this.#at, value, true)
    this.#at += 2
    return this
  }

  u32(value: number): this {
    this.#view.setUint32(this.#at, value, true)
    this.#at += 4
    return this
  }

  i32(value: number): this {
    this.#view.setInt32(this.#at, value, true)
    this.#at += 4
    return this
  }

  u64(value: bigint): this {
    this.#view.setBigUint64(this.#at, value, true)
    this.#at += 8
    return this
  }

  /** A signed or unsigned safe integer as 64 bits (two's complement for negative values). */
  i53(value: number): this {
    const high = Math.floor(value / TWO_32)
    this.#view.setUint32(this.#at, value - high * TWO_32, true)
    this.#view.setInt32(this.#at + 4, high, true)
    this.#at += 8
    return this
  }

  zero(size: number): this {
    this.buffer.fill(0, this.#at, this.#at + size)
    this.#at += size
    return this
  }

  put(bytes: Uint8Array): this {
    this.buffer.set(bytes, this.#at)
    this.#at += bytes.length
    return this
  }
}
