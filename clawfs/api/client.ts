/** One request to a running daemon. */
import { createConnection } from "node:net"
import { PROTOCOL_VERSION, Response } from "../../schema/envelope.ts"
import { Fault, type FaultKind } from "../core/fault.ts"
import { CONTROL_SOCKET, shortSocketPath } from "../sys/socket-path.ts"

const TIMEOUT_MS = 10_000

/**
 * Asks the daemon of `store`. Throws `Fault("not-found")` when none listens there, "timeout" when it doesn't answer, and
 * the daemon's own fault otherwise.
 */
export async function call(
  store: string,
  method: string,
  params: Record<string, unknown> = {},
): Promise<unknown> {
  using path = shortSocketPath(store, CONTROL_SOCKET)
  const line = await exchange(
    path.path,
    `${JSON.stringify({ v: PROTOCOL_VERSION, id: 1, method, params })}\n`,
  )
  const response = Response.safeParse(JSON.parse(line))
  if (!response.success) throw new Fault("io", "the daemon's answer can't be understood")
  if (response.data.ok) return response.data.result
  throw new Fault(response.data.error.kind as FaultKind, response.data.error.message)
}

function exchange(path: string, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path)
    let received = ""
    const fail = (fault: Fault): void => {
      socket.destroy()
      reject(fault)
    }
    socket.setTimeout(TIMEOUT_MS, () => fail(new Fault("timeout", "the daemon does not answer")))
    socket.on("error", (cause: NodeJS.ErrnoException) => {
      const absent = cause.code === "ENOENT" || cause.code === "ECONNREFUSED"
      fail(
        absent
          ? new Fault("not-found", "no daemon serves this store", { cause })
          : new Fault("io", cause.message, { cause }),
      )
    })
    socket.on("connect", () => socket.write(request))
    socket.on("data", (chunk) => {
      received += chunk.toString()
      const end = received.indexOf("\n")
      if (end < 0) return
      socket.destroy()
      resolve(received.slice(0, end))
    })
    socket.on("close", () => fail(new Fault("io", "the daemon closed the connection")))
  })
}
