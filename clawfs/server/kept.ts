/** A process of the server's own that is kept running: started again when it dies, ended with the server. */
import { fork, type ChildProcess } from "node:child_process"
import { describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"

/** A process that dies again and again is started less and less often. */
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 30_000
/** One that lived so long has not died of what it was started for. */
const SETTLED_MS = 60_000
const END_MS = 2000

export class Kept implements AsyncDisposable {
  readonly #file: string
  readonly #config: object
  readonly #heapMb: number
  readonly #onMessage: (message: never) => void
  readonly #onExit: () => void
  readonly #log: Log
  #child: ChildProcess | undefined
  #pauseMs = FIRST_PAUSE_MS
  #timer: NodeJS.Timeout | undefined
  #isEnding = false
  #wasStarted = false
  /** Its next end is wanted. */
  #isRestarting = false

  constructor(
    file: string,
    config: object,
    heapMb: number,
    on: { message: (message: never) => void; exit: () => void },
    delayMs: number,
    log: Log,
  ) {
    this.#file = file
    this.#config = config
    this.#heapMb = heapMb
    this.#onMessage = on.message
    this.#onExit = on.exit
    this.#log = log
    this.#timer = setTimeout(() => this.#start(), delayMs).unref()
  }

  /** Starts it, if that has not been done yet. */
  begin(): void {
    if (this.#child !== undefined || this.#isEnding || this.#wasStarted) return
    clearTimeout(this.#timer)
    this.#start()
  }

  #start(): void {
    this.#wasStarted = true
    const started = Date.now()
    const child = fork(this.#file, [JSON.stringify(this.#config)], {
      cwd: "/",
      execArgv: [`--max-old-space-size=${this.#heapMb}`],
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    })
    this.#child = child
    child.on("message", (message) => this.#onMessage(message as never))
    child.on("error", (error) => this.#log.error("a process can't be started", { reason: describe(error) }))
    child.once("exit", (code, signal) => {
      this.#child = undefined
      this.#onExit()
      if (this.#isEnding) return
      if (!this.#isRestarting)
        this.#log.error("a process of the server died", { file: this.#file, code: code ?? signal ?? "" })
      if (Date.now() - started > SETTLED_MS || this.#isRestarting) this.#pauseMs = FIRST_PAUSE_MS
      this.#isRestarting = false
      this.#timer = setTimeout(() => this.#start(), this.#pauseMs)
      this.#pauseMs = Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 2)
    })
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** As `send`; it answers by ending, and is started again. */
  sendToEnd(message: object): boolean {
    this.#isRestarting = this.#child !== undefined
    return this.send(message)
  }

  /** Ends it, and starts another. */
  restart(): void {
    this.#isRestarting = this.#child !== undefined
    this.#child?.kill("SIGKILL")
  }

  /** False when there is no process to hear it. */
  send(message: object): boolean {
    if (this.#child?.connected !== true) return false
    this.#child.send(message)
    return true
  }

  /** Ends with its channel; one that does not is killed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true
    clearTimeout(this.#timer)
    const child = this.#child
    if (child === undefined) return
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
    if (child.connected) child.disconnect()
    const timer = setTimeout(() => child.kill("SIGKILL"), END_MS)
    await ended
    clearTimeout(timer)
  }
}
