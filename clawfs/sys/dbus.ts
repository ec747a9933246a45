/**
 * A connection to the system's bus (D-Bus Specification, "Authentication Protocol", "Message Bus Specification"). Nothing here waits
 * on the thread. Who a signal is from is what the bus says; anybody may send one to anybody, so it is to be looked at.
 */
import { closeSync } from "node:fs"
import { Fault } from "../core/fault.ts"
import {
  MessageType,
  callBytes,
  messageLength,
  readMessage,
  type DbusMessage,
  type MethodCall,
} from "./dbus-wire.ts"
import { connectStream, receiveSome, type Received } from "./unix-stream.ts"
import { write } from "./libc.ts"
import { watchReadable } from "./watch.ts"

const BUS = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
} as const
const DEFAULT_PATH = "/run/dbus/system_bus_socket"
const CHUNK = 16 * 1024
/** How long a service may take to answer. */
const ANSWER_MS = 10_000
const NEWLINE = "\r\n"

/** The socket of an address such as "unix:path=/run/dbus/system_bus_socket"; of several, the first that has a path. */
export function busPath(address: string | undefined): string {
  return /(?:^|;)unix:(?:[^;]*,)?path=([^,;]+)/.exec(address ?? "")?.[1] ?? DEFAULT_PATH
}

export interface Answer {
  readonly message: DbusMessage
  /** Owner: who called. */
  readonly fds: readonly number[]
}

export class DbusLink implements Disposable {
  readonly #fd: number
  readonly #signal: (message: DbusMessage) => void
  readonly #waiting = new Map<number, (answer: Answer | Fault) => void>()
  readonly #fds: number[] = []
  #bytes: Buffer = Buffer.alloc(0)
  #serial = 0
  #isOpen = true

  private constructor(fd: number, signal: (message: DbusMessage) => void) {
    this.#fd = fd
    this.#signal = signal
  }

  /** Rejects with a `Fault` where there is no bus. `ended` is called when the connection is no more, unless it was closed here. */
  static async connect(
    path: string,
    { signal, ended }: { readonly signal: (message: DbusMessage) => void; readonly ended: () => void },
  ): Promise<DbusLink> {
    const link = new DbusLink(connected(path), signal)
    try {
      const uid = Buffer.from(String(process.getuid?.() ?? 0)).toString("hex")
      link.#send(Buffer.from(`\0AUTH EXTERNAL ${uid}${NEWLINE}`))
      if (!(await link.#line()).startsWith("OK ")) throw new Fault("denied", "the bus does not let us in")
      link.#send(Buffer.from(`NEGOTIATE_UNIX_FD${NEWLINE}`))
      if (!(await link.#line()).startsWith("AGREE_UNIX_FD"))
        throw new Fault("unsupported", "the bus passes no descriptors")
      link.#send(Buffer.from(`BEGIN${NEWLINE}`))
    } catch (thrown) {
      link[Symbol.dispose]()
      throw thrown
    }
    void link.#read().then(() => {
      const wasOpen = link.#isOpen
      link[Symbol.dispose]()
      if (wasOpen) ended()
    })
    try {
      const { fds } = await link.call({ ...BUS, member: "Hello", args: [] })
      for (const fd of fds) closeSync(fd)
      return link
    } catch (thrown) {
      link[Symbol.dispose]()
      throw thrown
    }
  }

  /** Calls a method. Rejects with a `Fault` for an error, none in time, or one that the bus can't pass on. */
  async call(call: MethodCall): Promise<Answer> {
    this.#serial += 1
    const serial = this.#serial
    const answer = new Promise<Answer | Fault>((resolve) => {
      const timer = setTimeout(
        () => resolve(new Fault("timeout", `${call.destination} does not answer`)),
        ANSWER_MS,
      ).unref()
      this.#waiting.set(serial, (each) => {
        clearTimeout(timer)
        resolve(each)
      })
    })
    this.#send(callBytes(serial, call))
    const result = await answer
    this.#waiting.delete(serial)
    if (result instanceof Fault) throw result
    if (result.message.type !== MessageType.ERROR) return result
    throw new Fault("unsupported", `${call.member}: ${String(result.message.first ?? "an error")}`)
  }

