/** A child process with an HNSW graph, from its parent's side: questions with numbers, answers or the news that it died. */
import { fork, type ChildProcess } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Fault } from "../../core/fault.ts"
import type { HnswAnswer, HnswRequest, Numbered } from "./hnsw-messages.ts"

/** Processes can't be TypeScript under Node 20; where this file is compiled, so is that one. */
const hnswMain = fileURLToPath(new URL("./hnsw-main.js", import.meta.url))

export class ChildDied extends Fault {
  /** It ran into something in native code, not into somebody's `kill`. */
  readonly isCrash: boolean

  constructor(signal: string | null) {
    super("io", `the process with the vector graph ended (${signal ?? "by itself"})`)
    this.isCrash = signal === "SIGSEGV" || signal === "SIGABRT" || signal === "SIGBUS" || signal === "SIGILL"
  }
}

interface Waiting {
  readonly resolve: (answer: HnswAnswer) => void
  readonly reject: (reason: Error) => void
}

export class HnswProcess {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  #next = 1
  #ended: ChildDied | undefined

  /** `program`: another path of hnsw-main.js, for tests. */
  constructor(program = hnswMain) {
    this.#child = fork(program, [], {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      execArgv: [],
    })
    this.#child.on("message", ({ id, body }: Numbered<HnswAnswer>) => {
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
  async ask(body: HnswRequest, timeoutMs: number): Promise<HnswAnswer> {
    if (this.#ended !== undefined) throw this.#ended
    const id = this.#next++
    const answer = new Promise<HnswAnswer>((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
    this.#child.channel?.ref()
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Fault("timeout", "the vector graph gave no answer")), timeoutMs)
    })
    try {
      this.#child.send({ id, body } satisfies Numbered<HnswRequest>, () => undefined)
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
    this.#ended = new ChildDied(signal)
    for (const { reject } of this.#waiting.values()) reject(this.#ended)
    this.#waiting.clear()
  }
}
