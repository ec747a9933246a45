/**
 * The serving thread: a blocking loop over /dev/fuse. Owns the store's only writing connection. It never waits for the
 * disk (fsync goes to the sync worker), never sends notifications (that can deadlock with the request being served) and
 * never touches its own mount.
 */
import { parentPort, workerData } from "node:worker_threads"
import { present } from "../core/assert.ts"
import { E } from "../core/errno.ts"
import { Fault } from "../core/fault.ts"
import { Log } from "../core/log.ts"
import type { Environment } from "../fs/environment.ts"
import { FileSystem } from "../fs/filesystem.ts"
import { Lookups } from "../fs/lookups.ts"
import { VirtualFiles } from "../fs/virtual.ts"
import type { InHeader } from "../fuse/abi.ts"
import { CLOSED, Channel, invalidateAttributes, requestResend, sendMessage } from "../fuse/channel.ts"
import { LATER } from "../fuse/operations.ts"
import { NOTHING, Protocol } from "../fuse/protocol.ts"
import { standaloneReply } from "../fuse/reply.ts"
import { hasResend } from "../fuse/session.ts"
import { Store } from "../store/store.ts"
import {
  ServerFd,
  type ServerConfig,
  type SyncMessage,
  type WorkerData,
  type WorkerReport,
} from "./messages.ts"
import { LOOKUP_BASE, SessionMemory } from "./session-memory.ts"
import { statusText } from "./status.ts"

/** Lazily kept access times and unlinked inodes are written after so long without a request. */
const QUIET_MS = 1000
const REQUESTS_BETWEEN_TIDY = 256

const { config, sync } = workerData as WorkerData
const main = present(parentPort, "parent port")
const log = new Log("fuse", { level: config.logLevel })

function report(message: WorkerReport): void {
  main.postMessage(message)
}

function post(message: SyncMessage): void {
  sync.postMessage(message)
}

/** Dies like a crash would, at the worst moment: after the commit, before the reply. */
function killer(once: number, memory: SessionMemory, store: () => Store): () => void {
  return () => {
    memory.countCommit(store().currentSegment)
    if (once === 0 || Math.random() * once >= 1) return
    process.kill(process.pid, "SIGKILL")
    for (;;);
  }
}

function openEnvironment(memory: SessionMemory, settings: ServerConfig): Environment {
  const store: Store = Store.open(settings.store, {
    readOnly: settings.readOnly,
    afterCommit: killer(settings.killAfterCommit, memory, () => store),
  })
  const lookups = new Lookups(memory.fd, LOOKUP_BASE, memory.lookupHeader)
  return {
    store,
    lookups,
    counted: memory.counted,
    orphans: new Set(),
    accessed: new Set(),
    writeback: memory.agreement?.writeback ?? settings.writeback,
    invalidateAttributes: (node) => invalidateAttributes(ServerFd.FUSE, node, log),
    syncLater: (request: InHeader) => deferSync(memory, request),
  }
}

function deferSync(memory: SessionMemory, request: InHeader): typeof LATER | typeof E.EAGAIN {
  const slot = memory.freeSlot()
  if (slot === undefined) return E.EAGAIN
  memory.begin(slot, request.uniqueLow, request.uniqueHigh)
  post({ kind: "fsync", slot, uniqueLow: request.uniqueLow, uniqueHigh: request.uniqueHigh })
  return LATER
}

/** Unlinked inodes that the kernel does not hold go; those that it holds wait for FORGET. */
function adoptOrphans(env: Environment): void {
  if (env.store.readOnly) return
  for (const ino of env.store.inodes.orphans()) {
    if (env.lookups.get(ino) === 0) env.store.release(ino)
    else env.orphans.add(ino)
  }
}

