/**
 * The control socket: newline-delimited JSON, one answer a request, in order. The socket lies in the store's directory,
 * which only its owner can enter. Whatever a client sends, it gets a clear error and the daemon goes on: lines are bounded,
 * connections are counted, an idle one is closed.
 */
import { chmodSync, rmSync } from "node:fs"
import { createServer, type Server, type Socket } from "node:net"
import { Request } from "../../schema/envelope.ts"
import { MAX_LINE_BYTES, PROTOCOL_VERSION, type Response } from "../../schema/response.ts"
import { Fault, describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import type { SocketPath } from "../sys/socket-path.ts"

const MAX_CONNECTIONS = 64
const IDLE_MS = 60_000
const NEWLINE = 0x0a

/** Runs a method; throws a `Fault` for what the client did wrong. */
export type Handler = (params: Readonly<Record<string, unknown>>) => unknown

export class ControlServer implements AsyncDisposable {
  readonly #server: Server
  readonly #handlers: ReadonlyMap<string, Handler>
  readonly #log: Log
  readonly #path: SocketPath
  readonly #sockets = new Set<Socket>()

  private constructor(path: SocketPath, handlers: ReadonlyMap<string, Handler>, log: Log) {
    this.#path = path
    this.#handlers = handlers
    this.#log = log
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket))
    this.#server.maxConnections = MAX_CONNECTIONS
  }

  /** Listens on `path`, replacing what a dead daemon left there; the caller holds the store's lock. */
  static async listen(
    path: SocketPath,
    handlers: ReadonlyMap<string, Handler>,
    log: Log,
  ): Promise<ControlServer> {
    const control = new ControlServer(path, handlers, log)
    rmSync(path.path, { force: true })
    await new Promise<void>((resolve, reject) => {
      control.#server.once("error", reject)
      control.#server.listen(path.path, resolve)
    })
    chmodSync(path.path, 0o600)
    control.#server.on("error", (error) => log.error("control socket failed", { reason: describe(error) }))
    return control
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket)
    socket.setTimeout(IDLE_MS, () => socket.destroy())
    socket.on("close", () => this.#sockets.delete(socket))
    // The reader below gets the error too; without a listener it would end the process.
    socket.on("error", (error) => this.#log.debug("client gone", { reason: describe(error) }))
    this.#serve(socket).catch((thrown: unknown) =>
      this.#log.debug("client gone", { reason: describe(thrown) }),
    )
  }

  /** Reads no further than it can answer, so a client that never reads holds one buffer and nothing more. */
  async #serve(socket: Socket): Promise<void> {
    let pending: Buffer = Buffer.alloc(0)
    for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      pending = Buffer.concat([pending, chunk])
      for (let end = pending.indexOf(NEWLINE); end >= 0; end = pending.indexOf(NEWLINE)) {
        const line = pending.subarray(0, end)
        pending = pending.subarray(end + 1)
        await send(socket, await this.#answer(line))
      }
      if (pending.length <= MAX_LINE_BYTES) continue
      await send(
        socket,
        failure(-1, new Fault("invalid", `a request is longer than ${MAX_LINE_BYTES} bytes`)),
      )
      break
    }
    // A client that has said all still gets its answers.
    socket.destroySoon()
  }

  async #answer(line: Buffer): Promise<Response> {
    const parsed = parseRequest(line)
    if (parsed instanceof Fault) return failure(-1, parsed)
    const handler = this.#handlers.get(parsed.method)
    if (handler === undefined)
      return failure(parsed.id, new Fault("unsupported", `unknown method "${parsed.method}"`))
    try {
      const result: unknown = await handler(parsed.params ?? {})
      return { v: PROTOCOL_VERSION, id: parsed.id, ok: true, result }
    } catch (thrown) {
      if (!(thrown instanceof Fault))
        this.#log.error("method failed", { method: parsed.method, reason: describe(thrown) })
      return failure(parsed.id, thrown)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#path[Symbol.dispose]()
  }
}

function parseRequest(line: Buffer): Request | Fault {
  if (line.length > MAX_LINE_BYTES)
    return new Fault("invalid", `a request is longer than ${MAX_LINE_BYTES} bytes`)
  let value: unknown
  try {
    value = JSON.parse(line.toString())
  } catch {
    // The parser's own message would quote the line, which may be anything.
    return new Fault("invalid", "a request is not JSON")
  }
  const request = Request.safeParse(value)
  if (request.success) return request.data
  const [issue] = request.error.issues
  return new Fault("invalid", `request: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`)
}

function failure(id: number, thrown: unknown): Response {
  const { kind, hint } = thrown instanceof Fault ? thrown : { kind: "bug", hint: undefined }
  const error = { kind, message: describe(thrown), ...(hint === undefined ? {} : { hint }) }
  return { v: PROTOCOL_VERSION, id, ok: false, error }
}

/** Resolves when there is room for the next answer, or nobody to send it to. */
async function send(socket: Socket, response: Response): Promise<void> {
  if (socket.destroyed || socket.write(`${JSON.stringify(response)}\n`)) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      socket.off("drain", done)
      socket.off("close", done)
      resolve()
    }
    socket.on("drain", done)
    socket.on("close", done)
  })
}
