/** A child process for what may crash or must be killable, from its parent's side: questions with numbers, answers or its death. */
import { fork, type ChildProcess } from "node:child_process"
import { Fault } from "../core/fault.ts"

export interface Numbered<T> {
  readonly id: number
  readonly body: T
}

export class ChildDied extends Fault {
  /** It ran into something in native code, not into somebody's `kill`. */
  readonly isCrash: boolean

  constructor(what: string, signal: string | null) {
    super("io", `the process with ${what} ended (${signal ?? "by itself"})`)
    this.isCrash = signal === "SIGSEGV" || signal === "SIGABRT" || signal === "SIGBUS" || signal === "SIGILL"
  }
}

interface Waiting<Answer> {
  readonly resolve: (answer: Answer) => void
  readonly reject: (reason: Error) => void
}

export class HelperProcess<Request, Answer> {
  readonly #what: string
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, Waiting<Answer>>()
  #next = 1
  #ended: ChildDied | undefined

  /** `program`: path of what Node runs in it; `what` it has, for messages. */
  constructor(program: string, what: string) {
    this.#what = what
    this.#child = fork(program, [], {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      execArgv: [],
    })
    this.#child.on("message", ({ id, body }: Numbered<Answer>) => {
      this.#waiting.get(id)?.resolve(body)
      this.#waiting.delete(id)
    })
    this.#child.on("error", () => this.#end(null))
    this.#child.on("exit", (_code, signal) => this.#end(signal))
    // Neither the process nor its channel keeps the parent alive: the child ends with it.
    this.#child.unref()
    this.#child.channel?.unref()
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  get hasEnded(): boolean {
    return this.#ended !== undefined
  }

  /** Rejects with `ChildDied`, or a `Fault("timeout")` after `timeoutMs`. */
  async ask(body: Request, timeoutMs: number): Promise<Answer> {
    if (this.#ended !== undefined) throw this.#ended
    const id = this.#next++
    const answer = new Promise<Answer>((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
    this.#child.channel?.ref()
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Fault("timeout", `${this.#what} gave no answer`)), timeoutMs)
    })
    try {
      this.#child.send({ id, body } satisfies Numbered<Request>, () => undefined)
      return await Promise.race([answer, late])
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(id)
      if (this.#waiting.size === 0) this.#child.channel?.unref()
    }
  }

  /** Ends it at once. */
  kill(): void {
    this.#child.kill("SIGKILL")
  }

  #end(signal: string | null): void {
    if (this.#ended !== undefined) return
    this.#ended = new ChildDied(this.#what, signal)
    for (const { reject } of this.#waiting.values()) reject(this.#ended)
    this.#waiting.clear()
  }
}