/** Gets hold of what a killed server owed: asked for again, or on older kernels answered with EIO. */
function takeOver(memory: SessionMemory): void {
  const agreement = memory.agreement
  if (agreement === undefined) {
    requestResend(ServerFd.FUSE, log)
    return
  }
  const owed = memory.takeInFlight()
  if (hasResend(agreement)) {
    requestResend(ServerFd.FUSE, log)
    return
  }
  for (const { uniqueLow, uniqueHigh } of owed) {
    const message = standaloneReply(E.EIO, uniqueLow, uniqueHigh)
    sendMessage(ServerFd.FUSE, message, message.length, log)
  }
  log.error("requests in flight failed with EIO: this kernel cannot resend them", { requests: owed.length })
}

function serve(): void {
  using memory = new SessionMemory(ServerFd.MEMORY)
  const env = openEnvironment(memory, config)
  report({ kind: "opened" })
  const sources = new Map([[".status", (): string => statusText(config, memory, env.store.space())]])
  const fs = new FileSystem(env, new VirtualFiles(sources, Math.floor(Date.now() / 1000) * 2 ** 20))
  const channel = new Channel(ServerFd.FUSE, log)
  memory.currentSegment = env.store.currentSegment
  if (memory.agreement === undefined) {
    memory.syncedSegment = env.store.currentSegment
    if (!config.readOnly) env.store.clearReply()
  }
  adoptOrphans(env)
  const protocol = new Protocol(fs, channel.request, channel.reply, {
    writeback: config.writeback,
    openIsAsked: config.openIsAsked,
    replay: {
      answer(request, kind) {
        const answer = fs.answer(request, kind)
        if (answer !== undefined) memory.countReplay()
        return answer
      },
    },
    log,
    onAgreement: (agreement) => {
      memory.setAgreement(agreement)
      report({ kind: "serving" })
    },
    resumed: memory.agreement,
  })
  if (config.restarts > 0) takeOver(memory)
  if (memory.agreement !== undefined) report({ kind: "serving" })
  loop(channel, protocol, memory, env, fs)
  fs.settle()
  env.store[Symbol.dispose]()
  report({ kind: "closed" })
}

function loop(
  channel: Channel,
  protocol: Protocol,
  memory: SessionMemory,
  env: Environment,
  fs: FileSystem,
): void {
  const onQuiet = (): number => {
    const waiting = env.accessed.size > 0 || env.store.hasWork
    if (!waiting) return -1
    if (!quiet) {
      quiet = true
      return QUIET_MS
    }
    settle(fs)
    return -1
  }
  let quiet = false
  for (let handled = 0; ; handled += 1) {
    const length = channel.receive(onQuiet)
    if (length === CLOSED) return
    quiet = false
    const opcode = channel.request.readUInt32LE(4)
    memory.begin(0, channel.request.readUInt32LE(8), channel.request.readUInt32LE(12))
    const reply = protocol.handle(length)
    if (reply !== NOTHING) channel.send(reply)
    memory.end(0)
    memory.countAnswer(opcode)
    if (handled % REQUESTS_BETWEEN_TIDY === 0) tidy(env, memory)
  }
}

/** Housekeeping must not end the server: a full disk delays it, that is all. */
function settle(fs: FileSystem): void {
  try {
    fs.settle()
  } catch (thrown) {
    log.error("housekeeping failed", { reason: String(thrown) })
  }
}

function tidy(env: Environment, memory: SessionMemory): void {
  memory.orphans = env.orphans.size
  try {
    env.store.tidy()
  } catch (thrown) {
    log.error("checkpoint failed", { reason: String(thrown) })
  }
  const segments = env.store.takeDeadSegments()
  if (segments.length > 0) post({ kind: "dead", segments })
}

try {
  serve()
} catch (thrown) {
  // A store that can't be opened is told apart from a crash: starting again would not help.
  if (!(thrown instanceof Fault) || thrown.kind === "bug") throw thrown
  report({ kind: "failed", fault: { kind: thrown.kind, message: thrown.message, hint: thrown.hint } })
}
