/**
 * Runs extractors in a process that can be killed: one file at a time, under a wall-clock limit, started when it is needed
 * and again after it died. What a file does to it is that file's result, and the next one gets a new process.
 */
import { spawn, type ChildProcess } from "node:child_process"
import type { Readable, Writable } from "node:stream"
import { fileURLToPath } from "node:url"
import { present } from "../../core/assert.ts"
import { Fault } from "../../core/fault.ts"
import type { ChildArguments } from "./child-main.ts"
import type { ContainerFormat } from "./detect.ts"
import {
  refuse,
  REFUSAL_STATES,
  TEXT_KINDS,
  UTF_8,
  type ExtractedDocument,
  type Extraction,
} from "./extraction.ts"
import { encodeFrame, FrameReader, type Frame } from "./frames.ts"
import type { Limits } from "./limits.ts"

const program = fileURLToPath(new URL("./child-main.js", import.meta.url))
/** A process that is not ready by then never will be. */
const START_MS = 30_000
/** Room for a reply's head. */
const HEAD_BYTES = 65_536
const UTF_8_BYTES = 3

export class ExtractorChild implements AsyncDisposable {
  readonly #limits: Limits
  readonly #program: string
  #child: Child | undefined
  #queue: Promise<unknown> = Promise.resolve()
  #idle: NodeJS.Timeout | undefined

  /** @param options.program the compiled child-main, for tests. */
  constructor(limits: Limits, options: { readonly program?: string } = {}) {
    this.#limits = limits
    this.#program = options.program ?? program
  }

  /**
   * The text of a container, or the state that reading it ended in. Calls wait for each other.
   *
   * @throws Fault when no process can be started: nothing that a file could do.
   */
  read(format: ContainerFormat, bytes: Buffer): Promise<Extraction> {
    return this.#inTurn(() => this.#read(format, bytes))
  }

  /** The number of the process that is running, for those who watch it. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inTurn(() => this.#end())
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work)
    // A failure is told to whoever asked, not to the next.
    this.#queue = result.catch(() => undefined)
    return result
  }

  async #read(format: ContainerFormat, bytes: Buffer): Promise<Extraction> {
    clearTimeout(this.#idle)
    if (this.#child?.isRunning !== true) this.#child = await Child.start(this.#program, this.#limits)
    const child = this.#child
    const frame = await child.ask({ format }, bytes, this.#limits.timeoutMs)
    if (!child.isRunning || child.served >= this.#limits.maxFilesPerProcess) await this.#end()
    else this.#endWhenIdle(child)
    if (frame === "timed-out")
      return refuse("timed-out", `not read within ${this.#limits.timeoutMs / 1000} s`)
    if (frame === "died") return refuse("crashed", `the extractor's process ended with ${child.ending}`)
    return extractionOf(frame) ?? refuse("crashed", "the extractor's process gave no answer that makes sense")
  }

  #endWhenIdle(child: Child): void {
    const { served } = child
    // Unless it got work while this waited for its turn.
    const end = async (): Promise<void> => {
      if (child === this.#child && child.served === served) await this.#end()
    }
    this.#idle = setTimeout(() => void this.#inTurn(end), this.#limits.idleMs).unref()
  }

  async #end(): Promise<void> {
    clearTimeout(this.#idle)
    const child = this.#child
    this.#child = undefined
    await child?.kill()
  }
}

/** One process. It has nothing to lose, so it is always ended by SIGKILL. */
class Child {
  /** Requests. */
  served = 0
  /** How it ended; "" while it runs. */
  ending = ""
  readonly #process: ChildProcess
  readonly #requests: Writable
  readonly #closed: Promise<void>
  #tell: ((frame: Frame | "died") => void) | undefined

  private constructor(file: string, limits: Limits) {
    const given: ChildArguments = { parent: process.pid, limits }
    const flags = [`--max-old-space-size=${limits.maxHeapMib}`, "--disallow-code-generation-from-strings"]
    this.#process = spawn(process.execPath, [...flags, file, JSON.stringify(given)], {
      cwd: "/",
      env: {},
      stdio: ["pipe", "ignore", "ignore", "pipe"],
    })
    const [requests, , , replies] = this.#process.stdio
    this.#requests = present(requests, "the pipe of requests")
    // A process that died does not read; that it died is told by its end.
    this.#requests.on("error", () => undefined)
    this.#listen(replies as Readable, limits)
    this.#closed = new Promise((resolve) => {
      const end = (how: string): void => {
        this.ending ||= how
        this.#tell?.("died")
        resolve()
      }
      this.#process.on("error", (error) => end(error.message))
      this.#process.on("close", (code, signal) => end(signal ?? `exit code ${String(code)}`))
    })
  }

  static async start(file: string, limits: Limits): Promise<Child> {
    const child = new Child(file, limits)
    const ready = await child.#next(START_MS)
    if (typeof ready === "object") return child
    await child.kill()
    throw new Fault(
      "io",
      `cannot start the extractor's process: ${ready === "died" ? child.ending : "no answer"}`,
    )
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  get isRunning(): boolean {
    return this.ending === ""
  }

  /** The reply to a request. A process that is late is killed. */
  async ask(head: object, body: Buffer, timeoutMs: number): Promise<Frame | "died" | "timed-out"> {
    this.served += 1
    for (const part of encodeFrame(head, body)) this.#requests.write(part)
    const frame = await this.#next(timeoutMs)
    if (frame === "timed-out") await this.kill()
    return frame
  }

  async kill(): Promise<void> {
    this.#process.kill("SIGKILL")
    await this.#closed
  }

  #next(timeoutMs: number): Promise<Frame | "died" | "timed-out"> {
    if (!this.isRunning) return Promise.resolve("died")
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve("timed-out"), timeoutMs)
      this.#tell = (frame) => {
        clearTimeout(timer)
        resolve(frame)
      }
    })
  }

  #listen(replies: Readable, { maxOutputChars }: Limits): void {
    const reader = new FrameReader(UTF_8_BYTES * maxOutputChars + HEAD_BYTES)
    replies.on("error", () => undefined)
    replies.on("data", (part: Buffer) => {
      try {
        const frame = reader.push(part)
        if (frame !== undefined) this.#tell?.(frame)
      } catch {
        // What it sends is no frame: it is of no use any more, and its end is what the caller gets.
        this.#process.kill("SIGKILL")
      }
    })
  }
}

/** What a reply says, nothing of it believed that is not of the right shape. */
function extractionOf({ head, body }: Frame): Extraction | undefined {
  const { state, reason, kind, extractor, title, isWhole } = (head ?? {}) as Readonly<Record<string, unknown>>
  const refused = REFUSAL_STATES.find((known) => known === state)
  if (refused !== undefined) return typeof reason === "string" ? refuse(refused, reason) : undefined
  const known = TEXT_KINDS.find((each) => each === kind)
  if (known === undefined || typeof extractor !== "string" || typeof title !== "string") return undefined
  const text = body.toString("utf8")
  const fixed = { isVerbatim: false, encoding: UTF_8, language: "" }
  return {
    kind: known,
    extractor,
    title,
    text,
    isWhole: isWhole === true,
    ...fixed,
  } satisfies ExtractedDocument
}
