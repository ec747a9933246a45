/**
 * A connection to the vault's process (docs/VAULT.md), one request at a time. It ends when that process does, which is when the
 * vault is locked: whoever keeps a connection learns of it.
 */
import { closeSync, existsSync, fstatSync, readSync } from "node:fs"
import { Fault, type FaultKind } from "../core/fault.ts"
import { poll } from "../sys/libc.ts"
import { watchReadable } from "../sys/watch.ts"
import { connectTo, receiveMessage, sendMessage, throughShortPath } from "../sys/seqpacket.ts"

const SOCKET = "vault.sock"
const POLLFD = 8
const POLLIN = 1

type Answer =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly error: { kind: FaultKind; message: string; hint?: string } }

export class VaultLink implements Disposable {
  readonly #fd: number
  readonly #watched = Buffer.alloc(POLLFD)
  #isOpen = true

  private constructor(fd: number) {
    this.#fd = fd
    this.#watched.writeInt32LE(fd)
    this.#watched.writeInt16LE(POLLIN, 4)
  }

  /** Undefined where no process has the vault unlocked. An answer is waited for `timeoutSeconds`; 0: for ever. */
  static connect(directory: string, timeoutSeconds: number): VaultLink | undefined {
    if (!existsSync(directory)) return undefined
    const fd = throughShortPath(directory, SOCKET, (path) => connectTo(path, timeoutSeconds))
    return fd === undefined ? undefined : new VaultLink(fd)
  }

  /**
   * Asks the vault; descriptors go along. Throws the vault's own fault, and `Fault("timeout")` or `Fault("io")` for a process
   * that does not answer or has ended.
   */
  request(method: string, params: Readonly<Record<string, unknown>>, fds: readonly number[] = []): unknown {
    this.#send(method, params, fds)
    return this.#answer({ wait: true })
  }

  /** The same for a process with an event loop, which goes on meanwhile. */
  async requestLater(
    method: string,
    params: Readonly<Record<string, unknown>>,
    fds: readonly number[],
    timeoutMs: number,
  ): Promise<unknown> {
    this.#send(method, params, fds)
    await becomesReadable(this.#fd, timeoutMs)
    return this.#answer({ wait: false })
  }

  #send(method: string, params: Readonly<Record<string, unknown>>, fds: readonly number[]): void {
    if (!sendMessage(this.#fd, Buffer.from(JSON.stringify({ method, params })), fds))
      throw this.hasEnded() ? ended() : new Fault("invalid", "the request is too long")
  }

  #answer(options: { readonly wait: boolean }): unknown {
    const answer = this.#received(options)
    if (answer.ok) return answer.result
    const { kind, message, hint } = answer.error
    throw new Fault(kind, message, { hint })
  }

  #received(options: { readonly wait: boolean }): Answer {
    const message = receiveMessage(this.#fd, options)
    if (message === "late") throw new Fault("timeout", "the vault does not answer")
    if (message === undefined || message === "too long") throw ended()
    const [file] = message.fds
    if (file === undefined) return JSON.parse(message.data.toString()) as Answer
    try {
      const text = Buffer.alloc(fstatSync(file).size)
      readSync(file, text, 0, text.length, 0)
      return JSON.parse(text.toString()) as Answer
    } finally {
      closeSync(file)
    }
  }

  /** Whether the vault's process is gone; does not wait. Between two requests nothing but its end makes this readable. */
  hasEnded(): boolean {
    return poll(this.#watched, 1, 0) !== 0
  }

  [Symbol.dispose](): void {
    if (this.#isOpen) closeSync(this.#fd)
    this.#isOpen = false
  }
}

function becomesReadable(fd: number, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      handle.close()
      clearTimeout(timer)
      resolve()
    }
    const timer = setTimeout(end, timeoutMs)
    const handle = watchReadable(fd, end)
  })
}

function ended(): Fault {
  return new Fault("io", "the vault's process has ended")
}
