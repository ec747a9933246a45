/**
 * The server process: serving thread, sync worker, control socket. Started by the supervisor with the FUSE connection,
 * the session memory and the store's lock as inherited descriptors; its only argument is its configuration as JSON.
 */
import { availableParallelism } from "node:os"
import { MessageChannel, Worker, type MessagePort } from "node:worker_threads"
import type { ControlServer, Handler } from "../api/server.ts"
import { present, unreachable } from "../core/assert.ts"
import { Fault, describe } from "../core/fault.ts"
import type { Stale } from "../fuse/notify.ts"
import type { Wanted } from "../fs/search-directories.ts"
import { Log } from "../core/log.ts"
import { isLockOf } from "../store/lock.ts"
import { CONTROL_SOCKET, shortSocketPath } from "../sys/socket-path.ts"
import {
  ServerExit,
  ServerFd,
  type FlushRequest,
  type ServerCrew,
  type ServerConfig,
  type ServerOrder,
  type ServerReport,
  type WorkerData,
  type WorkerReport,
} from "./messages.ts"
import { Encryption } from "./encryption.ts"
import { KEYS } from "./key-orders.ts"
import { Orders } from "./orders.ts"
import { Looks } from "./looks.ts"
import { Scrubbing } from "./scrubbing.ts"
import type { Search } from "./search.ts"
import { searchFor } from "./search-requests.ts"
import { createCrew } from "./crew.ts"
import { SessionMemory } from "./session-memory.ts"
import { statusOf } from "./status.ts"
import { Tools, toolHandlers } from "./tools.ts"
import { VaultTrees } from "./vault-trees.ts"

/** The serving thread's heap: bounded, so that garbage is collected before the process grows. */
const HEAP_MB = 192
const FLUSH_TIMEOUT_MS = 30_000
/** What a server without a supervisor waits for its serving thread before it ends all the same. */
const SETTLE_TIMEOUT_MS = 30_000
/** How often it is looked for scheduled snapshots that are due. */
const SCHEDULE_TICK_MS = 15_000
/** Seconds; who needs segments for longer asks again. */
const LONGEST_HOLD = 120

const config = JSON.parse(present(process.argv[2], "configuration")) as ServerConfig
const log = new Log("server", { level: config.logLevel })

// The supervisor decides when to stop; a Ctrl-C in its terminal reaches this process too.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => log.debug("signal ignored", { signal }))

function tell(report: ServerReport): void {
  process.send?.(report)
}

class Server {
  readonly #memory = new SessionMemory(ServerFd.MEMORY)
  readonly #fuse: Worker
  readonly #syncPort: MessagePort
  readonly #crew = createCrew()
  readonly #orders: Orders
  #sync: Worker | undefined
  /** Helps the serving thread with records, once there is a key. */
  #helper: Worker | undefined
  readonly scrubbing = new Scrubbing(config, log)
  readonly #flushes = new Map<number, { resolve: () => void; reject: (fault: Fault) => void }>()
  readonly #forgetting = new Map<number, () => void>()
  #nextFlush = 1
  #nextForget = 1
  #cleaningOrders = 0
  readonly encryption = new Encryption(
    (order, moved) => this.#orders.run(KEYS, order, moved),
    () => this.#memory.agreement?.writeback ?? config.writeback,
    log,
    () => this.watchVault(),
  )
  readonly vaultTrees = new VaultTrees(config.vault, this.encryption, log)
  readonly #looks = new Looks(config.vault, (looked) => this.run("guard.done", { ...looked }), log)
  /** Ended when the server leaves in good order. */
  search: Search | undefined
  readonly tools = new Tools(config, log)
  /** Closed, and its socket removed, when the server leaves in good order. */
  control: ControlServer | undefined

  constructor() {
    const channel = new MessageChannel()
    const orders = new MessageChannel()
    this.#syncPort = channel.port1
    this.#orders = new Orders(orders.port1, (stale) => this.#forget(stale))
    const wake = this.#orders.wakeFd
    const data = { config, sync: channel.port2, wake, orders: { port: orders.port2 }, crew: this.#crew }
    this.#fuse = this.#start("./fuse-worker.js", data)
    this.#fuse.on("exit", (code) => log.info("serving thread ended", { code }))
  }

  #start(file: string, data: WorkerData): Worker {
    const ports = data.orders === undefined ? [data.sync] : [data.sync, data.orders.port]
    return this.#startWith(file, data, ports)
  }

