/**
 * Makes the kernel forget what a server has changed behind its back (`fuse/notify.ts`). The kernel takes locks for that which
 * programs hold that wait for an answer of the server. So it is done here, in a thread of the supervisor: a server that waited there
 * could not even be killed, as the kernel lets nobody go before he has the lock, and the answer that releases it would have
 * to come from the next server, which is started when this one is dead. A thread of its own, because the supervisor must see that.
 */
import { Worker } from "node:worker_threads"
import type { Stale } from "../fuse/notify.ts"
import type { Level } from "../core/log.ts"

/** Supervisor → thread; the answer is the number. */
export interface ForgetOrder {
  readonly id: number
  readonly stale: Stale
}

export interface ForgettingData {
  /** The descriptor of the FUSE connection. */
  readonly fuse: number
  readonly logLevel: Level
}

export class Forgetting {
  readonly #data: ForgettingData
  readonly #done = new Map<number, () => void>()
  #worker: Worker | undefined
  #next = 1

  constructor(data: ForgettingData) {
    this.#data = data
  }

  /** Resolves when the kernel has none of it any more: not before programs have got the answers that they wait for there. */
  forget(stale: Stale): Promise<void> {
    const id = this.#next
    this.#next += 1
    return new Promise((resolve) => {
      this.#done.set(id, resolve)
      this.#started().postMessage({ id, stale } satisfies ForgetOrder)
    })
  }

  /** Most mounts never need it. */
  #started(): Worker {
    if (this.#worker !== undefined) return this.#worker
    const worker = new Worker(new URL("./forgetting-main.js", import.meta.url), {
      workerData: this.#data,
      resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 },
    })
    worker.on("message", (id: number) => {
      this.#done.get(id)?.()
      this.#done.delete(id)
    })
    worker.unref()
    this.#worker = worker
    return worker
  }
}
