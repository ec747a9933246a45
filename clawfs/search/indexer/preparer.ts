/**
 * Has texts read and split by a second thread. Should a file bring that thread down (its memory is bounded), it is found out
 * which one it was: what the thread had is handed in again one by one, and the file with which it ends again is refused.
 */
import { Worker } from "node:worker_threads"
import { describe } from "../../core/fault.ts"
import { refuse, type Refusal } from "../extract/extraction.ts"
import type { PreparedText } from "../index/prepare.ts"
import type { PrepareReply, PrepareRequest } from "./preparer-main.ts"

const program = new URL("./preparer-main.js", import.meta.url)
const HEAP_MB = 256
/** Files that the thread has at once. */
const WINDOW = 64

export type Prepared = PreparedText | Refusal

interface Job {
  readonly request: PrepareRequest
  readonly resolve: (result: Prepared) => void
}

export class Preparer implements AsyncDisposable {
  readonly #program: URL
  #worker: Worker | undefined
  #nextId = 1
  /** In the order in which they came. */
  #waiting: Job[] = []
  readonly #handedIn = new Map<number, Job>()
  /** So many of those that come next are handed in one by one. */
  #suspects = 0

  /** @param options.program the compiled preparer-main, for tests. */
  constructor(options: { readonly program?: URL } = {}) {
    this.#program = options.program ?? program
  }

  /**
   * The text of a file as the index takes it, or why there is none. Never rejects.
   *
   * @param bytes the first of the file's `size` bytes, a buffer of their own that nobody changes.
   */
  prepare(name: string, size: number, bytes: Uint8Array): Promise<Prepared> {
    const request: PrepareRequest = { id: this.#nextId++, name, size, bytes }
    return new Promise((resolve) => {
      this.#waiting.push({ request, resolve })
      this.#handIn()
    })
  }

  /** Files whose results are still to come stay without one. */
  async [Symbol.asyncDispose](): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    await worker?.terminate()
  }

  #handIn(): void {
    while (this.#handedIn.size < (this.#suspects > 0 ? 1 : WINDOW)) {
      const job = this.#waiting.shift()
      if (job === undefined) return
      this.#worker ??= this.#start()
      this.#handedIn.set(job.request.id, job)
      this.#worker.postMessage(job.request)
    }
  }

  #start(): Worker {
    const worker = new Worker(this.#program, { resourceLimits: { maxOldGenerationSizeMb: HEAP_MB } })
    let reason = "it ended"
    worker.on("message", ({ id, result }: PrepareReply) => this.#finish(id, result))
    worker.on("error", (error) => (reason = describe(error)))
    worker.on("exit", () => this.#onEnd(worker, reason))
    return worker
  }

  #finish(id: number, result: Prepared): void {
    const job = this.#handedIn.get(id)
    if (job === undefined) return
    this.#handedIn.delete(id)
    if (this.#suspects > 0) this.#suspects -= 1
    job.resolve(result)
    this.#handIn()
  }

  #onEnd(worker: Worker, reason: string): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    const lost = [...this.#handedIn.values()]
    const [first] = lost
    if (lost.length === 1 && first !== undefined) {
      this.#finish(first.request.id, refuse("crashed", `the thread that read it ended: ${reason}`))
      return
    }
    this.#handedIn.clear()
    this.#suspects = lost.length
    this.#waiting = [...lost, ...this.#waiting]
    this.#handIn()
  }
}
