/**
 * One sandbox: bubblewrap is started and stops before its second process, which becomes the tool's program; what must know of it
 * is told; then it goes on. Made before anybody calls, it goes on at once, to where the second process, under all that holds the
 * tool, waits for the call (starter.c): that process alone is told of then, before it hears of the call. A sandbox ends as a
 * whole: its first process is the last one that the kernel lets live.
 */
import { closeSync, fstatSync, readSync, writeSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { Fault, describe } from "../core/fault.ts"
import { type PollHandle } from "../sys/ffi.ts"
import { memoryFile } from "../sys/memory-file.ts"
import { closeAll, messagePair, pipe, pipeToPoll, readAvailable } from "../sys/pipes.ts"
import { ProcessHandle, Resource, childrenOf, limitResource } from "../sys/processes.ts"
import { receiveMessage, sendMessage } from "../sys/seqpacket.ts"
import { watchReadable } from "../sys/watch.ts"
import type { Slot } from "./keeper.ts"
import { countsByNamespace, launch, wordsFile, type LaunchOptions } from "./launch.ts"
import { bytesOf, type Word } from "./wire.ts"

const SIGKILL = 9
const MIB = 1024 * 1024
/** bubblewrap has set up the sandbox, or has failed, long before. */
const START_MS = 20_000
const GONE_MS = 2
/** Of what bubblewrap says when it fails. */
const MOST_SAID = 1024

export interface Ended {
  /** As a shell has it: 128 and the signal's number for a program that was killed. */
  readonly status: number
  /** Whether the tool's program was reached. */
  readonly wasStarted: boolean
}

/** The sandbox disposes of the slot. */
export interface SandboxOptions extends LaunchOptions {
  /** What no group limits, and setrlimit(2) has to. */
  readonly ungrouped: { readonly memory: boolean; readonly pids: boolean }
}

/** What is to be run, for whom. */
export interface Call {
  /** They stay the caller's, who closes them when they are handed over. */
  readonly stdio: readonly [number, number, number]
  /** Program and arguments, as the sandbox has them. */
  readonly command: readonly Word[]
  readonly environment: Readonly<Record<string, string>>
  /** Where it begins, as the sandbox has it. */
  readonly directory: Word
  /** The name of the AppArmor profile that it enters. */
  readonly profile?: string | undefined
  /** Told, before anything of the tool runs, of the first process and of the one that the tool's all come from. */
  readonly onFirst?: ((first: ProcessHandle, origin: ProcessHandle) => void) | undefined
  /** Called with its first process, in all namespaces already, before the program begins, which waits for it; it may reject. */
  readonly onRegistered?: (pid: number) => Promise<void>
}

export class Sandbox implements AsyncDisposable {
  readonly #slot: Slot
  readonly #options: SandboxOptions
  readonly #statusFd: number
  readonly #said: number
  readonly #handle: PollHandle
  #timer: NodeJS.Timeout
  /** Undefined from when the sandbox may go on. */
  #block: number | undefined
  /** Where the call goes; undefined when it has gone. */
  #callFd: number | undefined
  #callHandle: PollHandle | undefined
  /** Of the call, until they are handed over. */
  #words: number | undefined
  #call: Call | undefined
  /** What waits for the call; undefined in a sandbox that was called before it came so far. */
  #starter: ProcessHandle | undefined
  #status = ""
  #first: ProcessHandle | undefined
  #failure: string | undefined
  /** The tool's program may have been reached. */
  #isBegun = false
  #isCancelled = false
  #isOver = false
  #resolve: (ended: Ended) => void = () => undefined
  #resolveWaiting: (isWaiting: boolean) => void = () => undefined
  #resolveHandedOver: () => void = () => undefined
  readonly ended: Promise<Ended>
  /** True when it waits for a call; false when it has ended before, or was called. */
  readonly waiting: Promise<boolean>
  /** The sandbox has the call's descriptors, or will never have them. */
  readonly handedOver: Promise<void>

  /** Throws when it can't be asked for; the slot is disposed of then too. */
  constructor(options: SandboxOptions) {
    this.#options = options
    this.#slot = options.slot
    this.ended = new Promise((resolve) => (this.#resolve = resolve))
    this.waiting = new Promise((resolve) => (this.#resolveWaiting = resolve))
    this.handedOver = new Promise((resolve) => (this.#resolveHandedOver = resolve))
    const [status, statusOther] = pipeToPoll()
    const [blockOther, block] = pipe()
    const [call, callOther] = messagePair()
    const said = memoryFile("stderr")
    try {
      launch(options, { status: statusOther, block: blockOther, call: callOther, said })
    } catch (thrown) {
      closeAll([status, block, call, said])
      this.#slot[Symbol.dispose]()
      throw thrown
    } finally {
      closeAll([statusOther, blockOther, callOther])
    }
    this.#statusFd = status
    this.#said = said
    this.#block = block
    this.#callFd = call
    this.#timer = this.#startTimer()
    this.#handle = watchReadable(status, () => this.#hear())
    void this.#slot.ended.then((waitStatus) => this.#over(waitStatus))
  }

  #startTimer(): NodeJS.Timeout {
    return setTimeout(() => this.#fail("bubblewrap does not answer"), START_MS)
  }

  /** Runs the tool's program, once. What fails from here on, `ended` and `failure` tell. */
  begin(call: Call): void {
    this.#call = call
    clearTimeout(this.#timer)
    if (this.#isOver) return
    this.#timer = this.#startTimer()
    this.#words = wordsFor(call)
    // Nothing reads it before the block ends.
    if (this.#block !== undefined) this.#handOver(call)
    else if (this.#starter !== undefined) void this.#continue(this.#starter, call)
  }

  /** Taken by the starter, when it runs. */
  #handOver({ stdio, environment }: Call): void {
    const message = Buffer.alloc(4)
    message.writeUInt32LE(variablesOf(environment).length + 1)
    const [callFd, words] = [this.#callFd, this.#words]
    this.#callFd = undefined
    this.#words = undefined
    const isTaken =
      callFd !== undefined && words !== undefined && sendMessage(callFd, message, [...stdio, words])
    if (!isTaken) this.#fail("the sandbox does not listen")
    closeAll([callFd, words].filter((fd) => fd !== undefined))
    this.#resolveHandedOver()
  }

  /** Why the tool's program was not reached. */
  get failure(): string | undefined {
    return this.#failure
  }

  /** What bubblewrap says: its first process, then the exit status of the program, if it has come to that. */
  #hear(): void {
    const chunk = readAvailable(this.#statusFd)
    if (chunk === undefined) this.#handle.close()
    this.#status += chunk?.toString("latin1") ?? ""
    if (this.#first === undefined && this.#status.includes("}")) this.#register()
    this.#settleByExit()
  }

  #settleByExit(): void {
    const status = /"exit-code": (\d+)/.exec(this.#status)?.[1]
    if (status === undefined) return
    // Until it has taken the call, the starter says what fails to bubblewrap's stderr.
    this.#failure ??= textOf(this.#said)
    this.#settle({ status: Number(status), wasStarted: this.#isBegun && this.#failure === undefined })
  }

  /** bubblewrap is gone. It tells the exit status only of what it has started, and nothing when it was killed. */
  #over(waitStatus: number): void {
    this.#isOver = true
    this.#status += readAvailable(this.#statusFd)?.toString("latin1") ?? ""
    this.#settleByExit()
    const wasKilled = (waitStatus & 0x7f) !== 0
    const status = wasKilled ? 128 + SIGKILL : (waitStatus >> 8) & 0xff
    this.#failure ??= this.#slot.failure() ?? textOf(this.#said)
    this.#settle({ status, wasStarted: this.#isCancelled || (this.#isBegun && wasKilled) })
    this.#handle.close()
    this.#callHandle?.close()
    closeAll([this.#statusFd, this.#said])
    if (this.#block !== undefined) closeSync(this.#block)
    closeAll([this.#callFd, this.#words].filter((fd) => fd !== undefined))
    this.#block = undefined
    this.#callFd = undefined
    this.#words = undefined
    this.#slot[Symbol.dispose]()
    this.#resolveWaiting(false)
    this.#resolveHandedOver()
  }

  #settle(ended: Ended): void {
    clearTimeout(this.#timer)
    this.#resolve(ended)
  }

  /** The sandbox waits: past pivot_root, before its second process, the filter and the program. */
  #register(): void {
    const pid = Number(/"child-pid": (\d+)/.exec(this.#status)?.[1])
    try {
      this.#first = new ProcessHandle(pid)
      this.#limit(pid)
    } catch (thrown) {
      this.#fail(describe(thrown))
      return
    }
    if (this.#call !== undefined) void this.#start(this.#first, this.#call)
    else this.#goAhead()
  }

  async #start(first: ProcessHandle, call: Call): Promise<void> {
    if (await this.#told(first, first, call)) this.#release()
  }

  /** Without a call, as far as it goes. */
  #goAhead(): void {
    const fd = this.#callFd
    if (fd === undefined) return
    this.#callHandle = watchReadable(fd, () => this.#hearStarter(fd))
    this.#release()
  }

  /** It is ready, or has ended, which bubblewrap tells. */
  #hearStarter(fd: number): void {
    const [first, message] = [this.#first, receiveMessage(fd, { wait: false, most: 1 })]
    if (message === "late" || first === undefined) return
    this.#callHandle?.close()
    if (message === undefined) return
    if (this.#call === undefined) clearTimeout(this.#timer)
    try {
      this.#starter = onlyChildOf(first)
    } catch (thrown) {
      this.#fail(describe(thrown))
      return
    }
    if (this.#call !== undefined) void this.#continue(this.#starter, this.#call)
    this.#resolveWaiting(true)
  }

  async #continue(starter: ProcessHandle, call: Call): Promise<void> {
    const first = this.#first
    if (first === undefined || !(await this.#told(first, starter, call)) || this.#isCancelled) return
    clearTimeout(this.#timer)
    this.#isBegun = true
    this.#handOver(call)
  }

  /** False when it must not go on. */
  async #told(
    first: ProcessHandle,
    origin: ProcessHandle,
    { onFirst, onRegistered }: Call,
  ): Promise<boolean> {
    try {
      onFirst?.(first, origin)
      if (onRegistered !== undefined) await onRegistered(first.pid)
      return true
    } catch (thrown) {
      this.#fail(describe(thrown))
      return false
    }
  }

  /** Not one that is being killed: that waits until it is. */
  #release(): void {
    const block = this.#block
    if (block === undefined || this.#isCancelled) return
    if (this.#call !== undefined) {
      clearTimeout(this.#timer)
      this.#isBegun = true
    }
    this.#block = undefined
    try {
      writeSync(block, "x")
    } catch (thrown) {
      // It is gone before it hears that it may go on.
      if ((thrown as NodeJS.ErrnoException).code !== "EPIPE") throw thrown
    } finally {
      closeSync(block)
    }
  }

  #fail(reason: string): void {
    this.#failure ??= reason
    this.#slot.kill()
  }

  /** Where there are no groups: each process's memory, and how many there are in the sandbox's user namespace. */
  #limit(pid: number): void {
    const { ungrouped, plan } = this.#options
    if (ungrouped.memory) limitResource(pid, Resource.AS, plan.limits.memory_limit_mb * MIB)
    if (ungrouped.pids && countsByNamespace()) limitResource(pid, Resource.NPROC, plan.limits.pids_limit)
  }

  /** Ends every process in it, at once and for sure. */
  kill(): void {
    this.#isCancelled = true
    this.#first?.kill(SIGKILL)
    this.#slot.kill()
  }

  /** To the program, or with `isForGroup` to all in its process group, as a terminal does. */
  signal(signal: number, isForGroup: boolean): void {
    const first = this.#first
    const program = first === undefined ? undefined : childrenOf(first.pid)[0]
    if (first === undefined || program === undefined) {
      this.kill()
      return
    }
    try {
      // The number is not given to another process until the sandbox has been reaped.
      process.kill(isForGroup ? -first.pid : program, signal)
    } catch (thrown) {
      // It has just ended.
      if ((thrown as NodeJS.ErrnoException).code !== "ESRCH") throw thrown
    }
  }

  /** Nothing of it is left when the promise resolves but its control group. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.kill()
    await this.#slot.ended
    this.#starter?.[Symbol.dispose]()
    const first = this.#first
    if (first === undefined) return
    // bubblewrap leaves its first process to the keeper.
    while (first.kill(0)) await sleep(GONE_MS)
    first[Symbol.dispose]()
  }
}

const variablesOf = (environment: Call["environment"]): string[] =>
  Object.entries(environment)
    .filter(([name]) => name !== "PWD")
    .map(([name, value]) => `${name}=${value}`)

/** Throws when there is a NUL in one. */
function wordsFor({ profile = "", directory, environment, command }: Call): number {
  const own = Buffer.concat([Buffer.from("PWD="), bytesOf(directory)])
  return wordsFile("call", [profile, directory, ...variablesOf(environment), own, ...command])
}

/** Throws when there is none: its number can't have been given to another process while it is that. */
function onlyChildOf(first: ProcessHandle): ProcessHandle {
  const [pid] = childrenOf(first.pid)
  if (pid === undefined) throw new Fault("io", "its first program has ended")
  const child = new ProcessHandle(pid)
  if (childrenOf(first.pid)[0] === pid) return child
  child[Symbol.dispose]()
  throw new Fault("io", "its first program has ended")
}

/** The first line that was written. */
function textOf(fd: number): string | undefined {
  if (fstatSync(fd).size === 0) return undefined
  const bytes = Buffer.alloc(MOST_SAID)
  return bytes.toString("utf8", 0, readSync(fd, bytes, 0, bytes.length, 0)).split("\n")[0]
}
