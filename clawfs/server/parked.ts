/**
 * Requests that wait for another thread: for a search, or a look at what is written. By the number of what they wait for. One that
 * a killed server held is sent again by the kernel, or on older ones owed to it.
 */
import type { SessionMemory } from "./session-memory.ts"

interface Waiting {
  readonly bytes: Buffer
  readonly slot: number | undefined
}

export class Parked {
  readonly #memory: Pick<SessionMemory, "freeSlot" | "begin" | "end">
  readonly #waiting = new Map<number, Waiting[]>()
  /** Answers a request for good. */
  serve: (bytes: Buffer) => void = () => undefined

  constructor(memory: Pick<SessionMemory, "freeSlot" | "begin" | "end">) {
    this.#memory = memory
  }

  /** Takes a copy of a request over. */
  hold(key: number, request: Buffer): void {
    const slot = this.#memory.freeSlot()
    if (slot !== undefined) this.#memory.begin(slot, request.readUInt32LE(8), request.readUInt32LE(12))
    const held = { bytes: Buffer.from(request), slot }
    const waiting = this.#waiting.get(key)
    if (waiting === undefined) this.#waiting.set(key, [held])
    else waiting.push(held)
  }

  /** What they wait for is there: they are answered, in the order in which they came. */
  release(key: number): void {
    const waiting = this.#waiting.get(key) ?? []
    this.#waiting.delete(key)
    for (const { bytes, slot } of waiting) {
      this.serve(bytes)
      if (slot !== undefined) this.#memory.end(slot)
    }
  }
}
