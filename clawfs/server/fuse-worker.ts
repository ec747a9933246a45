/**
 * The serving thread: a blocking loop over /dev/fuse. Owns the store's only writing connection. It never waits for the
 * disk (fsync goes to the sync worker), sends no notification that could wait for the request being served, and never
 * touches its own mount.
 */
import { parentPort, workerData } from "node:worker_threads"
import { present } from "../core/assert.ts"
import { E } from "../core/errno.ts"
import { Fault, Rebuilt, describe, kindOfThrown, type FaultKind } from "../core/fault.ts"
import { Log } from "../core/log.ts"
import type { Environment } from "../fs/environment.ts"
import { FileSystem } from "../fs/filesystem.ts"
import { Listings } from "../fs/listings.ts"
import { Lookups } from "../fs/lookups.ts"
import { adoptOrphans } from "../fs/orphans.ts"
import { findIfThere } from "../fs/path.ts"
import { Removal } from "../fs/removal.ts"
import { SearchDirectories } from "../fs/search-directories.ts"
import { VirtualFiles, VirtualNodes } from "../fs/virtual.ts"
import { CLOSED, Channel, invalidateAttributes, requestResend, sendMessage } from "../fuse/channel.ts"
import { NOTHING_STALE } from "../fuse/notify.ts"
import { NOTHING, Protocol, type Replay } from "../fuse/protocol.ts"
import { standaloneReply } from "../fuse/reply.ts"
import { hasResend, type Agreement } from "../fuse/session.ts"
import { RecordCrew } from "../../keyring/record-crew.ts"
import { useRecordWorker } from "../../keyring/record-jobs.ts"
import { sealInto } from "../store/record-sealing.ts"
import { Store } from "../store/store.ts"
import type { Moment } from "../store/transactions.ts"
import { ToolPlaces } from "../tools/places.ts"
import { CpuLatency } from "../sys/cpu-latency.ts"
import { WakeUp } from "../sys/wake-up.ts"
import { Cleaning } from "./cleaning.ts"
import { Desk, type Method, type Outcome } from "./desk.ts"
import { EarlyWriteback } from "./early-writeback.ts"
import { Good } from "./good.ts"
import { Fsyncs } from "./fsyncs.ts"
import { KeyOrders } from "./key-orders.ts"
import { ServerFd, type Looked, type SyncMessage, type WorkerData, type WorkerReport } from "./messages.ts"
import { Parked } from "./parked.ts"
import { raisePriority } from "./priority.ts"
import { Replayer } from "./replayer.ts"
import type { SearchDone } from "./search-requests.ts"
import { SecondTries } from "./second-tries.ts"
import { LOOKUP_BASE, SessionMemory } from "./session-memory.ts"
import { statusText } from "./status.ts"
import { treeMethods } from "./tree-methods.ts"
import { WriteGuard } from "./write-guard.ts"

/** Access times and the rows of unlinked inodes are written after so long without a request. */
const QUIET_MS = 1000
const REQUESTS_BETWEEN_TIDY = 1024
/** struct fuse_out_header */
const REPLY_ERROR_AT = 4
/** Names of a deleted snapshot in one slice: some 5 ms. */
const REMOVAL_SLICE = 256
const REQUESTS_ON_FULL_DISK = 64

const { config, sync, wake, orders: given, crew: shared } = workerData as WorkerData
const orders = present(given, "orders")
const crew = present(shared, "crew")
const main = present(parentPort, "parent port")
const log = new Log("fuse", { level: config.logLevel })

/** `moved`: memory that goes along instead of being copied. */
function report(message: WorkerReport, moved: readonly ArrayBuffer[] = []): void {
  main.postMessage(message, moved)
}

function post(message: SyncMessage): void {
  sync.postMessage(message)
}

/** Dies like a crash would, at the worst moments: after the answer is fixed and before it is sent, after a commit. */
function onMoment(moment: Moment, memory: SessionMemory, store: Store): void {
  if (moment === "committed") memory.publish(store)
  const once = config.killAfterCommit
  if (once === 0 || Math.random() * once >= 1) return
  process.kill(process.pid, "SIGKILL")
  for (;;);
}

