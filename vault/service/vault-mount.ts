/**
 * The vault's mount in the vault's own process: a FUSE connection that a guard process has made, a thread that waits for
 * requests, and the main thread, which has the keys and serves them between those of the socket.
 */
import { spawn, type ChildProcess } from "node:child_process"
import { closeSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Worker } from "node:worker_threads"
import { Fault, describe } from "../../clawfs/core/fault.ts"
import type { Log } from "../../clawfs/core/log.ts"
import { CHANNEL_OVERHEAD, CLOSED, Channel } from "../../clawfs/fuse/channel.ts"
import { NOTHING, Protocol } from "../../clawfs/fuse/protocol.ts"
import { checked } from "../../clawfs/sys/ffi.ts"
import { socketpair } from "../../clawfs/sys/libc.ts"
import { SecretMemory } from "../../clawfs/sys/secret-memory.ts"
import { sendMessage } from "../../clawfs/sys/seqpacket.ts"
import { WakeUp } from "../../clawfs/sys/wake-up.ts"
import { VaultFiles } from "../mount/vault-files.ts"
import type { VaultView } from "../mount/vault-view.ts"
import { MOST_VALUE_BYTES } from "../vault.ts"
import type { GuardOrder, MountEvent, MountWorkerData } from "./mount-words.ts"

const AF_UNIX = 1
const SEQPACKET_CLOEXEC = 5 | 0o2000000
const BUFFER = MOST_VALUE_BYTES + CHANNEL_OVERHEAD
const BEAT_MS = 500
/** The guard's time to take the mount away. */
const END_MS = 5000
/** The socket's clients wait meanwhile. */
const REQUESTS_IN_A_ROW = 64
const GUARD = fileURLToPath(new URL("./mount-guard.js", import.meta.url))

export interface MountPlan extends GuardOrder {
  readonly view: VaultView
  readonly log: Log
  /** The mount is gone without having been asked to. */
  readonly onLost: () => void
}

export class VaultMount implements AsyncDisposable {
  readonly mountpoint: string
  readonly #log: Log
  readonly #onLost: () => void
  readonly #files: VaultFiles
  /** What goes to the kernel can't be in memory that the kernel does not let itself be told to read. */
  readonly #memory = [
    SecretMemory.allocate(BUFFER, "locked"),
    SecretMemory.allocate(BUFFER, "locked"),
  ] as const
  readonly #turn = new Int32Array(new SharedArrayBuffer(4))
  readonly #stop = new WakeUp()
  readonly #socket: number
  readonly #guard: ChildProcess
  readonly #worker: Worker
  readonly #workerEnds: Promise<void>
  #beat: NodeJS.Timeout | undefined
  #connection: { readonly fd: number; readonly channel: Channel; readonly protocol: Protocol } | undefined
  #isEnding = false

  private constructor({ view, log, onLost, ...order }: MountPlan) {
    this.mountpoint = order.mountpoint
    this.#log = log
    this.#onLost = onLost
    const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
    this.#files = new VaultFiles(view, owner)
    const pair = Buffer.alloc(8)
    checked("socketpair", socketpair(AF_UNIX, SEQPACKET_CLOEXEC, 0, pair))
    const theirs = pair.readInt32LE(4)
    this.#socket = pair.readInt32LE(0)
    this.#guard = spawn(process.execPath, [GUARD, JSON.stringify(order)], {
      ...{ cwd: "/", detached: true, stdio: ["ignore", "ignore", "inherit", theirs] },
      env: { PATH: process.env["PATH"], LANG: "C.UTF-8" },
    })
    closeSync(theirs)
    const workerData: MountWorkerData = {
      ...{ socket: this.#socket, stop: this.#stop.fd, turn: this.#turn.buffer },
    }
    this.#worker = new Worker(new URL("mount-worker.js", import.meta.url), { workerData })
    this.#worker.on("error", (thrown) => this.#lose(describe(thrown)))
    this.#workerEnds = new Promise((resolve) => this.#worker.once("exit", () => resolve()))
  }

  /** Resolves when programs can use the mount. Throws what kept the guard from mounting. */
  static async begin(plan: MountPlan): Promise<VaultMount> {
    const mount = new VaultMount(plan)
    try {
      await mount.#begun()
      return mount
    } catch (thrown) {
      await mount[Symbol.asyncDispose]()
      throw thrown
    }
  }

  #begun(): Promise<void> {
    this.#beat = setInterval(() => sendMessage(this.#socket, Buffer.from("."), []), BEAT_MS)
    return new Promise((resolve, reject) => {
      this.#guard.once("error", reject)
      this.#worker.on("message", (event: MountEvent) => {
        switch (event.kind) {
          case "mounted":
            this.#connect(event.fd, resolve)
            break
          case "failed":
            reject(new Fault(event.report.kind, event.report.message, { hint: event.report.hint }))
            break
          case "request":
            this.#serve()
            break
          case "unguarded":
            this.#lose("its guard is gone")
        }
      })
    })
  }

  #connect(fd: number, onAgreement: () => void): void {
    const [request, reply] = [this.#memory[0].bytes, this.#memory[1].bytes]
    const channel = new Channel(fd, this.#log, { buffers: { request, reply } })
    const protocol = new Protocol(this.#files, request, reply, {
      ...{ writeback: false, openIsAsked: true, maxTransfer: MOST_VALUE_BYTES, ttlSeconds: 0 },
      ...{ log: this.#log, onAgreement },
      // A connection ends with its process: nothing is ever resent.
      replay: { catchUp: () => undefined, answer: () => undefined },
    })
    this.#connection = { fd, channel, protocol }
  }

  #serve(): void {
    try {
      if (this.#connection !== undefined) this.#drain(this.#connection.channel, this.#connection.protocol)
    } finally {
      Atomics.store(this.#turn, 0, 0)
      Atomics.notify(this.#turn, 0)
    }
  }

  #drain(channel: Channel, protocol: Protocol): void {
    for (let count = 0; count < REQUESTS_IN_A_ROW; count += 1) {
      const length = channel.receiveNow()
      if (length === CLOSED) {
        this.#lose("the connection was ended")
        return
      }
      if (length === 0) return
      const answered = protocol.handle(length)
      if (answered !== NOTHING) channel.send(answered)
      channel.request.fill(0, 0, length)
      channel.reply.fill(0, 0, answered)
    }
  }

  #lose(reason: string): void {
    if (this.#isEnding) return
    this.#isEnding = true
    this.#log.error("the vault's mount is gone", { reason })
    this.#onLost()
  }

  /** The guard takes the mount away first, so that nobody finds a dead one. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true
    clearInterval(this.#beat)
    const isOver = this.#guard.exitCode !== null || this.#guard.signalCode !== null
    const guardEnds = new Promise<void>((resolve) => {
      if (isOver || this.#guard.pid === undefined) resolve()
      else this.#guard.once("exit", () => resolve())
    })
    this.#stop.signal()
    Atomics.store(this.#turn, 0, 0)
    Atomics.notify(this.#turn, 0)
    await this.#workerEnds
    closeSync(this.#socket)
    let timer: NodeJS.Timeout | undefined
    await Promise.race([guardEnds, new Promise((resolve) => (timer = setTimeout(resolve, END_MS)))])
    clearTimeout(timer)
    if (this.#connection !== undefined) closeSync(this.#connection.fd)
    this.#connection = undefined
    this.#files[Symbol.dispose]()
    for (const memory of this.#memory) memory[Symbol.dispose]()
    this.#stop[Symbol.dispose]()
  }
}
