/**
 * Whatever may wait for the disk: fsync replies, the flush that bounds what a power cut can take, checkpoints, deleting
 * dead segments. Data goes to the disk before the metadata that names it: segments first, then the WAL.
 */
import { statSync } from "node:fs"
import { join } from "node:path"
import { parentPort, workerData } from "node:worker_threads"
import { present } from "../core/assert.ts"
import { E, OK } from "../core/errno.ts"
import { describe } from "../core/fault.ts"
import { Log } from "../core/log.ts"
import { sendMessage } from "../fuse/channel.ts"
import { standaloneReply } from "../fuse/reply.ts"
import { Database } from "../store/database.ts"
import { META } from "../store/store.ts"
import {
  ServerFd,
  type FlushRequest,
  type Fsync,
  type SyncMessage,
  type WorkerData,
  type WorkerReport,
} from "./messages.ts"
import { WakeUp } from "../sys/wake-up.ts"
import { Disk } from "./disk.ts"
import { SessionMemory, monotonicSeconds } from "./session-memory.ts"

const TICK_MS = 100
/** A longer WAL is folded back into the database. */
const CHECKPOINT_BYTES = 4 * 1024 * 1024

const { config, sync, wake } = workerData as WorkerData
const main = present(parentPort, "parent port")
const log = new Log("sync", { level: config.logLevel })
const memory = new SessionMemory(ServerFd.MEMORY)
const disk = new Disk(config.store, memory)
/** Pins a snapshot during a checkpoint, so that no later commit gets into the database before its data is synced. */
const pin = new Database(join(config.store, META), { readonly: true })
const checkpointer = config.readOnly ? undefined : new Database(join(config.store, META))

const waiting: Fsync[] = []
const dead: number[] = []
let syncedCommits = -1
let syncedAt = performance.now()
let scheduled = false

/** The commits that emptied them are durable. */
const deletable: number[] = []
/** The disk is full: programs go before a backup, which takes a newer moment if it misses a segment. */
let isPressed = false

/** Makes everything that was committed before the call durable. `isLast`: nobody comes after us to delete anything. */
function syncAll(isLast = false): void {
  const commits = memory.commits
  const gone = dead.splice(0)
  if (commits !== syncedCommits) {
    disk.sync()
    syncedCommits = commits
  }
  syncedAt = performance.now()
  deletable.push(...gone)
  if (!memory.isHeld || isPressed || isLast) deleteSegments()
}

function deleteSegments(): void {
  isPressed = false
  disk.delete(deletable)
  deletable.length = 0
}

/** The disk is free. */
function endFlush(): void {
  memory.isFlushing = false
}

/** Those that have waited for it are next. */
function wakeWaiting(): void {
  if (memory.fsyncsWait > 0) new WakeUp(wake).signal()
}

/** Every fsync that has come in while the disk was busy is answered by one flush. */
function answerWaiting(): void {
  scheduled = false
  const batch = waiting.splice(0)
  if (batch.length === 0) return
  let status: typeof OK | typeof E.EIO = OK
  memory.isFlushing = true
  const begun = monotonicSeconds()
  try {
    syncAll()
  } catch (thrown) {
    log.error("sync failed", { reason: describe(thrown) })
    status = E.EIO
  }
  memory.noteFlush(begun, batch.length)
  endFlush()
  for (const { slot, uniqueLow, uniqueHigh } of batch) {
    const message = standaloneReply(status, uniqueLow, uniqueHigh)
    sendMessage(ServerFd.FUSE, message, message.length, log)
    memory.end(slot)
  }
  // After the answers: whoever gets one may be waited for.
  wakeWaiting()
}

/** Copies the WAL's older part into the database, without stopping the writer. */
function checkpoint(): void {
  if (checkpointer === undefined) return
  pin.begin()
  try {
    pin.query("SELECT 1 FROM state").get()
    disk.syncLog()
    copy(checkpointer)
  } finally {
    pin.rollback()
  }
}

/** SQLite syncs the WAL first: if that fails, nobody else would be told of it again. */
function copy(database: Database): void {
  try {
    database.checkpoint("PASSIVE")
  } catch (thrown) {
    memory.isInDoubt = true
    throw thrown
  }
}

function tick(): void {
  try {
    if (performance.now() - syncedAt >= config.flushSeconds * 1000) syncAll()
    if ((statSync(disk.walPath, { throwIfNoEntry: false })?.size ?? 0) > CHECKPOINT_BYTES && walMoved())
      checkpoint()
    isFailing = false
  } catch (thrown) {
    // Tried again at every tick; told once.
    if (!isFailing) {
      log.error("background flush failed", { reason: describe(thrown) })
      // The serving thread may sleep, and has something to write again.
      new WakeUp(wake).signal()
    }
    isFailing = true
  }
}

let isFailing = false

let checkpointedCommits = -1

/** A WAL that was folded back keeps its file size until it is written again: nothing to do then. */
function walMoved(): boolean {
  const moved = memory.commits !== checkpointedCommits
  checkpointedCommits = memory.commits
  return moved
}

sync.on("message", (message: SyncMessage) => {
  if (message.kind === "written") {
    beginToWrite(message.from, message.to)
    return
  }
  if (message.kind === "dead") {
    dead.push(...message.segments)
    // Freed once the commits that emptied them are durable, even if nothing else is written.
    syncedCommits = -1
    if (message.isUrgent) {
      syncedAt = -Infinity
      isPressed = true
    }
    return
  }
  waiting.push(...message.requests)
  if (scheduled) return
  scheduled = true
  setImmediate(answerWaiting)
})

/** Something that helps only: what is wrong with the disk comes out with the next sync. */
function beginToWrite(from: number, to: number): void {
  try {
    disk.begin(from, to)
  } catch (thrown) {
    log.debug("writing does not begin early", { reason: describe(thrown) })
  }
}

/** The serving thread has closed its connection: a store that is not in use has no WAL. */
function closeDatabase(): void {
  clearInterval(ticker)
  checkpointer?.checkpoint("TRUNCATE")
  pin[Symbol.dispose]()
  checkpointer?.[Symbol.dispose]()
}

main.on("message", ({ id, last }: FlushRequest) => {
  const answer = (error?: string): void => {
    const report: WorkerReport =
      error === undefined ? { kind: "flushed", id } : { kind: "flushed", id, error }
    main.postMessage(report)
  }
  try {
    syncAll(last)
    if (last) closeDatabase()
    answer()
  } catch (thrown) {
    answer(describe(thrown))
  }
})

// A server that was killed may have left it set.
endFlush()
wakeWaiting()
const ticker = setInterval(tick, TICK_MS)