  #startWith(file: string, data: WorkerData | ServerCrew, ports: MessagePort[]): Worker {
    const worker = new Worker(new URL(file, import.meta.url), {
      workerData: data,
      transferList: ports,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB, maxYoungGenerationSizeMb: 16 },
    })
    worker.on("message", (report: WorkerReport) => this.#onReport(report))
    worker.on("error", (thrown) => {
      log.error("a thread failed", { thread: file, reason: describe(thrown), stack: thrown.stack })
      process.exit(ServerExit.CRASHED)
    })
    return worker
  }

  #onReport(report: WorkerReport): void {
    switch (report.kind) {
      case "opened":
        this.#sync = this.#start("./sync-worker.js", {
          config,
          sync: this.#syncPort,
          wake: this.#orders.wakeFd,
        })
        break
      case "serving":
        tell({ kind: "serving" })
        this.scrubbing.begin()
        this.watchVault()
        this.tools
          .beginIfThereAre(async () => (await this.run("tools.there", {})) as boolean)
          .catch((thrown: unknown) => log.error("tools can't be run", { reason: describe(thrown) }))
        break
      case "failed":
        log.error("cannot start", { reason: report.fault.message })
        tell({ kind: "failed", fault: report.fault })
        process.exit(ServerExit.CANNOT_START)
        break
      case "unlocked":
        if (availableParallelism() > 1) this.#helper ??= this.#startWith("./record-helper.js", this.#crew, [])
        break
      case "closed":
        void this.#finish()
        break
      case "flushed":
        this.#flushed(report.id, report.error)
        break
      case "retired":
        this.encryption
          .onRetired(report.id, report.generation)
          .catch((thrown: unknown) => log.error("an earlier key is still kept", { reason: describe(thrown) }))
        break
      case "search":
        void this.#search(report.wanted)
        break
      case "look":
        this.#looks.look(report.wanted)
        break
      case "stale":
        void this.#forget({ entries: [], inodes: [report.node] })
        break
      default:
        unreachable(report)
    }
  }

  /** Trees that the vault opens follow it, from now on. */
  watchVault(): void {
    this.vaultTrees
      .begin()
      .catch((thrown: unknown) => log.error("the vault is not followed", { reason: describe(thrown) }))
  }

  async #search(wanted: Wanted): Promise<void> {
    const done = await searchFor(this.search, wanted, log)
    await this.run("search.done", { ...done }).catch((thrown: unknown) =>
      log.error("a search could not be answered", { reason: describe(thrown) }),
    )
  }

  #flushed(id: number, error: string | undefined): void {
    const waiter = this.#flushes.get(id)
    this.#flushes.delete(id)
    if (error === undefined) waiter?.resolve()
    else waiter?.reject(new Fault("io", error))
  }

  /** Everything committed before the call is on the disk when the promise resolves. */
  flush(last = false): Promise<void> {
    const id = this.#nextFlush
    this.#nextFlush += 1
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Fault("timeout", "the disk does not answer")),
        FLUSH_TIMEOUT_MS,
      )
      this.#flushes.set(id, {
        resolve: () => {
          clearTimeout(timer)
          resolve()
        },
        reject: (fault) => {
          clearTimeout(timer)
          reject(fault)
        },
      })
      this.#sync?.postMessage({ kind: "flush", id, last } satisfies FlushRequest)
    })
  }

  /** The supervisor makes the kernel forget (`supervisor/forgetting.ts`). */
  #forget(stale: Stale): Promise<void> {
    const id = this.#nextForget
    this.#nextForget += 1
    return new Promise((resolve) => {
      this.#forgetting.set(id, resolve)
      tell({ kind: "forget", id, stale })
    })
  }

  forgotten(id: number): void {
    this.#forgetting.get(id)?.()
    this.#forgetting.delete(id)
  }

  /** Starts cleaning; done when the status counts as many orders as this returns. */
  clean(): { order: number } {
    this.#cleaningOrders = Math.max(this.#cleaningOrders, this.#memory.cleaned) + 1
    this.#orders.send({ kind: "clean" })
    return { order: this.#cleaningOrders }
  }

  /** Runs one of `server/desk.ts`'s methods in the serving thread. */
  run(method: string, params: Readonly<Record<string, unknown>>): Promise<unknown> {
    return this.#orders.run(method, params)
  }

  /** Keeps every segment for so many seconds, however many servers come and go. */
  hold(seconds: unknown): void {
    if (typeof seconds !== "number" || !(seconds > 0) || seconds > LONGEST_HOLD)
      throw new Fault("invalid", `"seconds" must be a number above 0 and up to ${LONGEST_HOLD}`)
    this.#memory.hold(seconds)
  }

  status(): unknown {
    return { ...statusOf(config, this.#memory), scrub: this.scrubbing.status }
  }

  /** Unmounted: what was written goes to the disk, then the process ends. */
  async #finish(): Promise<void> {
    try {
      this.vaultTrees[Symbol.dispose]()
      this.#looks[Symbol.dispose]()
      await this.scrubbing.stop(false)
      await Promise.all([this.search?.[Symbol.asyncDispose](), this.tools[Symbol.asyncDispose]()])
      await this.flush(true)
      await this.control?.[Symbol.asyncDispose]()
      process.exitCode = ServerExit.CLOSED
    } catch (thrown) {
      log.error("the last flush failed", { reason: describe(thrown) })
      process.exitCode = ServerExit.CRASHED
    }
    process.exit()
  }

  /** The supervisor is gone: nobody would restart this server, so it leaves in good order. */
  async abandon(): Promise<void> {
    log.error("the supervisor is gone, ending")
    await withLimit(this.encryption.settle(), SETTLE_TIMEOUT_MS).catch((thrown: unknown) =>
      log.error("commit failed", { reason: describe(thrown) }),
    )
    await this.flush().catch((thrown: unknown) => log.error("flush failed", { reason: describe(thrown) }))
    process.exit(ServerExit.CRASHED)
  }
}

/** Rejects with `Fault("timeout")` when `work` takes longer. */
async function withLimit<T>(work: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Fault("timeout", "the serving thread does not answer")), milliseconds)
  })
  return await Promise.race([work, late]).finally(() => clearTimeout(timer))
}

