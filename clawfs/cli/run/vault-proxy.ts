/** `clawfs vault proxy`: the egress proxy that puts secrets into requests. */
import { readFileSync } from "node:fs"
import { Endpoint, type EndpointText } from "../../../schema/endpoint.ts"
import { Fault } from "../../core/fault.ts"
import { UsageError } from "../command.ts"
import { ExitCode } from "../exit-code.ts"
import type { VaultAction } from "../vault/action.ts"
import { callVault } from "../vault/client.ts"
import { wholeNumber } from "../vault/times.ts"

const MOST_PORT = 65_535

interface Where {
  readonly socket: string
  readonly port?: number
}

export function proxy({ directory, values, operands, terminal }: VaultAction): ExitCode {
  const { port } = values
  switch (operands[0]) {
    case "start": {
      const wanted = port === undefined ? {} : { port: wholeNumber("--port", port, MOST_PORT) }
      const where = callVault(directory, "proxy.start", wanted) as Where
      if (values.json === true) {
        terminal.out(JSON.stringify(shown(where)))
        return ExitCode.OK
      }
      terminal.note(`the proxy listens on ${where.socket}`)
      if (where.port !== undefined) terminal.note(`and on http://127.0.0.1:${where.port}, with a token`)
      return ExitCode.OK
    }
    case "stop":
      callVault(directory, "proxy.stop")
      return ExitCode.OK
    case "token": {
      const { token, ...where } = callVault(directory, "proxy.token") as Where & { readonly token: string }
      terminal.out(values.json === true ? JSON.stringify({ token, ...shown(where) }) : token)
      return ExitCode.OK
    }
    default:
      throw new UsageError(`vault proxy: there is no "${operands[0] ?? ""}", only start, stop and token`)
  }
}

function shown({ socket, port }: Where): object {
  return { socket, ...(port === undefined ? {} : { port }) }
}

/** The endpoint of a grant. Throws `Fault("invalid")` that says what is wrong. */
export function readEndpoint(path: string): EndpointText {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, "utf8"))
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === "ENOENT"
    throw new Fault(isMissing ? "not-found" : "invalid", `${path} can't be read as JSON`, { cause })
  }
  const endpoint = Endpoint.safeParse(value)
  if (endpoint.success) return endpoint.data
  const [issue] = endpoint.error.issues
  throw new Fault(
    "invalid",
    `${path}: ${issue?.path.map(String).join(".") ?? ""}: ${issue?.message ?? "invalid"}`,
  )
}
