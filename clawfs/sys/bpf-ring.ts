/**
 * The reader's side of a BPF ring buffer (kernel/bpf/ringbuf.c): its memory is mapped, records are looked at where they lie. A
 * callback from C for each record would cost more than ten times as much.
 */
import { Fault } from "../core/fault.ts"
import { pointerValue, viewOf } from "./ffi.ts"
import { mmap, munmap } from "./libc.ts"

const PAGE = 4096
const PROT_READ = 1
const PROT_READ_WRITE = 3
const MAP_SHARED = 1
const MAP_FAILED = 0xffff_ffff_ffff_ffffn
const HEAD_BYTES = 8
/** Bits of a record's length. */
const BUSY = 0x8000_0000
const DISCARDED = 0x4000_0000
const LENGTH = 0x3fff_ffff

/** A record: `length` bytes at `at` of the buffer, valid until the callback returns. */
export type OnRecord = (bytes: Buffer, view: DataView, at: number, length: number) => void

/** One reader a ring. Touching it after it was disposed of crashes the process. */
export class BpfRing implements Disposable {
  readonly #mask: number
  readonly #size: number
  readonly #consumer: { readonly pointer: unknown; readonly position: BigUint64Array }
  readonly #producer: { readonly pointer: unknown; readonly position: BigUint64Array }
  readonly #bytes: Buffer
  readonly #view: DataView
  readonly #words: Uint32Array
  #isMapped = true

  /** `size`: bytes, a power of two, as the map has it. */
  constructor(fd: number, size: number) {
    this.#size = size
    this.#mask = size - 1
    const own = mapped(fd, 0, PAGE, PROT_READ_WRITE)
    // The data are there twice, one behind the other, so that no record is cut in two.
    const theirs = mapped(fd, PAGE, PAGE + 2 * size, PROT_READ)
    this.#consumer = { pointer: own, position: new BigUint64Array(viewOf(own, 8)) }
    const memory = viewOf(theirs, PAGE + 2 * size)
    this.#producer = { pointer: theirs, position: new BigUint64Array(memory, 0, 1) }
    this.#bytes = Buffer.from(memory, PAGE, 2 * size)
    this.#view = new DataView(memory, PAGE, 2 * size)
    this.#words = new Uint32Array(memory, PAGE, (2 * size) / 4)
  }

  /** Hands over what is there, up to `most` records, and gives their room back. Returns how many there were. */
  drain(most: number, onRecord: OnRecord): number {
    let count = 0
    let at = Number(Atomics.load(this.#consumer.position, 0))
    const end = Number(Atomics.load(this.#producer.position, 0))
    while (at < end && count < most) {
      const place = at & this.#mask
      const word = Atomics.load(this.#words, place >>> 2)
      // Its writer has not finished.
      if ((word & BUSY) !== 0) break
      const length = word & LENGTH
      if ((word & DISCARDED) === 0) {
        onRecord(this.#bytes, this.#view, place + HEAD_BYTES, length)
        count += 1
      }
      at += (length + HEAD_BYTES + 7) & ~7
    }
    Atomics.store(this.#consumer.position, 0, BigInt(at))
    return count
  }

  /** Whether there is more, of which the first may be one that its writer has not finished. */
  get hasMore(): boolean {
    return Atomics.load(this.#consumer.position, 0) < Atomics.load(this.#producer.position, 0)
  }

  [Symbol.dispose](): void {
    if (!this.#isMapped) return
    this.#isMapped = false
    munmap(this.#consumer.pointer, PAGE)
    munmap(this.#producer.pointer, PAGE + 2 * this.#size)
  }
}

function mapped(fd: number, offset: number, length: number, protection: number): unknown {
  const pointer = mmap(null, length, protection, MAP_SHARED, fd, offset)
  if (BigInt.asUintN(64, pointerValue(pointer)) === MAP_FAILED)
    throw new Fault("io", "a ring buffer can't be mapped")
  return pointer
}
