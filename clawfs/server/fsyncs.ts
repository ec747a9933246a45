/**
 * Group commit. An fsync waits until no other request does, the disk is not busy with earlier ones and those are there that are
 * likely to come (`gathering.ts`; one program alone waits for nothing), then one commit serves all fsyncs that have come in, and
 * the sync worker answers them with one flush of the disk.
 * One that comes again after a kill has waited long enough: it is carried out on the spot, before the sync worker has even
 * started.
 */
import { OK, type Status } from "../core/errno.ts"
import { Fault, describe, errnoOfThrown } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import { UNIQUE_RESEND_HIGH, type InHeader } from "../fuse/abi.ts"
import { sendMessage } from "../fuse/channel.ts"
import { LATER } from "../fuse/operations.ts"
import { standaloneReply } from "../fuse/reply.ts"
import type { Store } from "../store/store.ts"
import { Disk } from "./disk.ts"
import { ServerFd, type Fsync, type SyncMessage } from "./messages.ts"
import { Gathering } from "./gathering.ts"
import { monotonicSeconds, type SessionMemory } from "./session-memory.ts"

/** Requests that may be served while an fsync waits for its commit. */
const MOST_BETWEEN = 64
/** How often a free slot is looked for when all are taken. */
const SLOT_WAIT_MS = 1

export class Fsyncs {
  readonly #memory: SessionMemory
  readonly #store: Store
  readonly #post: (message: SyncMessage) => void
  readonly #log: Log
  readonly #disk: Disk
  readonly #gathering = new Gathering()
  #waiting: Fsync[] = []
  #since = 0

  constructor(memory: SessionMemory, store: Store, post: (message: SyncMessage) => void, log: Log) {
    this.#memory = memory
    this.#store = store
    this.#post = post
    this.#log = log
    this.#disk = new Disk(store.directory, memory)
  }

  add(request: InHeader): typeof LATER | Status {
    const { uniqueLow, uniqueHigh } = request
    if ((uniqueHigh & UNIQUE_RESEND_HIGH) !== 0) {
      this.#store.commit()
      this.#disk.sync()
      return OK
    }
    const slot = this.#slot()
    this.#memory.begin(slot, uniqueLow, uniqueHigh)
    this.#waiting.push({ slot, uniqueLow, uniqueHigh })
    this.#memory.fsyncsWait = this.#waiting.length
    return LATER
  }

  /** All slots are taken: the sync worker gives one back as soon as the disk has answered. */
  #slot(): number {
    for (;;) {
      const slot = this.#memory.freeSlot()
      if (slot !== undefined) return slot
      this.flush()
      Atomics.wait(NOTHING, 0, 0, SLOT_WAIT_MS)
    }
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0
  }

  /** A request was served. */
  onRequest(): void {
    if (this.#waiting.length === 0) return
    this.#since += 1
    if (this.#since > MOST_BETWEEN) this.flush()
  }

  /**
   * To be called when no request is there, or the disk has got free. Returns the seconds after which it is to be called again;
   * 0: then.
   */
  onDrained(): number {
    if (this.#waiting.length === 0 || this.#memory.isFlushing) return 0
    const seconds = this.#gathering.wait(this.#memory.lastFlush, this.#waiting.length, monotonicSeconds())
    if (seconds === 0) this.flush()
    return seconds
  }

  /** Commits, and hands the waiting fsyncs to the sync worker. */
  flush(): void {
    this.#memory.fsyncsWait = 0
    if (this.#waiting.length === 0) return
    const requests = this.#waiting
    this.#waiting = []
    this.#since = 0
    try {
      this.#store.commit()
    } catch (thrown) {
      this.#fail(requests, thrown)
      return
    }
    // The sync worker's to take back. It takes a moment to begin, in which no other batch should.
    this.#memory.isFlushing = true
    this.#post({ kind: "fsync", requests })
  }

  #fail(requests: readonly Fsync[], thrown: unknown): void {
    if (!(thrown instanceof Fault && thrown.kind === "no-space"))
      this.#log.error("commit failed", { reason: describe(thrown) })
    const errno = errnoOfThrown(thrown)
    for (const { slot, uniqueLow, uniqueHigh } of requests) {
      const message = standaloneReply(errno, uniqueLow, uniqueHigh)
      sendMessage(ServerFd.FUSE, message, message.length, this.#log)
      this.#memory.end(slot)
    }
  }
}

const NOTHING = new Int32Array(new SharedArrayBuffer(4))
