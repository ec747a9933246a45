/** Ends a thread's poll(2) from another thread of the process: eventfd(2). */
import { closeSync } from "node:fs"
import { checked } from "./ffi.ts"
import { eventfd, read, write } from "./libc.ts"

const EFD_CLOEXEC = 0o2000000
const EFD_NONBLOCK = 0o4000

export class WakeUp implements Disposable {
  readonly fd: number
  readonly #word = Buffer.alloc(8)

  /** `fd`: of the same wake-up in another thread; without it a new one is made. */
  constructor(fd?: number) {
    this.fd = fd ?? checked("eventfd", eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
  }

  signal(): void {
    this.#word.writeBigUInt64LE(1n)
    checked("write", write(this.fd, this.#word, this.#word.length))
  }

  /** Forgets the signals so far; none is no error. */
  clear(): void {
    read(this.fd, this.#word, this.#word.length)
  }

  [Symbol.dispose](): void {
    closeSync(this.fd)
  }
}
