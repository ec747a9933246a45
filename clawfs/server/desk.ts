/** The serving thread's side of orders: takes them between two requests, and answers each once. */
import { receiveMessageOnPort, type MessagePort } from "node:worker_threads"
import { Fault, Rebuilt, describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import type { Stale } from "../fuse/notify.ts"
import type { Cleaning } from "./cleaning.ts"
import type { FaultReport, Order, OrderReply } from "./messages.ts"

export interface Outcome {
  /** Sent to the client as JSON. */
  readonly value: unknown
  readonly stale: Stale
}

/** Throws a `Fault` for what can't be done; nothing has changed then. */
export type Method = (params: never) => Outcome

export class Desk {
  readonly #port: MessagePort
  readonly #methods: ReadonlyMap<string, Method>
  readonly #cleaning: Cleaning
  readonly #log: Log

  constructor(port: MessagePort, methods: ReadonlyMap<string, Method>, cleaning: Cleaning, log: Log) {
    this.#port = port
    this.#methods = methods
    this.#cleaning = cleaning
    this.#log = log
  }

  /** Carries out what has come in. To be called between two requests. */
  take(): void {
    for (;;) {
      const received = receiveMessageOnPort(this.#port) as { message: Order } | undefined
      if (received === undefined) return
      const order = received.message
      if (order.kind === "clean") this.#cleaning.order()
      else this.#port.postMessage(this.#run(order) satisfies OrderReply)
    }
  }

  #run({ id, method, params }: Order & { kind: "run" }): OrderReply {
    try {
      const run = this.#methods.get(method)
      if (run === undefined) throw new Fault("unsupported", `unknown method "${method}"`)
      return { id, ok: true, ...run(params as never) }
    } catch (thrown) {
      // What it had looked up is stale; nothing has changed yet.
      if (thrown instanceof Rebuilt) return this.#run({ kind: "run", id, method, params })
      return { id, ok: false, fault: this.#report(method, thrown) }
    }
  }

  #report(method: string, thrown: unknown): FaultReport {
    if (thrown instanceof Fault && thrown.kind !== "bug")
      return { kind: thrown.kind, message: thrown.message, hint: thrown.hint }
    this.#log.error("an order failed", { method, reason: describe(thrown) })
    return { kind: "bug", message: describe(thrown) }
  }
}
