/**
 * The serving thread without a thread and without a device: store, journal, filesystem and protocol put together as
 * clawfs/server/fuse-worker.ts does, so that it can be killed at any moment and started again.
 */
import { cpSync } from "node:fs"
import { join } from "node:path"
import type { Environment } from "../../../clawfs/fs/environment.ts"
import { FileSystem } from "../../../clawfs/fs/filesystem.ts"
import { LISTING_WORDS, Listings } from "../../../clawfs/fs/listings.ts"
import { LOOKUP_BYTES, Lookups, type LookupHeader } from "../../../clawfs/fs/lookups.ts"
import { adoptOrphans } from "../../../clawfs/fs/orphans.ts"
import { VirtualFiles, VirtualNodes } from "../../../clawfs/fs/virtual.ts"
import { OK } from "../../../clawfs/core/errno.ts"
import { Flag } from "../../../clawfs/fuse/flags.ts"
import { Protocol } from "../../../clawfs/fuse/protocol.ts"
import { Replayer } from "../../../clawfs/server/replayer.ts"
import { META, Store } from "../../../clawfs/store/store.ts"
import type { Moment } from "../../../clawfs/store/transactions.ts"
import { close } from "../../../clawfs/sys/libc.ts"
import { createSharedMemory } from "../../../clawfs/sys/shared-memory.ts"
import { QuietLog } from "./log.ts"
import { CAPACITY } from "./operations.ts"
import { readReply, type ReplyHead } from "./requests.ts"
import { temporaryStore } from "./temporary.ts"

export type Answer = (ReplyHead & { payload: Buffer }) | undefined

export interface ServerOptions {
  /** Whether the server is killed at this moment: after an answer was fixed, or after a commit. */
  readonly killsAt?: (moment: Moment) => boolean
  /** No kernel has agreed on anything yet: the first server of a mount. */
  readonly isFirst?: boolean
  /** A store that is not in use, to begin with a copy of. */
  readonly copyOf?: string
  /** Unlocks trees by the keys that the kernel has kept, before the journal is executed again. */
  readonly adopt?: (store: Store) => void
}

const FLAGS = Flag.SETXATTR_EXT | Flag.HAS_RESEND

/** A request whose server was killed: its answer never came. */
export const KILLED = "killed"

export class TestServer implements Disposable {
  readonly #place = temporaryStore()
  readonly #memory = createSharedMemory("clawfs-unit", LOOKUP_BYTES)
  readonly #listings = new Listings(new Uint32Array(LISTING_WORDS))
  readonly #header: LookupHeader = { log: 0, used: 0 }
  readonly #counted = { uniqueLow: 0, uniqueHigh: 0 }
  readonly #request = Buffer.alloc(CAPACITY)
  readonly #reply = Buffer.alloc(CAPACITY)
  readonly #killsAt: (moment: Moment) => boolean
  readonly #adopt: (store: Store) => void
  readonly log = new QuietLog()
  #isKilled = false
  #isArmed = false
  #env: Environment
  #fs: FileSystem
  #protocol: Protocol
  /** How many requests the present server has executed again at its start. */
  replayed = 0

  constructor({ killsAt = (): boolean => false, isFirst = false, copyOf, adopt }: ServerOptions = {}) {
    this.#killsAt = killsAt
    this.#adopt = adopt ?? (() => undefined)
    this.#place.store[Symbol.dispose]()
    if (copyOf !== undefined) cpSync(join(copyOf, META), join(this.directory, META))
    ;[this.#env, this.#fs, this.#protocol] = this.#start(isFirst)
  }

  get store(): Store {
    return this.#env.store
  }

  get env(): Environment {
    return this.#env
  }

  get directory(): string {
    return this.#place.directory
  }

  #onMoment(moment: Moment): void {
    if (!this.#isArmed || !this.#killsAt(moment)) return
    this.#isKilled = true
    throw new Error("killed")
  }

  #start(isFirst: boolean): [Environment, FileSystem, Protocol] {
    this.#isArmed = false
    this.#isKilled = false
    const store = Store.open(this.directory, { onMoment: (moment) => this.#onMoment(moment) })
    try {
      return this.#serve(store, isFirst)
    } catch (thrown) {
      store[Symbol.dispose]()
      throw thrown
    }
  }

  #serve(store: Store, isFirst: boolean): [Environment, FileSystem, Protocol] {
    const env: Environment = {
      store,
      lookups: new Lookups(this.#memory, 0, this.#header),
      counted: this.#counted,
      listings: this.#listings,
      orphans: new Set(),
      refusals: { early: 0 },
      accessed: new Set(),
      writeback: false,
      invalidateAttributes: () => undefined,
      syncLater: () => {
        store.commit()
        return OK
      },
    }
    const nodes = new VirtualNodes(1)
    const fs = new FileSystem(env, new VirtualFiles(new Map(), nodes), nodes)
    this.#recover(env, fs, isFirst)
    const agreement = { minor: 45, flags: FLAGS, writeback: false, openIsAsked: true }
    const protocol = new Protocol(fs, this.#request, this.#reply, {
      ...agreement,
      replay: fs,
      log: this.log,
      onAgreement: ({ flags }) => store.armJournal(flags),
      resumed: isFirst ? undefined : agreement,
    })
    this.#isArmed = true
    return [env, fs, protocol]
  }

  /** As `recover` in the serving thread. */
  #recover(env: Environment, fs: FileSystem, isFirst: boolean): void {
    const { store } = env
    const replayer = new Replayer(fs, this.log)
    this.#adopt(store)
    this.replayed = store.beginBatching((request, flags) => replayer.execute(request, flags))
    if (isFirst) store.clearReply()
    else store.armJournal(FLAGS)
    store.settle()
    adoptOrphans(env, !isFirst)
  }

  send(message: Buffer): Answer | typeof KILLED {
    // What an earlier answer left behind must not be taken for data.
    this.#reply.fill(0xee)
    message.copy(this.#request)
    let length = 0
    try {
      this.store.beginRequest(this.#request, message.length)
      length = this.#protocol.handle(message.length)
      this.store.endRequest()
    } catch (thrown) {
      if (!this.#isKilled) throw thrown
    }
    if (this.#isKilled) return KILLED
    return length === 0
      ? undefined
      : { ...readReply(this.#reply), payload: Buffer.from(this.#reply.subarray(16, length)) }
  }

  /** Nothing comes in for a moment: what was answered is committed. */
  pause(): typeof KILLED | undefined {
    return this.between(() => this.store.commit())
  }

  /** Work that is no request, such as an order of the control socket; its commits are moments to be killed at too. */
  between(run: () => void): typeof KILLED | undefined {
    try {
      run()
    } catch (thrown) {
      if (!this.#isKilled) throw thrown
    }
    return this.#isKilled ? KILLED : undefined
  }

  /** SIGKILL: what is not committed is lost to the database; the journal and the lookup counts live on. */
  kill(): void {
    this.store.endRequest()
    this.#env.lookups[Symbol.dispose]()
    this.store[Symbol.dispose]()
  }

  /** `isFirst`: after a reboot, with a kernel that has to agree anew. */
  start(isFirst = false): void {
    ;[this.#env, this.#fs, this.#protocol] = this.#start(isFirst)
  }

  restart(): void {
    this.kill()
    this.start()
  }

  settle(): void {
    this.#isArmed = false
    this.#fs.settle()
    this.#isArmed = true
  }

  [Symbol.dispose](): void {
    this.kill()
    this.#place[Symbol.dispose]()
    close(this.#memory)
  }
}
