/** One caller: its words and descriptors, then its signals, and one answer. */
import { closeSync } from "node:fs"
import type { Socket } from "node:net"
import { Fault } from "../core/fault.ts"
import type { FirstMessage } from "../sys/unix-listener.ts"
import type { Told } from "./outcome.ts"
import { HEADER_BYTES, answerOf, readHeader, readWords, type Header, type Words } from "./wire.ts"

/** stdin, stdout, stderr, and the launcher's own file. */
const DESCRIPTORS = 4
const SIGNALS = { HUP: 1, INT: 2, QUIT: 3, STOP: 19, TSTP: 20, WINCH: 28, CONT: 18 } as const
/** What a terminal sends to all processes in the foreground. */
const FOR_GROUP: ReadonlySet<number> = new Set(Object.values(SIGNALS))
const MOST_SIGNAL = 64

/** Disposing of it closes the descriptors; once. */
export interface Incoming extends Disposable {
  readonly words: Words
  readonly stdio: readonly [number, number, number]
  readonly proof: number
  readonly script: { readonly at: number; readonly fd: number } | undefined
}

export interface Listener {
  signal(signal: number, isForGroup: boolean): void
  /** The caller has gone without waiting. */
  gone(): void
}

/** Who has called a tool. */
export interface Caller {
  /** It is told all, the run's number included; others get a status and a line. */
  readonly wantsOutcome: boolean
  /** From here on, and what has come already. */
  listen(listener: Listener): void
  /** Once. `line`: for people; empty when there is nothing to say. */
  answer(told: Told, line: string): Promise<void>
}

export class Conversation implements Caller {
  /** The header, and as a rule all of the text. */
  static readonly FIRST_BYTES = 16 * 1024
  readonly #socket: Socket
  /** Rejects when the caller is no launcher, or takes too long; its descriptors are closed then. */
  readonly incoming: Promise<Incoming>
  #listener: Listener | undefined
  #early: number[] = []
  #isGone = false
  #isAnswered = false
  #wantsOutcome = false

  constructor(socket: Socket, first: FirstMessage, timeoutMs: number) {
    this.#socket = socket
    socket.on("error", () => this.#close())
    socket.on("close", () => this.#close())
    this.incoming = this.#receive(first, timeoutMs).catch((thrown: unknown) => {
      for (const fd of first.descriptors) closeSync(fd)
      socket.destroy()
      throw thrown
    })
  }

  async #receive({ bytes, descriptors }: FirstMessage, timeoutMs: number): Promise<Incoming> {
    const header = readHeader(bytes)
    this.#wantsOutcome = header.wantsOutcome
    const wanted = DESCRIPTORS + (header.script === undefined ? 0 : 1)
    if (descriptors.length !== wanted)
      throw new Fault("invalid", `${descriptors.length} descriptors came, not ${wanted}`)
    const text = await this.#text(header, bytes.subarray(HEADER_BYTES), timeoutMs)
    return incomingOf(readWords(text, header), header, descriptors)
  }

  /** Then every byte is a signal. */
  #text({ textBytes }: Header, begun: Buffer, timeoutMs: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      let have = 0
      const fail = (): void => reject(new Fault("io", "the caller has gone"))
      this.#socket.setTimeout(timeoutMs, () => reject(new Fault("timeout", "the caller does not finish")))
      this.#socket.once("close", fail)
      const take = (chunk: Buffer): void => {
        chunks.push(chunk)
        have += chunk.length
        if (have < textBytes) return
        this.#socket.off("data", take)
        this.#socket.off("close", fail)
        this.#socket.setTimeout(0)
        const all = Buffer.concat(chunks)
        this.#socket.on("data", (more: Buffer) => this.#signals(more))
        this.#signals(all.subarray(textBytes))
        resolve(all.subarray(0, textBytes))
      }
      this.#socket.on("data", take)
      if (begun.length > 0 || textBytes === 0) take(begun)
    })
  }

  get wantsOutcome(): boolean {
    return this.#wantsOutcome
  }

  #signals(bytes: Buffer): void {
    for (const signal of bytes) {
      if (signal < 1 || signal > MOST_SIGNAL) continue
      if (this.#listener === undefined) this.#early.push(signal)
      else this.#listener.signal(signal, FOR_GROUP.has(signal))
    }
  }

  #close(): void {
    if (this.#isGone) return
    this.#isGone = true
    if (!this.#isAnswered) this.#listener?.gone()
  }

  /** Tells `listener` what has come and what comes. */
  listen(listener: Listener): void {
    this.#listener = listener
    if (this.#isGone) listener.gone()
    for (const signal of this.#early.splice(0)) listener.signal(signal, FOR_GROUP.has(signal))
  }

  /** Says how it went, once, and ends the conversation. `line`: for people. */
  async answer({ status, outcome }: Told, line: string): Promise<void> {
    if (this.#isAnswered || this.#isGone) return
    this.#isAnswered = true
    await new Promise<void>((resolve) => {
      this.#socket.once("close", resolve)
      this.#socket.end(answerOf(status, this.#wantsOutcome ? JSON.stringify(outcome) : line), () =>
        this.#socket.destroy(),
      )
    })
  }
}

function incomingOf(words: Words, { script }: Header, descriptors: readonly number[]): Incoming {
  const [input = -1, output = -1, error = -1, proof = -1, scriptFd = -1] = descriptors
  const open = new Set(descriptors)
  return {
    words,
    stdio: [input, output, error],
    proof,
    script: script === undefined ? undefined : { at: script, fd: scriptFd },
    [Symbol.dispose]: () => {
      for (const fd of open) closeSync(fd)
      open.clear()
    },
  }
}
