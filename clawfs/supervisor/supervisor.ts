/**
 * Holds the mount: opens /dev/fuse, mounts, keeps the descriptor, starts a server with it and another one when that dies,
 * unmounts when told to, and makes the kernel forget what a server says. It does nothing else, so it has nothing to crash on.
 *
 * A crash loop is a row of servers that died without answering one request. Then a stand-in answers everything with EIO
 * until somebody unmounts.
 */
import { spawn, type ChildProcess } from "node:child_process"
import { closeSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Fault, describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import { mountFuse, unmountFuse, type MountOptions } from "../fuse/mount.ts"
import {
  ServerExit,
  type FaultReport,
  type ServerConfig,
  type ServerOrder,
  type ServerReport,
} from "../server/messages.ts"
import { SessionMemory, createSessionMemory } from "../server/session-memory.ts"
import { isLockOf, lockStore } from "../store/lock.ts"
import { setReadAhead } from "../sys/read-ahead.ts"
import { ownStartTime } from "../sys/process-identity.ts"
import type { SupervisorState } from "../../schema/supervisor-state.ts"
import type { Unconfined } from "../../schema/sandbox.ts"
import { confineDaemon } from "./confinement.ts"
import { Forgetting } from "./forgetting.ts"
import { StartWatch } from "./start-watch.ts"
import { removeState, writeState } from "./state.ts"

/** SIGKILL is somebody's will, or the kernel's for want of memory: much more of it is borne than of crashes. */
const FRUITLESS = { crashes: 5, kills: 50 } as const
const BACKOFF_MS = 50
const BACKOFF_MAX_MS = 500
const FLUSH_MS = 10_000
const LEAVE_MS = 5_000
const TELL_AGAIN_MS = 1_000
/** One READ of the largest size ahead (measured: a cold sequential read is a third faster than with 128 KiB). */
const READ_AHEAD_KIB = 1024

export interface SupervisorOptions {
  readonly mount: MountOptions
  readonly server: Omit<ServerConfig, "restarts" | "supervisorPid" | "unconfined">
  /** Before it serves, a server that has used no CPU for so long is killed. */
  readonly standstillMs: number
  /** Keys of encrypted trees that come through `KEYS_FD`, in this order. */
  readonly keys?: readonly KeyName[]
}

/** Which tree's key; the store's uuid is in hexadecimal. */
export interface KeyName {
  readonly uuid: string
  readonly id: number
  readonly generation: number
}

/** A pipe that holds the bytes of keys; behind the channel to the command. */
export const KEYS_FD = 4

const serverMain = fileURLToPath(new URL("../server/main.js", import.meta.url))
const eioMain = fileURLToPath(new URL("../server/eio-main.js", import.meta.url))

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #log: Log
  readonly #onServing: () => void
  readonly #fds: { fuse: number; memory: number; lock: number }
  readonly #memory: SessionMemory
  readonly #forgetting: Forgetting
  readonly #unconfined: Unconfined | undefined
  #watch: StartWatch | undefined
  #child: ChildProcess | undefined
  #state: SupervisorState["state"] = "starting"
  /** When it came to be so. */
  #since = ""
  /** Until the state file is written. */
  #later: NodeJS.Timeout | undefined
  #hasServed = false
  #restarts = 0
  #fruitless = 0
  #answeredAtStart = 0
  #lastEnd: string | undefined
  #stopping = false
  #fault: FaultReport | undefined
  #finish: (fault: Fault | undefined) => void = () => undefined

  private constructor(
    options: SupervisorOptions,
    fds: { fuse: number; memory: number; lock: number },
    unconfined: Unconfined | undefined,
    log: Log,
    onServing: () => void,
  ) {
    this.#options = options
    this.#unconfined = unconfined
    this.#fds = fds
    this.#log = log
    this.#onServing = onServing
    this.#memory = new SessionMemory(fds.memory)
    this.#forgetting = new Forgetting({ fuse: fds.fuse, logLevel: options.server.logLevel })
  }

  /** Locks the store and mounts. `onServing` is called once, when the mount is usable. */
  static async mount(options: SupervisorOptions, log: Log, onServing: () => void): Promise<Supervisor> {
    const unconfined = confineDaemon()
    if (unconfined !== undefined) log.info("no list of system calls", { reason: unconfined.detail })
    const lock = lockStore(options.server.store, `clawfs mount on ${options.mount.mountpoint}`)
    try {
      const fuse = await mountFuse(options.mount)
      setReadAhead(options.mount.mountpoint, READ_AHEAD_KIB, log)
      const fds = { fuse, memory: createSessionMemory(), lock }
      return new Supervisor(options, fds, unconfined, log, onServing)
    } catch (thrown) {
      closeSync(lock)
      throw thrown
    }
  }

  /** Serves until unmounted. Throws when the first server can't start; then nothing stays mounted. */
  async run(): Promise<void> {
    const fault = await new Promise<Fault | undefined>((resolve) => {
      this.#finish = resolve
      this.#setState("starting")
      this.#startServer()
    })
    clearTimeout(this.#later)
    if (this.#isStoreThere) removeState(this.#options.server.store)
    this.#memory[Symbol.dispose]()
    for (const fd of Object.values(this.#fds)) closeSync(fd)
    if (fault !== undefined) throw fault
  }

  /** Another store may have taken its place. */
  get #isStoreThere(): boolean {
    return isLockOf(this.#options.server.store, this.#fds.lock)
  }

  #setState(state: SupervisorState["state"]): void {
    this.#state = state
    this.#since = new Date().toISOString()
    clearTimeout(this.#later)
    this.#tell(true)
  }

  /** Writes the state file; later, while the store is away or its disk full, so that no older state stays in it. */
  #tell(isFirst: boolean): void {
    if (!this.#isTold(isFirst)) this.#later = setTimeout(() => this.#tell(false), TELL_AGAIN_MS)
  }

  #isTold(isFirst: boolean): boolean {
    if (!this.#isStoreThere) return false
    try {
      writeState(this.#options.server.store, {
        pid: process.pid,
        started: ownStartTime(),
        mountpoint: this.#options.mount.mountpoint,
        state: this.#state,
        restarts: this.#restarts,
        ...(this.#lastEnd === undefined ? {} : { lastEnd: this.#lastEnd }),
        since: this.#since,
      })
      return true
    } catch (thrown) {
      // A full disk must not stop the service; the state is for people to read.
      if (isFirst) this.#log.error("the state file can't be written", { reason: describe(thrown) })
      return false
    }
  }

  #startServer(): void {
    const config: ServerConfig = {
      ...this.#options.server,
      restarts: this.#restarts,
      supervisorPid: process.pid,
      unconfined: this.#unconfined,
    }
    this.#answeredAtStart = this.#memory.answered
    const { fuse, memory, lock } = this.#fds
    const child = spawn(process.execPath, [serverMain, JSON.stringify(config)], {
      stdio: ["ignore", "inherit", "inherit", fuse, memory, lock, "ipc"],
      serialization: "advanced",
    })
    this.#child = child
    this.#watch = new StartWatch(child, this.#options.standstillMs, this.#log)
    child.on("message", (report: ServerReport) => this.#onReport(report, child))
    child.on("error", (thrown) =>
      this.#log.error("the server can't be started", { reason: describe(thrown) }),
    )
    child.on("exit", (code, signal) => this.#onExit(code, signal))
  }

  #onReport(report: ServerReport, child: ChildProcess): void {
    if (report.kind === "failed") this.#fault = report.fault
    if (report.kind === "forget") void this.#forget(report, child)
    if (report.kind !== "serving") return
    this.#watch?.end()
    const isFirst = !this.#hasServed
    this.#hasServed = true
    this.#setState("serving")
    if (isFirst) this.#onServing()
  }

  async #forget({ id, stale }: ServerReport & { kind: "forget" }, child: ChildProcess): Promise<void> {
    await this.#forgetting.forget(stale)
    if (child.connected) child.send({ kind: "forgotten", id } satisfies ServerOrder)
  }

  #onExit(code: number | null, signal: NodeJS.Signals | null): void {
    this.#watch?.end()
    this.#lastEnd = signal === null ? `exit status ${code ?? 0}` : `signal ${signal}`
    if (this.#stopping || code === ServerExit.CLOSED) {
      this.#finish(undefined)
      return
    }
    if (!this.#hasServed && code === ServerExit.CANNOT_START) {
      const { kind, message, hint } = this.#fault ?? { kind: "io", message: "the server can't start" }
      this.#abandon(new Fault(kind, message, { hint }))
      return
    }
    const answered = this.#memory.answered !== this.#answeredAtStart
    this.#fruitless = answered ? 0 : this.#fruitless + 1
    const limit = signal === "SIGKILL" ? FRUITLESS.kills : FRUITLESS.crashes
    if (this.#fruitless >= limit) this.#giveUp()
    else this.#restart()
  }

  #restart(): void {
    this.#restarts += 1
    this.#log.error("the server died, starting another", { end: this.#lastEnd, restarts: this.#restarts })
    this.#setState("restarting")
    // The first restart is immediate: programs are waiting. Only fruitless ones are spaced out.
    setTimeout(
      () => this.#startServer(),
      this.#fruitless <= 1 ? 0 : Math.min(BACKOFF_MAX_MS, BACKOFF_MS * this.#fruitless),
    )
  }

  /** Nobody has been told that the mount is usable: nothing stays of it. */
  #abandon(fault: Fault): void {
    unmountFuse(this.#options.mount.mountpoint, { lazy: true })
    this.#finish(fault)
  }

  /** Programs get EIO instead of waiting for ever; the reason is in the state file and the log. */
  #giveUp(): void {
    if (!this.#hasServed) {
      const message = `the server died ${this.#fruitless} times while it started (${this.#lastEnd ?? ""})`
      this.#abandon(new Fault("io", message, { hint: `see ${this.#options.server.store}/clawfs.log` }))
      return
    }
    this.#log.error("crash loop: the mount answers EIO from now on", {
      end: this.#lastEnd,
      deaths: this.#fruitless,
    })
    this.#setState("failed")
    const { fuse } = this.#fds
    const child = spawn(process.execPath, [eioMain], { stdio: ["ignore", "inherit", "inherit", fuse] })
    this.#child = child
    child.on("exit", () => {
      unmountFuse(this.#options.mount.mountpoint, { lazy: true })
      this.#finish(undefined)
    })
  }

  /** Flushes, unmounts (lazily if programs are inside) and ends the server. */
  async stop(): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    const child = this.#child
    await this.#flush(child)
    const { mountpoint } = this.#options.mount
    if (unmountFuse(mountpoint, { lazy: false }) === "busy") unmountFuse(mountpoint, { lazy: true })
    if (child === undefined) {
      this.#finish(undefined)
      return
    }
    // With programs inside, the connection lives until its last descriptor is closed: that is the server's end.
    setTimeout(() => child.kill("SIGKILL"), LEAVE_MS).unref()
  }

  #flush(child: ChildProcess | undefined): Promise<void> {
    if (this.#state !== "serving" || child?.connected !== true) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, FLUSH_MS)
      child.on("message", (report: ServerReport) => {
        if (report.kind !== "flushed") return
        clearTimeout(timer)
        resolve()
      })
      child.send({ kind: "flush" } satisfies ServerOrder)
    })
  }
}
