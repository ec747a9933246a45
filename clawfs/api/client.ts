/** One request to a running daemon. */
import { createConnection } from "node:net"
import { PROTOCOL_VERSION, readResponse } from "../../schema/response.ts"
import { Fault, type FaultKind } from "../core/fault.ts"
import { CONTROL_SOCKET, shortSocketPath, type SocketPath } from "../sys/socket-path.ts"

/** A flush on a slow disk takes its time, and so does a copy of a million files; everything else is answered at once. */
const TIMEOUT_MS = 10_000
const SLOW_METHODS: Readonly<Record<string, number>> = {
  sync: 60_000,
  "index.verify": 600_000,
  search: 40_000,
  "snapshot.create": 600_000,
  "snapshot.restore": 600_000,
  clone: 600_000,
  "tools.begin": 40_000,
  "sandbox.status": 50_000,
}

/**
 * Asks the daemon of `store`. Throws `Fault("not-found")` when none listens there, "timeout" when it doesn't answer,
 * "interrupted" when `signal` says that nobody needs the answer any more, and the daemon's own fault otherwise.
 */
export async function call(
  store: string,
  method: string,
  params: Record<string, unknown> = {},
  signal?: AbortSignal,
): Promise<unknown> {
  using path = socketOf(store)
  const timeoutMs = SLOW_METHODS[method] ?? TIMEOUT_MS
  const request = `${JSON.stringify({ v: PROTOCOL_VERSION, id: 1, method, params })}\n`
  const line = await exchange(path.path, request, timeoutMs, signal)
  const response = readResponse(parsed(line))
  if (response === undefined) throw new Fault("io", "the daemon's answer can't be understood")
  if (response.ok) return response.result
  const { kind, message, hint } = response.error
  throw new Fault(kind as FaultKind, message, { hint })
}

function socketOf(store: string): SocketPath {
  try {
    return shortSocketPath(store, CONTROL_SOCKET)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "ENOENT" || code === "ENOTDIR")
      throw new Fault("not-found", `there is no store at ${store}`, { cause })
    if (code === "EACCES") throw new Fault("denied", `no permission to enter the store ${store}`, { cause })
    throw cause
  }
}

/** Undefined, which is no response, for what is no JSON. */
function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined
    throw thrown
  }
}

function exchange(
  path: string,
  request: string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path)
    let received: Buffer = Buffer.alloc(0)
    const fail = (fault: Fault): void => {
      socket.destroy()
      reject(fault)
    }
    const wasCut = (cause?: Error): Fault =>
      new Fault("io", "the daemon closed the connection", {
        cause,
        hint: "its server may have been replaced: see what was done, and try again",
      })
    const stop = (): void => fail(new Fault("interrupted", "the question was withdrawn"))
    if (signal?.aborted === true) stop()
    signal?.addEventListener("abort", stop)
    socket.on("close", () => signal?.removeEventListener("abort", stop))
    socket.setTimeout(timeoutMs, () =>
      fail(
        new Fault("timeout", "the daemon does not answer", {
          hint: "clawfs status shows how it fares, and clawfs.log in the store why",
        }),
      ),
    )
    socket.on("error", (cause: NodeJS.ErrnoException) => {
      if (cause.code === "ENOENT" || cause.code === "ECONNREFUSED")
        fail(
          new Fault("not-found", "no daemon serves this store", {
            cause,
            hint: "mount it, or look at clawfs status if it is",
          }),
        )
      // It was killed before it had read the request, or while it worked.
      else if (cause.code === "ECONNRESET" || cause.code === "EPIPE") fail(wasCut(cause))
      else fail(new Fault("io", cause.message, { cause }))
    })
    socket.on("connect", () => socket.write(request))
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk])
      const end = received.indexOf("\n")
      if (end < 0) return
      socket.destroy()
      resolve(received.toString("utf8", 0, end))
    })
    socket.on("close", () => fail(wasCut()))
  })
}
