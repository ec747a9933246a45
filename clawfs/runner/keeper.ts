/**
 * The process that starts sandboxes and ends them whatever becomes of this one (keeper.c has the other side). For each sandbox
 * it has a process ready, in its control groups already, that waits to be told what to run.
 */
import { spawn, type ChildProcess } from "node:child_process"
import { closeSync, constants, openSync } from "node:fs"
import { join } from "node:path"
import { Fault } from "../core/fault.ts"
import { pollReadable, type PollHandle } from "../sys/ffi.ts"
import { closeAll, messagePair } from "../sys/pipes.ts"
import { receiveMessage, sendMessage } from "../sys/seqpacket.ts"
import { KEEPER } from "./find-programs.ts"

/** Words of 32 bits; the same as in keeper.c. */
const Word = { PREPARE: 1, KILL: 2, ENDED: 3 } as const
/** Of a process that could not be forked: as wait(2) has it. */
const FAILED = 125 << 8
const KILL_PAUSE_MS = 5
/** Of a message from keeper.c. */
const MOST_BYTES = 512

/** A process that will be a sandbox. Disposing of it while it waits ends it. */
export class Slot implements Disposable {
  readonly #own: number
  readonly #kill: () => void
  #isOpen = true
  #waitStatus: number | undefined
  #resolve: (waitStatus: number) => void = () => undefined
  /** As wait(2) has it: bubblewrap, or what was to become it, is reaped, and what it has left is killed. */
  readonly ended: Promise<number>

  constructor(own: number, kill: () => void) {
    this.#own = own
    this.#kill = kill
    this.ended = new Promise((resolve) => (this.#resolve = resolve))
  }

  get hasEnded(): boolean {
    return this.#waitStatus !== undefined
  }

  /**
   * Hands over standard descriptors, the words of the command, then `numbered` of which bubblewrap gets from 3 on (its options
   * first), then mounts that get the names /given/0 and so on. They stay the caller's. Throws when the process is gone.
   */
  launch(descriptors: readonly number[], numbered: number): void {
    const message = Buffer.alloc(4)
    message.writeUInt32LE(numbered)
    if (sendMessage(this.#own, message, descriptors)) return
    throw new Fault("io", this.failure() ?? "the process that was to become the sandbox has ended")
  }

  /** Ends the sandbox; nothing happens when it has ended. */
  kill(): void {
    if (!this.hasEnded) this.#kill()
  }

  /** What went wrong before bubblewrap was reached; asked once. */
  failure(): string | undefined {
    if (!this.#isOpen) return undefined
    const receive = (): ReturnType<typeof receiveMessage> =>
      receiveMessage(this.#own, { wait: false, most: MOST_BYTES })
    // That it has ended without reading what it was sent (ECONNRESET) comes before its words.
    const message = receive() ?? receive()
    return typeof message === "object" ? message.data.toString() : undefined
  }

  /** For the keeper. */
  end(waitStatus: number): void {
    this.#waitStatus = waitStatus
    this.#resolve(waitStatus)
  }

  [Symbol.dispose](): void {
    if (this.#isOpen) closeSync(this.#own)
    this.#isOpen = false
  }
}

export class Keeper implements AsyncDisposable {
  readonly #control: number
  readonly #handle: PollHandle
  readonly #child: ChildProcess
  readonly #exited: Promise<void>
  readonly #slots = new Map<number, Slot>()
  #nextId = 1
  #isEnding = false

  /** `onDeath`: it has ended without being told to, or could not be started; nothing can be run any more. */
  constructor(bwrap: string, onDeath: () => void) {
    const [own, other] = messagePair()
    this.#control = own
    this.#child = spawn(KEEPER, [bwrap], { cwd: "/", env: {}, stdio: ["ignore", "ignore", "inherit", other] })
    closeSync(other)
    this.#exited = new Promise((resolve) => {
      const end = (): void => {
        for (const slot of this.#slots.values()) slot.end(FAILED)
        this.#slots.clear()
        if (!this.#isEnding) onDeath()
        resolve()
      }
      this.#child.once("error", end)
      this.#child.once("exit", end)
    })
    this.#handle = pollReadable(own, () => this.#hear())
  }

  /** The keeper's own process. */
  get pid(): number | undefined {
    return this.#child.pid
  }

  #hear(): void {
    for (;;) {
      const message = receiveMessage(this.#control, { wait: false, most: MOST_BYTES })
      if (typeof message !== "object") {
        // Its end: what follows is told by the child's exit.
        if (message === undefined) this.#handle.close()
        return
      }
      const [id, waitStatus] = [message.data.readUInt32LE(4), message.data.readUInt32LE(8)]
      this.#slots.get(id)?.end(waitStatus)
      this.#slots.delete(id)
    }
  }

  /** `groups`: directories of control groups (cgroups(7)) that the process enters. */
  prepare(groups: readonly string[]): Slot {
    const id = this.#nextId
    this.#nextId += 1
    const [own, other] = messagePair()
    const passed = [other]
    try {
      for (const group of groups) passed.push(openSync(join(group, "cgroup.procs"), constants.O_WRONLY))
      const slot = new Slot(own, () => this.#end(id))
      this.#slots.set(id, slot)
      if (!this.#say(Word.PREPARE, id, passed)) {
        this.#slots.delete(id)
        slot.end(FAILED)
      }
      return slot
    } catch (thrown) {
      closeSync(own)
      throw thrown
    } finally {
      closeAll(passed)
    }
  }

  /** Again and again while the keeper does not take it: it may have hundreds before. */
  #end(id: number): void {
    if (!this.#slots.has(id) || this.#say(Word.KILL, id)) return
    setTimeout(() => this.#end(id), KILL_PAUSE_MS)
  }

  #say(word: number, id: number, descriptors: readonly number[] = []): boolean {
    const message = Buffer.alloc(8)
    message.writeUInt32LE(word, 0)
    message.writeUInt32LE(id, 4)
    return sendMessage(this.#control, message, descriptors)
  }

  /** Ends what still runs, and it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true
    this.#handle.close()
    closeSync(this.#control)
    await this.#exited
  }
}
