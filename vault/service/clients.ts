/**
 * The vault's clients, in the event loop: connections are taken, and messages handed over in the order in which they came.
 * Nothing waits for a client, and nothing of a request is understood here.
 */
import { closeSync } from "node:fs"
import type { PollHandle } from "../../clawfs/sys/ffi.ts"
import { acceptOn, receiveMessage } from "../../clawfs/sys/seqpacket.ts"
import { watchReadable } from "../../clawfs/sys/watch.ts"

const MOST_CONNECTIONS = 256

export interface ClientEvents {
  /** The receiver closes the descriptors. */
  message(connection: number, data: Buffer, fds: readonly number[]): void
  tooLong(connection: number): void
  /** The client is gone; the connection is closed when this returns. */
  end(connection: number): void
}

export class Clients implements Disposable {
  readonly #listener: number
  readonly #events: ClientEvents
  readonly #watched = new Map<number, PollHandle>()
  #accepting: PollHandle | undefined

  /** Takes `listener`, a socket that listens, over. */
  constructor(listener: number, events: ClientEvents) {
    this.#listener = listener
    this.#events = events
    this.#accepting = watchReadable(listener, () => this.#accept())
  }

  #accept(): void {
    const connection = acceptOn(this.#listener)
    if (connection === undefined) return
    this.#watched.set(
      connection,
      watchReadable(connection, () => this.#receive(connection)),
    )
    // Who comes then waits until another one has gone.
    if (this.#watched.size < MOST_CONNECTIONS) return
    this.#accepting?.close()
    this.#accepting = undefined
  }

  /** One message, so that nobody is served before those who asked earlier. */
  #receive(connection: number): void {
    const message = receiveMessage(connection, { wait: false })
    if (message === "late") return
    if (message === "too long") this.#events.tooLong(connection)
    else if (message === undefined) this.#end(connection)
    else this.#events.message(connection, message.data, message.fds)
  }

  #end(connection: number): void {
    this.#watched.get(connection)?.close()
    this.#watched.delete(connection)
    this.#events.end(connection)
    closeSync(connection)
    this.#accepting ??= watchReadable(this.#listener, () => this.#accept())
  }

  [Symbol.dispose](): void {
    this.#accepting?.close()
    for (const [connection, handle] of this.#watched) {
      handle.close()
      closeSync(connection)
    }
    this.#watched.clear()
    closeSync(this.#listener)
  }
}
