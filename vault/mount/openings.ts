/** Files that are open on the vault's mount. Values are in memory of their own that nobody else reads, and wiped at the end. */
import { Fault } from "../../clawfs/core/fault.ts"
import { SecretMemory } from "../../clawfs/sys/secret-memory.ts"
import type { Subject } from "../audit.ts"
import { MOST_VALUE_BYTES } from "../vault.ts"

/** Each may need 64 KiB of memory that is not swapped, of which a user has 8 MiB. */
const MOST_OPENINGS = 64

export interface Opening {
  readonly bytes: Buffer
  /** How much of `bytes` there is. */
  length: number
  /** For writing: of which secret, and who opened it. */
  readonly writes?: { readonly name: string; readonly caller: Subject }
  isDirty: boolean
  readonly memory: SecretMemory | undefined
}

export class Openings implements Disposable {
  readonly #open = new Map<number, Opening>()
  #next = 1

  /** Throws `Fault("busy")` when there are too many. */
  #add(opening: Opening): number {
    const handle = this.#next
    this.#next += 1
    this.#open.set(handle, opening)
    return handle
  }

  #room(length: number): SecretMemory {
    if (this.#open.size >= MOST_OPENINGS) throw new Fault("busy", "too many files of the vault are open")
    return SecretMemory.allocate(Math.max(1, length))
  }

  /** Something that is no secret. */
  ofText(bytes: Buffer): number {
    return this.#add({ bytes, length: bytes.length, isDirty: false, memory: undefined })
  }

  /** A copy of a value. */
  ofValue(value: Buffer): number {
    const memory = this.#room(value.length)
    value.copy(memory.bytes)
    return this.#add({ bytes: memory.bytes, length: value.length, isDirty: false, memory })
  }

  /** A value that is to be written. */
  forWriting(name: string, caller: Subject): number {
    const memory = this.#room(MOST_VALUE_BYTES)
    return this.#add({ bytes: memory.bytes, length: 0, writes: { name, caller }, isDirty: false, memory })
  }

  get(handle: number): Opening | undefined {
    return this.#open.get(handle)
  }

  /** What is being written to a secret. */
  *writers(name: string): Generator<Opening> {
    for (const opening of this.#open.values()) if (opening.writes?.name === name) yield opening
  }

  release(handle: number): void {
    this.#open.get(handle)?.memory?.[Symbol.dispose]()
    this.#open.delete(handle)
  }

  [Symbol.dispose](): void {
    for (const handle of [...this.#open.keys()]) this.release(handle)
  }
}