/** A store that has taken the place of the one that was mounted is not served in its stead. */
function requireOwnStore(): void {
  if (isLockOf(config.store, ServerFd.LOCK)) return
  const message = `the store ${config.store} was moved away or replaced while it was mounted`
  log.error("cannot start", { reason: message })
  tell({ kind: "failed", fault: { kind: "io", message, hint: "move it back, or unmount" } })
  process.exit(ServerExit.CANNOT_START)
}

async function start(): Promise<void> {
  requireOwnStore()
  const server = new Server()
  const handlers = new Map<string, Handler>([
    ["status", () => server.status()],
    ["clean", () => server.clean()],
    ["scrub.start", ({ limit }) => (server.scrubbing.start(Number(limit)), {})],
    ["scrub.stop", async () => (await server.scrubbing.stop(true), {})],
    ["scrub.status", () => server.scrubbing.status],
    ["sync", async () => (await server.run("commit", {}), await server.flush(), {})],
    ["hold", ({ seconds }) => (server.hold(seconds), {})],
    ...server.encryption.methods,
    ...toolHandlers(server.tools, config),
  ])
  process.on("disconnect", () => void server.abandon())
  // The event of a channel that closed while modules were being loaded has passed.
  if (!process.connected) void server.abandon()
  process.on("message", (order: ServerOrder) => {
    if (order.kind === "flush") void server.flush().finally(() => tell({ kind: "flushed" }))
    else server.forgotten(order.id)
  })
  // Programs wait for the threads that have just been started; the socket's modules can be loaded meanwhile.
  const api = await import("../api/server.ts")
  const { treeHandlers } = await import("./tree-requests.ts")
  for (const [method, handler] of treeHandlers((name, params) => server.run(name, params)))
    handlers.set(method, handler)
  if (config.index) {
    const { Search, searchHandlers } = await import("./search.ts")
    const search = new Search(config, (name, params) => server.run(name, params), log)
    server.search = search
    for (const [method, handler] of searchHandlers(search)) handlers.set(method, handler)
  }
  const tick = (): void => {
    server
      .run("snapshot.tick", {})
      .catch((thrown: unknown) => log.error("scheduled snapshots failed", { reason: describe(thrown) }))
  }
  setInterval(tick, SCHEDULE_TICK_MS).unref()
  server.control = await api.ControlServer.listen(
    shortSocketPath(config.store, CONTROL_SOCKET),
    handlers,
    log,
  )
}

await start()
