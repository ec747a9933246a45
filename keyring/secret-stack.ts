/**
 * Room for keys and secrets while they are used, in secret memory: borrowed for the time of a call and wiped when it
 * returns, the last borrowed first. Work in it is synchronous, so that nothing outlives its call.
 */
import { bug } from "../clawfs/core/assert.ts"
import { SecretMemory, type SecretMemoryKind } from "../clawfs/sys/secret-memory.ts"
import { Fault } from "../clawfs/core/fault.ts"

export class SecretStack implements Disposable {
  readonly #memory: SecretMemory
  #used = 0

  /** At most `bytes` are in use at a time. */
  constructor(bytes: number, best?: SecretMemoryKind) {
    this.#memory = SecretMemory.allocate(bytes, best)
  }

  get kind(): SecretMemoryKind {
    return this.#memory.kind
  }

  /** Runs `work` with `length` zeroes of secret memory; they are wiped whatever happens. */
  borrow<T>(length: number, work: (bytes: Buffer) => T): T {
    const start = this.#used
    if (start + length > this.#memory.bytes.length)
      throw new Fault("no-space", `there is no secret memory for ${length} bytes`)
    this.#used += length
    const bytes = this.#memory.bytes.subarray(start, start + length)
    try {
      const result = work(bytes)
      if (result instanceof Promise) bug("secret memory is borrowed for synchronous work")
      return result
    } finally {
      bytes.fill(0)
      this.#used = start
    }
  }

  /** Not while something is borrowed: whoever has it would touch memory that is gone. */
  [Symbol.dispose](): void {
    if (this.#used > 0) bug("secret memory is given back while it is used")
    this.#memory[Symbol.dispose]()
  }
}