function openEnvironment(memory: SessionMemory): [Environment, Fsyncs, WriteGuard] {
  const store: Store = Store.open(config.store, {
    readOnly: config.readOnly,
    onMoment: (moment) => onMoment(moment, memory, store),
    logSynced: () => memory.logSynced,
    onLogEnd: (end) => (memory.logEnd = end),
    onFailedSync: () => (memory.isInDoubt = true),
    log,
  })
  const fsyncs = new Fsyncs(memory, store, post, log)
  const guard = new WriteGuard(
    store,
    (wanted) => report({ kind: "look", wanted }, [wanted.bytes.buffer as ArrayBuffer]),
    (node) => report({ kind: "stale", node }),
  )
  const env: Environment = {
    store,
    lookups: new Lookups(memory.fd, LOOKUP_BASE, memory.lookupHeader),
    counted: memory.counted,
    listings: new Listings(memory.listings),
    orphans: new Set(),
    refusals: { early: 0 },
    accessed: new Set(),
    writeback: memory.agreement?.writeback ?? config.writeback,
    invalidateAttributes: (node) => {
      if (!store.isReplaying) invalidateAttributes(ServerFd.FUSE, node, log)
    },
    guard: (request, write) => guard.check(request, write),
    syncLater: (request) => fsyncs.add(request),
  }
  return [env, fsyncs, guard]
}

/** Does again what an earlier server had answered and not committed, and buries what nobody holds any more. */
function recover(fs: FileSystem, env: Environment, memory: SessionMemory): void {
  const { store } = env
  const replayer = new Replayer(fs, log)
  const again = store.beginBatching((request, flags) => replayer.execute(request, flags))
  if (again > 0) log.info("answered requests were executed again", { requests: again })
  const agreement = memory.agreement
  if (agreement === undefined) store.clearReply()
  else store.armJournal(agreement.flags)
  store.settle()
  adoptOrphans(env, agreement !== undefined)
}

/** Gets hold of what a killed server owed: asked for again, or on older kernels answered with EIO. */
function takeOver(memory: SessionMemory): void {
  const owed = memory.takeInFlight()
  const agreement = memory.agreement
  if (agreement === undefined || hasResend(agreement)) {
    requestResend(ServerFd.FUSE, log)
    return
  }
  for (const { uniqueLow, uniqueHigh } of owed) {
    const message = standaloneReply(E.EIO, uniqueLow, uniqueHigh)
    sendMessage(ServerFd.FUSE, message, message.length, log)
  }
  log.error("requests in flight failed with EIO: this kernel cannot resend them", { requests: owed.length })
}

function replayOf(fs: FileSystem, memory: SessionMemory): Replay {
  return {
    catchUp: () => fs.catchUp(),
    answer(request, kind) {
      const answer = fs.answer(request, kind)
      if (answer !== undefined) memory.countReplay()
      return answer
    },
  }
}

function serve(): void {
  using memory = new SessionMemory(ServerFd.MEMORY)
  useRecordWorker(new RecordCrew(crew.memory))
  sealInto(crew.payloads)
  const [env, fsyncs, guard] = openEnvironment(memory)
  const sources = new Map([[".status", (): string => statusText(config, memory)]])
  const nodes = new VirtualNodes(Math.floor(Date.now() / 1000) * 2 ** 20)
  const searches = config.index
    ? new SearchDirectories(env.store, nodes, (wanted) => report({ kind: "search", wanted }))
    : undefined
  const [parked, looks] = [new Parked(memory), new Parked(memory)]
  const fs = new FileSystem(env, new VirtualFiles(sources, nodes), nodes, searches)
  memory.publish(env.store)
  if (memory.agreement === undefined) memory.logSynced = env.store.logSynced
  const keys = new KeyOrders(env, report, log)
  // The journal may have what an earlier server did in encrypted trees.
  keys.adopt()
  if (!config.readOnly) recover(fs, env, memory)
  report({ kind: "opened" })
  using latency = config.powerSave ? undefined : new CpuLatency(log)
  const buffers = { request: Buffer.from(crew.request), reply: Buffer.from(crew.reply) }
  const channel = new Channel(ServerFd.FUSE, log, { latency, wake: new WakeUp(wake), buffers })
  const protocol = new Protocol(fs, channel.request, channel.reply, {
    writeback: config.writeback,
    openIsAsked: config.openIsAsked,
    replay: replayOf(fs, memory),
    log,
    onAgreement: (agreement) => {
      memory.setAgreement(agreement)
      armJournal(env, agreement)
      if (!hasResend(agreement))
        log.error("this kernel can't resend requests: those in flight at a crash will get EIO")
      report({ kind: "serving" })
    },
    resumed: memory.agreement,
  })
  if (config.restarts > 0) takeOver(memory)
  if (memory.agreement !== undefined) report({ kind: "serving" })
  const [cleaning, removal] = [new Cleaning(env.store, memory, log), new Removal(env)]
  const methods = new Map<string, Method>([
    ...treeMethods(env, removal, log),
    ["commit", () => commitNow(env)],
    ["feed.trim", ({ seq }: { seq: number }) => trimFeed(env, seq)],
    keys.method,
    ["tools.there", () => ({ value: hasTools(env), stale: NOTHING_STALE })],
    ["search.done", (found: SearchDone) => endSearch(found, searches, parked)],
    ["guard.done", (looked: Looked) => endLook(looked, guard, looks)],
  ])
  const desk = new Desk(orders.port, methods, cleaning, log)
  const good = new Good(env.store, memory, log)
  const parts = { keys, cleaning, removal, desk, good, searches, parked, guard, looks }
  loop(channel, protocol, { memory, env, fs, fsyncs, ...parts })
  fs.settle()
  env.store[Symbol.dispose]()
  report({ kind: "closed" })
}

