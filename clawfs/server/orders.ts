/** The main thread's side of what the serving thread is asked to do between two requests. */
import type { MessagePort } from "node:worker_threads"
import { Fault } from "../core/fault.ts"
import type { Stale } from "../fuse/notify.ts"
import { WakeUp } from "../sys/wake-up.ts"
import type { Order, OrderReply } from "./messages.ts"

interface Waiter {
  readonly resolve: (value: unknown) => void
  readonly reject: (fault: Fault) => void
}

export class Orders {
  readonly #port: MessagePort
  readonly #forget: (stale: Stale) => Promise<void>
  readonly #wake = new WakeUp()
  readonly #waiting = new Map<number, Waiter>()
  #next = 1

  /** `port`: to the serving thread, which must know `wakeFd`. `forget` makes the kernel forget something. */
  constructor(port: MessagePort, forget: (stale: Stale) => Promise<void>) {
    this.#port = port
    this.#forget = forget
    port.on("message", (reply: OrderReply) => this.#onReply(reply))
    // It must not keep the process alive.
    port.unref()
  }

  get wakeFd(): number {
    return this.#wake.fd
  }

  /** `moved`: memory that goes along instead of being copied. */
  send(order: Order, moved: readonly ArrayBuffer[] = []): void {
    this.#port.postMessage(order, moved)
    this.#wake.signal()
  }

  /**
   * Runs a method of the serving thread and gives its result, when the kernel has forgotten what it changed. Throws the
   * method's `Fault`. If the server dies first, the promise dies with it: the client hears of a closed connection.
   */
  run(method: string, params: object, moved: readonly ArrayBuffer[] = []): Promise<unknown> {
    const id = this.#next
    this.#next += 1
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.send({ kind: "run", id, method, params }, moved)
    })
  }

  #onReply(reply: OrderReply): void {
    const waiter = this.#waiting.get(reply.id)
    this.#waiting.delete(reply.id)
    if (!reply.ok) {
      const { kind, message, hint } = reply.fault
      waiter?.reject(new Fault(kind, message, { hint }))
      return
    }
    const { entries, inodes } = reply.stale
    if (entries.length + inodes.length === 0) waiter?.resolve(reply.value)
    else void this.#forget(reply.stale).then(() => waiter?.resolve(reply.value))
  }
}
