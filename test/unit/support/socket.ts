/** A client of the control socket that may send anything, in any pieces. */
import { createConnection, type Socket } from "node:net"
import { readResponse } from "../../../schema/response.ts"

/** Whether a request on a connection of its own is answered as it should be. */
export async function answers(path: string, method: string): Promise<boolean> {
  await using client = await RawClient.connect(path)
  client.send(requestLine(9, method))
  const response = readResponse(JSON.parse((await client.lines(1))[0] ?? "null"))
  return response?.ok === true && response.id === 9
}

export function requestLine(id: number, method: string, params: Record<string, unknown> = {}): string {
  return `${JSON.stringify({ v: 1, id, method, params })}\n`
}

export class RawClient implements AsyncDisposable {
  readonly socket: Socket
  #received = ""
  #isClosed = false
  #onChange: () => void = () => undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on("data", (chunk: Buffer) => {
      this.#received += chunk.toString("latin1")
      this.#onChange()
    })
    // What a client does wrong may end its connection: then "close" follows.
    socket.on("error", () => undefined)
    for (const event of ["end", "close"])
      socket.on(event, () => {
        this.#isClosed = true
        this.#onChange()
      })
  }

  static async connect(path: string): Promise<RawClient> {
    const socket = createConnection({ path, allowHalfOpen: true })
    const client = new RawClient(socket)
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve)
      socket.once("error", reject)
    })
    return client
  }

  send(bytes: string | Buffer): void {
    if (!this.#isClosed) this.socket.write(bytes)
  }

  /** Says that nothing more will be sent, and goes on listening. */
  endWriting(): void {
    this.socket.end()
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => (this.#onChange = resolve))
  }

  /** The first `count` lines, or those that came before the connection was closed. */
  async lines(count: number): Promise<string[]> {
    const complete = (): string[] => this.#received.split("\n").slice(0, -1)
    await this.#until(() => this.#isClosed || complete().length >= count)
    return complete()
  }

  /** Waits until the other side has closed the connection. */
  async closed(): Promise<void> {
    await this.#until(() => this.#isClosed)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.socket.closed) return
    const closed = new Promise((resolve) => this.socket.once("close", resolve))
    this.socket.destroy()
    await closed
  }
}
