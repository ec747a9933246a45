/** Packs READDIR and READDIRPLUS entries: 8-byte aligned records until the kernel's buffer is full. */
import type { Attr } from "./abi.ts"
import { Size, writeEntryOut } from "./abi.ts"
import type { Reply } from "./reply.ts"

const ALIGNMENT = 8

function aligned(size: number): number {
  return (size + ALIGNMENT - 1) & -ALIGNMENT
}

export class DirentPacker {
  readonly plus: boolean
  readonly #reply: Reply
  readonly #end: number
  readonly #ttlSeconds: number

  /** `size` is what the kernel has room for; the reply buffer bounds it too. */
  constructor(reply: Reply, size: number, plus: boolean, ttlSeconds: number) {
    this.plus = plus
    this.#reply = reply
    this.#end = reply.start + Math.min(size, reply.capacity)
    this.#ttlSeconds = ttlSeconds
  }

  /** How many more entries can fit at most: a caller need not fetch more. */
  get room(): number {
    const head = this.plus ? Size.direntplus : Size.dirent
    return Math.floor((this.#end - this.#reply.start) / aligned(head + 1)) + 1
  }

  /**
   * Adds an entry; false when it does not fit any more (then nothing was written). `cookie` is the position after it;
   * `type` is the file type of the mode shifted down by 12 (DT_REG and so on). In a plus listing an entry without
   * `attr` (`.` and `..`) hands out no lookup. `ttlSeconds`: what the kernel may cache, 0 for what is virtual.
   */
  add(
    name: Uint8Array,
    ino: number,
    type: number,
    cookie: number,
    attr?: Attr,
    ttlSeconds = this.#ttlSeconds,
  ): boolean {
    const head = this.plus ? Size.direntplus : Size.dirent
    const { writer } = this.#reply
    const start = writer.at
    const length = aligned(head + name.length)
    if (start + length > this.#end) return false
    if (this.plus) {
      if (attr === undefined) writer.zero(Size.entryOut)
      else writeEntryOut(writer, attr, ttlSeconds)
    }
    writer.i53(ino).i53(cookie).u32(name.length).u32(type).put(name)
    writer.zero(length - head - name.length)
    return true
  }
}