/** The kernel only learns that INIT has failed, and whoever mounts would wait for ever: the loop ends with `refusal`. */
function armJournal({ store }: Environment, { flags }: Agreement): void {
  try {
    store.armJournal(flags)
  } catch (thrown) {
    refusal = thrown instanceof Fault ? thrown : new Fault(kindOfThrown(thrown), describe(thrown))
    throw thrown
  }
}

let refusal: Fault | undefined

interface Served {
  readonly memory: SessionMemory
  readonly env: Environment
  readonly fs: FileSystem
  readonly fsyncs: Fsyncs
  readonly keys: KeyOrders
  readonly cleaning: Cleaning
  readonly removal: Removal
  readonly desk: Desk
  readonly good: Good
  readonly searches: SearchDirectories | undefined
  readonly parked: Parked
  readonly guard: WriteGuard
  /** Writes that wait for one. */
  readonly looks: Parked
}

function loop(channel: Channel, protocol: Protocol, served: Served): void {
  const { memory, env, fs, fsyncs, keys, cleaning, removal, desk, good, parked, guard, looks } = served
  let isQuiet = false
  const writeback = new EarlyWriteback(env.store.logEnd, post)
  /** Answers the request in the channel's buffer, unless it is to be tried once more. */
  const serve = (length: number, isLastTry: boolean): void => {
    const { request } = channel
    const opcode = request.readUInt32LE(4)
    memory.begin(0, request.readUInt32LE(8), request.readUInt32LE(12))
    env.refusals.early = 0
    env.store.beginRequest(request, length)
    const reply = protocol.handle(length)
    env.store.endRequest()
    const isRefused = env.refusals.early > 0 && channel.reply.readInt32LE(REPLY_ERROR_AT) + E.EDQUOT === 0
    const isHeld = isRefused && !isLastTry && secondTries.hold(request.subarray(0, length))
    const isParked = park(served, request.subarray(0, length))
    if (reply !== NOTHING && !isHeld) channel.send(reply)
    memory.end(0)
    if (!isHeld && !isParked) memory.countAnswer(opcode)
  }
  for (const each of [parked, looks]) each.serve = (bytes) => serve(bytes.copy(channel.request), true)
  const secondTries = new SecondTries(memory, (bytes) => serve(bytes.copy(channel.request), true))
  const onDrained = (): number => {
    secondTries.run()
    if (fsyncs.isWaiting) good.make()
    return fsyncs.onDrained()
  }
  // The batch is committed where the stream of requests pauses; the rest can wait for a longer pause.
  const onQuiet = (): number => {
    desk.take()
    if (!commit(env)) return QUIET_MS
    const wait = good.make()
    if (wait !== undefined) return wait
    if (env.store.isTight) tidy(served)
    if (removal.mayHaveWork && removeSome(removal)) return 0
    const pause = keys.onQuiet() ?? cleaning.onQuiet()
    passOnDeadSegments(env)
    memory.orphans = env.orphans.size
    if (pause !== undefined) return pause
    if (env.accessed.size === 0 && !env.store.hasWork) return -1
    if (isQuiet) {
      settle(fs)
      passOnDeadSegments(env)
    }
    isQuiet = !isQuiet
    return isQuiet ? QUIET_MS : -1
  }
  for (let handled = 1; ; handled += 1) {
    const length = channel.receive(onDrained, onQuiet)
    if (length === CLOSED) return
    isQuiet = false
    serve(length, false)
    if (refusal !== undefined) throw refusal
    secondTries.onRequest()
    fsyncs.onRequest()
    writeback.onRequest(env.store.logEnd)
    // Answers don't wait for a pause.
    if (guard.isWaiting) desk.take()
    if (fs.mustSettle) settle(fs)
    if (handled % (env.store.isTight ? REQUESTS_ON_FULL_DISK : REQUESTS_BETWEEN_TIDY) === 0) tidy(served)
  }
}

