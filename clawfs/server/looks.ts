/**
 * The main thread's part in guarded directories: asks the vault's process whether what is about to be written has values of its
 * secrets in it. They, and all that could tell of them, stay in that process, which writes down what it finds.
 */
import { closeSync, writeSync } from "node:fs"
import { VaultLink } from "../api/vault-link.ts"
import { Fault, describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import { memoryFile } from "../sys/memory-file.ts"
import type { Looked, WantedLook } from "./messages.ts"

/** The vault answers one request after the other, and learns all values at the first. */
const TIMEOUT_SECONDS = 30

interface Scanned {
  readonly leaks: number
  readonly longest: number
}

export class Looks implements Disposable {
  readonly #directory: string
  readonly #done: (looked: Looked) => Promise<unknown>
  readonly #log: Log
  readonly #waiting: WantedLook[] = []
  #isLooking = false
  #link: VaultLink | undefined
  #isBlind = false

  /** `directory`: the vault's. `done` tells the serving thread what came of it. */
  constructor(directory: string, done: (looked: Looked) => Promise<unknown>, log: Log) {
    this.#directory = directory
    this.#done = done
    this.#log = log
  }

  /** Looks, one after the other. */
  look(wanted: WantedLook): void {
    this.#waiting.push(wanted)
    if (!this.#isLooking) void this.#work()
  }

  async #work(): Promise<void> {
    this.#isLooking = true
    for (let wanted = this.#waiting.shift(); wanted !== undefined; wanted = this.#waiting.shift()) {
      const looked = await this.#looked(wanted)
      this.#done(looked).catch((thrown: unknown) =>
        this.#log.error("a guarded write could not be answered", { reason: describe(thrown) }),
      )
    }
    this.#isLooking = false
  }

  async #looked(wanted: WantedLook): Promise<Looked> {
    const { key } = wanted
    try {
      const { leaks, longest } = await this.#scanned(wanted)
      this.#isBlind = false
      return { key, leaks, longest }
    } catch (thrown) {
      // An answer that is late would be taken for that of the next request.
      this[Symbol.dispose]()
      if (!this.#isBlind)
        this.#log.error("writes to guarded directories can't be looked through", { reason: describe(thrown) })
      this.#isBlind = true
      return { key, leaks: undefined, longest: undefined }
    }
  }

  async #scanned({ action, bytes, from, to, ino, writer }: WantedLook): Promise<Scanned> {
    if (this.#link?.hasEnded() === true) this[Symbol.dispose]()
    this.#link ??= VaultLink.connect(this.#directory, TIMEOUT_SECONDS)
    if (this.#link === undefined) throw new Fault("locked", "the vault is locked")
    const fd = memoryFile("clawfs-write")
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, at)
      const params = { from: 0, out: 0, channel: "file", action, written: { from, to, ino, ...writer } }
      return (await this.#link.requestLater("scan", params, [fd], 1000 * TIMEOUT_SECONDS)) as Scanned
    } finally {
      bytes.fill(0)
      closeSync(fd)
    }
  }

  [Symbol.dispose](): void {
    this.#link?.[Symbol.dispose]()
    this.#link = undefined
  }
}
