/**
 * The line to one agent: a socket pair with message boundaries, used synchronously. An agent that does not answer in
 * time is killed, never waited for.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, readSync, writeSync } from "node:fs"
import koffi from "koffi"
import { program } from "../helpers/programs.ts"
import { syscallNumber } from "./abi.ts"
import { type Argument, type Orders, type Reply, type Request, MESSAGE_BYTES } from "./wire.ts"

export class AgentLost extends Error {}

const AF_UNIX = 1
const SOCK_SEQPACKET_CLOEXEC = 5 | 0o2000000
const SOL_SOCKET = 1
const SO_RCVTIMEO = 20

type Native = (...words: (number | Buffer)[]) => number
const lib = koffi.load(null)
const words = "int64_t n, int64_t a, int64_t b, int64_t c"
const socketpair = lib.func(`int64_t syscall(${words}, void *fds)`) as unknown as Native
const setsockopt = lib.func(`int64_t syscall(${words}, void *value, int64_t size)`) as unknown as Native

/** A read at the first end gives up after the timeout. */
function makeSocketPair(timeoutMs: number): [parent: number, child: number] {
  const fds = Buffer.alloc(8)
  if (socketpair(syscallNumber("socketpair"), AF_UNIX, SOCK_SEQPACKET_CLOEXEC, 0, fds) !== 0)
    throw new Error(`socketpair: errno ${koffi.errno()}`)
  const parent = fds.readInt32LE(0)
  const timeval = Buffer.alloc(16)
  timeval.writeBigInt64LE(BigInt(Math.floor(timeoutMs / 1000)), 0)
  timeval.writeBigInt64LE(BigInt((timeoutMs % 1000) * 1000), 8)
  if (setsockopt(syscallNumber("setsockopt"), parent, SOL_SOCKET, SO_RCVTIMEO, timeval, timeval.length) !== 0)
    throw new Error(`setsockopt: errno ${koffi.errno()}`)
  return [parent, fds.readInt32LE(4)]
}

export class Channel implements Disposable {
  readonly pid: number
  readonly #child: ChildProcess
  readonly #fd: number
  readonly #timeoutMs: number
  readonly #message = Buffer.alloc(MESSAGE_BYTES)
  #isOpen = true

  constructor(orders: Orders, timeoutMs: number) {
    const [parent, child] = makeSocketPair(timeoutMs)
    const agent = program("test/posix/agent.ts")
    // the child finds its end as descriptor SOCKET
    this.#child = spawn(process.execPath, [agent, JSON.stringify(orders)], {
      stdio: ["ignore", "inherit", "inherit", child],
    })
    closeSync(child)
    this.#fd = parent
    this.#timeoutMs = timeoutMs
    if (this.#child.pid === undefined) throw new Error("cannot start an agent")
    this.pid = this.#child.pid
    this.#child.unref()
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  request(number: number, args: readonly Argument[]): Reply {
    this.send(number, args)
    return this.receive()
  }

  /** For calls that are meant to block: `receive` collects the answer later. */
  send(number: number, args: readonly Argument[]): void {
    if (!this.#isOpen) throw new AgentLost("the agent is gone")
    const request: Request = [number, ...args]
    try {
      writeSync(this.#fd, JSON.stringify(request))
    } catch (error) {
      throw this.#lose(`cannot be reached: ${String(error)}`)
    }
  }

  receive(): Reply {
    const length = this.#read()
    if (length === 0) throw this.#lose("died")
    return JSON.parse(this.#message.toString("utf8", 0, length)) as Reply
  }

  /** A signal, such as the end of a child, interrupts a read that has a timeout. */
  #read(): number {
    for (;;) {
      try {
        return readSync(this.#fd, this.#message)
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code === "EAGAIN") throw this.#lose(`gave no answer within ${this.#timeoutMs} ms`)
        if (code !== "EINTR") throw this.#lose(`cannot be read: ${String(error)}`)
      }
    }
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    closeSync(this.#fd)
    this.#child.kill("SIGKILL")
  }

  #lose(why: string): AgentLost {
    this[Symbol.dispose]()
    return new AgentLost(`agent ${this.pid} ${why}`)
  }
}