/** A request that needs an answer from elsewhere is put aside. True: this is one. */
function park({ searches, parked, guard, looks }: Served, request: Buffer): boolean {
  const search = searches?.takeAwaited()
  if (search !== undefined) parked.hold(search, request)
  const look = guard.takeAwaited()
  if (look !== undefined) looks.hold(look, request)
  return search !== undefined || look !== undefined
}

/** True when there is more to remove. A full disk delays it. */
function removeSome(removal: Removal): boolean {
  try {
    return removal.slice(REMOVAL_SLICE) > 0
  } catch (thrown) {
    if (!(thrown instanceof Rebuilt)) log.error("removing waits", { reason: describe(thrown) })
    return false
  }
}

/** Everything answered so far; a full disk is the caller's to hear of, and nothing is lost by it. */
function commitNow(env: Environment): Outcome {
  env.store.commit()
  return { value: { feedLast: env.store.counters.feedLast }, stale: NOTHING_STALE }
}

/** A search of a directory of `.search` has ended: who waits for it is answered. */
function endSearch(done: SearchDone, searches: SearchDirectories | undefined, parked: Parked): Outcome {
  searches?.answer(done.node, done.found)
  parked.release(done.node)
  return { value: {}, stale: { entries: searches?.expired() ?? [], inodes: [] } }
}

/** Somebody has looked at what is to be written to a guarded directory: its program is answered. */
function endLook(looked: Looked, guard: WriteGuard, looks: Parked): Outcome {
  guard.answer(looked, (key) => looks.release(key))
  return { value: {}, stale: NOTHING_STALE }
}

/** The index has followed the change feed up to `seq`. */
function trimFeed({ store }: Environment, seq: number): Outcome {
  let hasMore = false
  if (!store.readOnly) store.housekeep(() => (hasMore = store.feed.trim(seq)))
  return { value: { hasMore }, stale: NOTHING_STALE }
}

/** Whether any tool was ever registered on this mount. */
function hasTools(env: Environment): boolean {
  return findIfThere(env, Buffer.from(new ToolPlaces("/").registry)) !== undefined
}

/** Ends the batch; false when the disk is full or fails: the journal keeps it, and it is tried again. */
function commit(env: Environment): boolean {
  try {
    env.store.commit()
    isCommitTold = false
    return true
  } catch (thrown) {
    const kind = kindOfThrown(thrown)
    if (!OF_THE_DISK.includes(kind)) throw thrown
    if (kind !== "no-space" && !isCommitTold) log.error("commit failed", { reason: describe(thrown) })
    isCommitTold = true
    return false
  }
}

let isCommitTold = false
/** What a disk does to a commit. SQLite takes a page that it can't read for a damaged one. */
const OF_THE_DISK: readonly FaultKind[] = ["no-space", "io", "read-only", "corrupt"]

/** Access times and unlinked inodes must not end the server: a full disk delays them, that is all. */
function settle(fs: FileSystem): void {
  try {
    fs.settle()
  } catch (thrown) {
    log.error("housekeeping failed", { reason: describe(thrown) })
  }
}

function tidy({ env, memory, cleaning, removal, desk }: Served): void {
  desk.take()
  if (removal.mayHaveWork) removeSome(removal)
  cleaning.onLoad()
  memory.orphans = env.orphans.size
  try {
    env.store.tidy()
  } catch (thrown) {
    log.error("checkpoint failed", { reason: describe(thrown) })
  }
  passOnDeadSegments(env)
}

function passOnDeadSegments(env: Environment): void {
  const segments = env.store.takeDeadSegments()
  if (segments.length > 0) post({ kind: "dead", segments, isUrgent: env.store.isTight })
}

try {
  raisePriority(log)
  serve()
} catch (thrown) {
  // A store that can't be opened is told apart from a crash: starting again would not help.
  if (!(thrown instanceof Fault) || thrown.kind === "bug") throw thrown
  report({ kind: "failed", fault: { kind: thrown.kind, message: thrown.message, hint: thrown.hint } })
}