  /** From now on, signals that fit are passed to us. */
  async match(rule: string): Promise<void> {
    await this.call({ ...BUS, member: "AddMatch", args: [rule] })
  }

  /** Whom the bus knows by a name now; undefined for nobody. */
  async ownerOf(name: string): Promise<string | undefined> {
    const { message } = await this.call({ ...BUS, member: "GetNameOwner", args: [name] })
    return typeof message.first === "string" ? message.first : undefined
  }

  #send(bytes: Buffer): void {
    // Far less than what a socket takes: a part of it means that nobody reads at the other end.
    if (write(this.#fd, bytes, bytes.length) !== bytes.length) throw new Fault("io", "the bus takes nothing")
  }

  async #line(): Promise<string> {
    const until = Date.now() + ANSWER_MS
    for (;;) {
      const end = this.#bytes.indexOf(NEWLINE)
      if (end >= 0) {
        const line = this.#bytes.toString("latin1", 0, end)
        this.#bytes = this.#bytes.subarray(end + NEWLINE.length)
        return line
      }
      if (!(await this.#more(until - Date.now()))) throw new Fault("io", "the bus says nothing")
    }
  }

  /** Takes what comes; false at the end of the connection, or when nothing comes in time. */
  async #more(timeoutMs?: number): Promise<boolean> {
    const received = await new Promise<Received | undefined>((resolve) => {
      const end = (result: Received | undefined): void => {
        handle.close()
        clearTimeout(timer)
        resolve(result)
      }
      const handle = watchReadable(this.#fd, () => end(this.#isOpen ? this.#received() : undefined))
      const timer = timeoutMs === undefined ? undefined : setTimeout(() => end(undefined), timeoutMs).unref()
      this.#stop = () => end(undefined)
    })
    if (received === undefined || received.bytes.length === 0) return false
    this.#bytes = Buffer.concat([this.#bytes, received.bytes])
    this.#fds.push(...received.descriptors)
    return true
  }

  /** Undefined at the connection's end, however it came: one that was cut off with something unread is an error (unix(7)). */
  #received(): Received | undefined {
    try {
      return receiveSome(this.#fd, CHUNK)
    } catch (thrown) {
      if (thrown instanceof Fault) return undefined
      throw thrown
    }
  }

  #stop: () => void = () => undefined

  async #read(): Promise<void> {
    try {
      while (await this.#more()) while (this.#next());
    } catch (thrown) {
      // Nobody can go on behind a message that can't be read.
      if (!(thrown instanceof Fault)) throw thrown
    }
  }

  /** Passes on one message; false when none is whole. */
  #next(): boolean {
    const length = messageLength(this.#bytes)
    if (length === undefined || this.#bytes.length < length) return false
    const message = readMessage(this.#bytes.subarray(0, length))
    this.#bytes = Buffer.from(this.#bytes.subarray(length))
    const fds = this.#fds.splice(0, message.fds)
    const wait = this.#waiting.get(message.replyTo)
    const isAnswer = message.type === MessageType.RETURN || message.type === MessageType.ERROR
    if (isAnswer && wait !== undefined) {
      wait({ message, fds })
      return true
    }
    for (const fd of fds) closeSync(fd)
    if (message.type === MessageType.SIGNAL) this.#signal(message)
    return true
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#stop()
    for (const wait of this.#waiting.values()) wait(new Fault("io", "the connection to the bus is closed"))
    for (const fd of this.#fds.splice(0)) closeSync(fd)
    closeSync(this.#fd)
  }
}

function connected(path: string): number {
  try {
    return connectStream(path)
  } catch (cause) {
    if (!(cause instanceof Fault)) throw cause
    throw new Fault(cause.kind, `no bus answers at ${path}: ${cause.message}`, { cause })
  }
}
