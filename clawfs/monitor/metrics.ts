/** Counters for Prometheus (text format 0.0.4), where the policy asks for them: on a unix socket or an address of this machine. */
import { chmodSync, lstatSync, rmSync } from "node:fs"
import { createServer, type Server } from "node:http"
import { Fault } from "../core/fault.ts"
import type { ToolEvent } from "../../schema/tool-event.ts"
import type { Totals } from "./messages.ts"

const UNIX = "unix:"
const LOOPBACK = /^(127(?:\.\d{1,3}){3}|\[::1\]):(\d{1,5})$/
/** Tools come and go; their counters stay. */
const MOST_SERIES = 10_000

interface State {
  readonly totals: Totals
  readonly running: number
}

export class Metrics implements AsyncDisposable {
  readonly #state: () => State
  readonly #events = new Map<string, number>()
  #server: Server | undefined
  #path: string | undefined

  constructor(state: () => State) {
    this.#state = state
  }

  count({ type, tool, layer }: ToolEvent): void {
    const labels = `type="${type}",tool="${tool}"${layer === undefined ? "" : `,layer="${layer}"`}`
    const before = this.#events.get(labels)
    if (before !== undefined || this.#events.size < MOST_SERIES) this.#events.set(labels, (before ?? 0) + 1)
  }

  text(): string {
    const { totals, running } = this.#state()
    const lines = [
      ...family("clawfs_tool_events_total", "counter", "Events of tools, by type, tool and refusing layer."),
      ...[...this.#events].map(([labels, count]) => `clawfs_tool_events_total{${labels}} ${count}`),
      ...single("clawfs_monitor_records_total", "counter", "Records that the kernel sent.", totals.sent),
      ...single(
        "clawfs_monitor_dropped_total",
        "counter",
        "Records lost: the ring was full.",
        totals.dropped,
      ),
      ...single(
        "clawfs_monitor_capped_total",
        "counter",
        "Records not sent: a run had sent too many.",
        totals.capped,
      ),
      ...single(
        "clawfs_monitor_unmarked_total",
        "counter",
        "Processes that could not be watched.",
        totals.unmarked,
      ),
      ...single("clawfs_tools_running", "gauge", "Tools that run.", running),
    ]
    return `${lines.join("\n")}\n`
  }

  /** `place`: `unix:/path`, `127.0.0.1:PORT` or `[::1]:PORT`. Throws `Fault("invalid")` for any other. */
  async listen(place: string): Promise<void> {
    const server = createServer((request, response) => {
      const isAsked = request.method === "GET" && request.url === "/metrics"
      response.writeHead(isAsked ? 200 : 404, { "content-type": "text/plain; version=0.0.4" })
      response.end(isAsked ? this.text() : "there is /metrics\n")
    })
    const [, host, port] = LOOPBACK.exec(place) ?? []
    const path = place.startsWith(UNIX) ? place.slice(UNIX.length) : undefined
    if (path === undefined && host === undefined)
      throw new Fault("invalid", `"${place}" is no unix:/path and no loopback address with a port`)
    if (path !== undefined && lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true) rmSync(path)
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject)
      if (path === undefined) server.listen(Number(port), host?.replace(/[[\]]/g, ""), resolve)
      else server.listen(path, resolve)
    })
    if (path !== undefined) chmodSync(path, 0o600)
    this.#server = server
    this.#path = path
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    this.#server = undefined
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
    if (this.#path !== undefined) rmSync(this.#path, { force: true })
  }
}

function family(name: string, type: "counter" | "gauge", help: string): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`]
}

function single(name: string, type: "counter" | "gauge", help: string, value: number): string[] {
  return [...family(name, type, help), `${name} ${value}`]
}
