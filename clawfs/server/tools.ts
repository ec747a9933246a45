/** The runner of tools, a process of this server's: it is started when there is a tool, and ends with the server. */
import { fileURLToPath } from "node:url"
import type { Handler } from "../api/server.ts"
import { Fault } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import { eventsDirectory, readEvents } from "../monitor/log.ts"
import type { RunnerConfig, RunnerReport, RunnerRequest } from "../runner/messages.ts"
import type { SandboxStatus } from "../../schema/sandbox.ts"
import { EventQuery } from "../../schema/tool-event.ts"
import { Kept } from "./kept.ts"
import type { ServerConfig } from "./messages.ts"
import { checkedParameters } from "./parameters.ts"

const runnerMain = fileURLToPath(new URL("../runner/runner-main.js", import.meta.url))
const HEAP_MB = 128
/** It tries a sandbox before it is ready. */
const READY_MS = 30_000
const ANSWER_MS = 10_000

interface Waiter<T> {
  readonly resolve: (value: T) => void
  readonly reject: (fault: Fault) => void
}

export class Tools implements AsyncDisposable {
  readonly #config: RunnerConfig
  readonly #log: Log
  #runner: Kept | undefined
  #isReady = false
  #ready: Waiter<void>[] = []
  readonly #waiting = new Map<number, Waiter<SandboxStatus>>()
  #nextId = 1

  constructor({ store, mountpoint, vault, unconfined, logLevel }: ServerConfig, log: Log) {
    this.#config = { store, mountpoint, vault, unconfined, logLevel }
    this.#log = log
  }

  /**
   * To be called when the mount serves. `areThere` asks the serving thread: a thread of this process that asked the mount would
   * keep a killed server from dying, as it waits in the kernel for an answer that only the next server could give.
   */
  async beginIfThereAre(areThere: () => Promise<boolean>): Promise<void> {
    if (await areThere()) this.#start()
  }

  /** Resolves when tools can be run. */
  async begin(): Promise<void> {
    this.#start()
    if (this.#isReady) return
    await waited<undefined>(READY_MS, "the runner of tools can't be started: see the log", (waiter) =>
      this.#ready.push({ resolve: () => waiter.resolve(undefined), reject: waiter.reject }),
    )
  }

  #start(): void {
    if (this.#runner !== undefined) return
    const on = { message: (report: RunnerReport) => this.#onReport(report), exit: () => this.#onExit() }
    this.#runner = new Kept(runnerMain, this.#config, HEAP_MB, on, 0, this.#log)
  }

  #onReport(report: RunnerReport): void {
    if (report.kind === "reply") {
      const waiter = this.#waiting.get(report.id)
      this.#waiting.delete(report.id)
      if (report.ok) waiter?.resolve(report.value)
      else waiter?.reject(new Fault(report.fault.kind, report.fault.message))
      return
    }
    this.#isReady = true
    for (const { resolve } of this.#ready.splice(0)) resolve()
  }

  #onExit(): void {
    this.#isReady = false
    for (const { reject } of this.#waiting.values())
      reject(new Fault("busy", "the runner of tools has ended"))
    this.#waiting.clear()
  }

  async status(): Promise<SandboxStatus> {
    await this.begin()
    return await waited(ANSWER_MS, "the runner of tools does not answer", (waiter: Waiter<SandboxStatus>) => {
      const id = this.#nextId
      this.#nextId += 1
      this.#waiting.set(id, waiter)
      this.#runner?.send({ id, method: "status" } satisfies RunnerRequest)
    })
  }

  /** How many tools run; 0 without a runner. */
  async running(): Promise<number> {
    return this.#isReady ? (await this.status()).running : 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#runner?.[Symbol.asyncDispose]()
  }
}

function waited<T>(ms: number, otherwise: string, ask: (waiter: Waiter<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Fault("timeout", otherwise)), ms)
    ask({
      resolve: (value) => {
        clearTimeout(timer)
        resolve(value)
      },
      reject: (fault) => {
        clearTimeout(timer)
        reject(fault)
      },
    })
  })
}

/** For the control socket. */
export function toolHandlers(tools: Tools, { store }: ServerConfig): [string, Handler][] {
  return [
    ["tools.begin", async () => (await tools.begin(), {})],
    ["tools.running", async () => ({ running: await tools.running() })],
    ["sandbox.status", () => tools.status()],
    ["events.read", (params) => readEvents(eventsDirectory(store), checkedParameters(EventQuery, params))],
  ]
}
