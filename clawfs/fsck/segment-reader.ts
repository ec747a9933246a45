/** Reads records out of segments, many at once where they lie close together, and verifies them. */
import { closeSync, readSync } from "node:fs"
import { join } from "node:path"
import { Fault, describe } from "../core/fault.ts"
import { RECORD_HEADER, verifyRecord } from "../store/record.ts"
import { segmentPath } from "../store/segment-files.ts"
import type { RecordRead } from "../store/record-reads.ts"
import { SEGMENTS } from "../store/store.ts"
import type { Pass } from "./pass.ts"
import { headerState, openIfThere, type HeaderState } from "./segments.ts"

/** Bytes in one read. */
export const WINDOW = 4 * 1024 * 1024

export type Verdict =
  | { readonly is: "whole"; readonly sequence: number }
  /** Whole, but the segment's header keeps it from being read. */
  | { readonly is: "behind a damaged header" }
  | { readonly is: "damaged"; readonly how: string }
  /** There is no such segment. */
  | { readonly is: "gone" }

export class SegmentReader implements Disposable {
  readonly #pass: Pass
  readonly #buffer = Buffer.allocUnsafeSlow(WINDOW)
  #id = -1
  #fd: number | undefined
  #header: HeaderState = "sound"
  #from = 0
  #length = 0

  constructor(pass: Pass) {
    this.#pass = pass
  }

  /** Gets `[from, to)` of a segment into memory, if it is at most `WINDOW` bytes. */
  load(id: number, from: number, to: number): void {
    this.#open(id)
    this.#from = from
    this.#length = this.#read(from, Math.min(to - from, WINDOW))
  }

  #open(id: number): void {
    if (this.#id === id) return
    this[Symbol.dispose]()
    this.#id = id
    this.#fd = openIfThere(segmentPath(join(this.#pass.directory, SEGMENTS), id))
    if (this.#fd !== undefined) this.#header = headerState(this.#pass, this.#fd, id)
  }

  /** Bytes that were read; a block that the disk can't read makes it 0, and every record is then read for itself. */
  #read(from: number, length: number): number {
    if (this.#fd === undefined) return 0
    let got = 0
    try {
      while (got < length) {
        const part = readSync(this.#fd, this.#buffer, got, length - got, from + got)
        if (part === 0) break
        got += part
      }
      return got
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== "EIO") throw thrown
      return 0
    }
  }

  /**
   * Judges the record at `position`, whose payload should have `length` bytes; `sequence` 0: whichever. `plain`: how many
   * bytes the extent says it has when it is decoded, 0: it is stored as it is.
   */
  verify({ segment: id, position, length, sequence, plain }: RecordRead & { plain: number }): Verdict {
    this.#open(id)
    if (this.#fd === undefined) return { is: "gone" }
    if (this.#header === "foreign") return { is: "damaged", how: `segment ${id} is that of another store` }
    const size = RECORD_HEADER + length
    if (position < this.#from || position + size > this.#from + this.#length) {
      this.load(id, position, position + size)
      if (this.#length < size)
        return { is: "damaged", how: `segment ${id} ends, or the disk fails, at ${position}` }
    }
    const at = position - this.#from
    const header = this.#buffer.subarray(at, at + RECORD_HEADER)
    try {
      const payload = this.#buffer.subarray(at + RECORD_HEADER, at + size)
      const found = verifyRecord(header, payload, { segment: id, position, sequence })
      if ((found.flags === 0) !== (plain === 0) || (plain !== 0 && plain !== found.plain))
        return {
          is: "damaged",
          how: `record at segment ${id} position ${position} is encoded in another way`,
        }
      return this.#header === "sound"
        ? { is: "whole", sequence: found.sequence }
        : { is: "behind a damaged header" }
    } catch (thrown) {
      if (thrown instanceof Fault && thrown.kind === "corrupt")
        return { is: "damaged", how: describe(thrown) }
      throw thrown
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
    this.#id = -1
    this.#length = 0
  }
}
