/**
 * Ends a server that has come to a standstill before it serves, so that another one is tried: nothing that a start does takes
 * long without using the CPU, and programs wait meanwhile. A disk that answers nobody looks the same; then the next server waits
 * for it as this one did.
 */
import type { ChildProcess } from "node:child_process"
import type { Log } from "../core/log.ts"
import { cpuTicks } from "../sys/process-identity.ts"

/** Clock ticks between two looks that count as work. */
const LEAST_TICKS = 10

export class StartWatch {
  readonly #timer: NodeJS.Timeout
  #ticks = 0

  /** Until `end`; `milliseconds` lie between two looks. */
  constructor(server: ChildProcess, milliseconds: number, log: Log) {
    this.#timer = setInterval(() => {
      const ticks = cpuTicks(server.pid ?? 0) ?? 0
      if (ticks < this.#ticks + LEAST_TICKS) {
        log.error("the new server stands still: it is killed", { pid: server.pid })
        server.kill("SIGKILL")
      }
      this.#ticks = ticks
    }, milliseconds).unref()
  }

  end(): void {
    clearInterval(this.#timer)
  }
}
