/**
 * One sandbox: bubblewrap is started and stops before the tool's program begins; what must know of it is told; then it goes on.
 * It ends as a whole: its first process is the last one that the kernel lets live.
 */
import { closeSync, openSync, writeSync } from "node:fs"
import { release } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"
import { Fault, describe } from "../core/fault.ts"
import { detachedMount } from "../sys/detached-mount.ts"
import { checked, type PollHandle } from "../sys/ffi.ts"
import { memfdCreate } from "../sys/libc.ts"
import { closeAll, pipe, pipeToPoll, readAvailable } from "../sys/pipes.ts"
import { watchReadable } from "../sys/watch.ts"
import { ProcessHandle, Resource, childrenOf, limitResource } from "../sys/processes.ts"
import { bwrapOptions, type Place } from "./bwrap.ts"
import type { Slot } from "./keeper.ts"
import { STARTER } from "./find-programs.ts"
import { hostsFile } from "./network.ts"
import type { SandboxPlan } from "./plan.ts"
import { starterWords } from "./starter.ts"

const SIGKILL = 9
const MFD_CLOEXEC = 1
const MIB = 1024 * 1024
/** bubblewrap has set up the sandbox, or has failed, long before. */
const START_MS = 20_000
const GONE_MS = 2
/** Numbers in bubblewrap: what comes behind the three standard ones and its options. */
const Fd = { STATUS: 4, BLOCK: 5, SECCOMP: 6, NEXT: 7 } as const
/** Of bubblewrap's by number: its options, status, block, filter. */
const NUMBERED = 4

export interface SandboxFiles {
  readonly stdio: readonly [number, number, number]
  readonly tool: number
  readonly script: number | undefined
  readonly grants: readonly number[]
  /** The filter's program. */
  readonly seccomp: number
  /** Pipes, in the order of the plan's. */
  readonly secrets: readonly number[]
}

export interface Ended {
  /** As a shell has it: 128 and the signal's number for a program that was killed. */
  readonly status: number
  /** Whether the tool's program was reached. */
  readonly wasStarted: boolean
}

export interface SandboxOptions {
  /** In its control groups already, where there are any. The sandbox disposes of it. */
  readonly slot: Slot
  readonly plan: SandboxPlan
  readonly place: Place
  /** Program and arguments, as the sandbox has them. */
  readonly command: readonly string[]
  readonly files: SandboxFiles
  /** The version of Landlock that is used; 0 for none. */
  readonly landlock: number
  /** Called with its first process, in all namespaces already, before the program begins, which waits for it; it may reject. */
  readonly onRegistered?: (pid: number) => Promise<void>
  /** What no group limits, and setrlimit(2) has to. */
  readonly ungrouped: { readonly memory: boolean; readonly pids: boolean }
  /** Told of the first process before anything of the tool runs. */
  readonly onFirst?: ((first: ProcessHandle) => void) | undefined
}

export class Sandbox implements AsyncDisposable {
  readonly #slot: Slot
  readonly #options: SandboxOptions
  readonly #statusFd: number
  readonly #handle: PollHandle
  readonly #timer: NodeJS.Timeout
  /** Undefined from when the sandbox may go on. */
  #block: number | undefined
  #status = ""
  #first: ProcessHandle | undefined
  #failure: string | undefined
  #isCancelled = false
  #resolve: (ended: Ended) => void = () => undefined
  readonly ended: Promise<Ended>

  /** Throws when it can't be asked for; the slot is disposed of then too. */
  constructor(options: SandboxOptions) {
    this.#options = options
    this.#slot = options.slot
    this.ended = new Promise((resolve) => (this.#resolve = resolve))
    const [status, statusOther] = pipeToPoll()
    const [blockOther, block] = pipe()
    try {
      launch(options, statusOther, blockOther)
    } catch (thrown) {
      closeAll([status, block])
      this.#slot[Symbol.dispose]()
      throw thrown
    } finally {
      closeAll([statusOther, blockOther])
    }
    this.#statusFd = status
    this.#block = block
    this.#timer = setTimeout(() => this.#fail("bubblewrap does not answer"), START_MS)
    this.#handle = watchReadable(status, () => this.#hear())
    void this.#slot.ended.then((waitStatus) => this.#over(waitStatus))
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
    if (this.#first === undefined && this.#status.includes("}")) void this.#register()
    this.#settleByExit()
  }

  #settleByExit(): void {
    const status = /"exit-code": (\d+)/.exec(this.#status)?.[1]
    if (status !== undefined) this.#settle({ status: Number(status), wasStarted: true })
  }

  /** bubblewrap is gone. It tells the exit status only of what it has started, and nothing when it was killed. */
  #over(waitStatus: number): void {
    this.#status += readAvailable(this.#statusFd)?.toString("latin1") ?? ""
    this.#settleByExit()
    const wasKilled = (waitStatus & 0x7f) !== 0
    const isReleased = this.#block === undefined
    const status = wasKilled ? 128 + SIGKILL : (waitStatus >> 8) & 0xff
    this.#failure ??= this.#slot.failure()
    this.#settle({ status, wasStarted: this.#isCancelled || (isReleased && wasKilled) })
    this.#handle.close()
    closeSync(this.#statusFd)
    if (this.#block !== undefined) closeSync(this.#block)
    this.#block = undefined
    this.#slot[Symbol.dispose]()
  }

  #settle(ended: Ended): void {
    clearTimeout(this.#timer)
    this.#resolve(ended)
  }

  /** The sandbox waits: past pivot_root, before the filter and the program. */
  async #register(): Promise<void> {
    const pid = Number(/"child-pid": (\d+)/.exec(this.#status)?.[1])
    try {
      this.#first = new ProcessHandle(pid)
      this.#limit(pid)
      this.#options.onFirst?.(this.#first)
      await this.#options.onRegistered?.(pid)
    } catch (thrown) {
      this.#fail(describe(thrown))
      return
    }
    this.#release()
  }

  /** Not one that is being killed: that waits until it is. */
  #release(): void {
    const block = this.#block
    if (block === undefined || this.#isCancelled) return
    clearTimeout(this.#timer)
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
    const first = this.#first
    if (first === undefined) return
    // bubblewrap leaves its first process to the keeper.
    while (first.kill(0)) await sleep(GONE_MS)
    first[Symbol.dispose]()
  }
}

/** Linux 5.14; before, a user's processes counted wherever they were, and a sandbox could start none. */
export function countsByNamespace(version = release()): boolean {
  return isKernelAtLeast(5, 14, version)
}

function isKernelAtLeast(wantedMajor: number, wantedMinor: number, version = release()): boolean {
  const [major = 0, minor = 0] = version.split(/[.-]/).map(Number)
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)
}

function launch(options: SandboxOptions, status: number, block: number): void {
  const { slot, plan, place, files, landlock } = options
  const { stdio, tool, script, grants, seccomp } = files
  const bound = [tool, ...(script === undefined ? [] : [script]), ...grants]
  const isRoot = process.getuid?.() === 0
  const texts = settingsFor(plan)
  // bubblewrap takes the texts; the starter is executed by its number, and closes what is not a secret's.
  const starterFd = Fd.NEXT + texts.length
  const secrets = files.secrets.map((_, at) => starterFd + 1 + at)
  const firstBound = starterFd + 1 + secrets.length
  const paths = bound.map((_, at) => (isRoot ? `/given/${at}` : `/proc/self/fd/${firstBound + at}`))
  const [toolPath = "", ...others] = paths
  const sources = {
    tool: toolPath,
    script: script === undefined ? undefined : others[0],
    grants: script === undefined ? others : others.slice(1),
    base: isRoot && isKernelAtLeast(5, 12) ? "/base" : undefined,
  }
  const opened: number[] = []
  const keep = (fd: number): number => (opened.push(fd), fd)
  try {
    const starter = [`/proc/self/fd/${starterFd}`, ...starterWords(plan, place, { landlock, secrets })]
    const words = keep(wordsFile("command", [...starter, ...options.command]))
    const settings = Object.fromEntries(texts.map(([name], at) => [name, Fd.NEXT + at]))
    const fds = { status: Fd.STATUS, block: Fd.BLOCK, seccomp: Fd.SECCOMP, settings }
    const own = keep(wordsFile("bwrap", bwrapOptions(plan, place, fds, sources)))
    const contents = texts.map(([name, text]) => keep(memoryFile(name, Buffer.from(text))))
    // The keeper's child is in another mount namespace, and could not make them.
    const mounts = isRoot ? bound.map((fd) => keep(detachedMount(fd))) : bound
    const starterFile = keep(openSync(STARTER, "r"))
    const others = [...contents, starterFile, ...files.secrets]
    const numbered = NUMBERED + others.length + (isRoot ? 0 : bound.length)
    slot.launch([...stdio, words, own, status, block, seccomp, ...others, ...mounts], numbered)
  } finally {
    closeAll(opened)
  }
}

/** Where names are granted, the C library must look for them in the file alone: nobody answers questions. */
function settingsFor({ network }: SandboxPlan): (readonly [name: string, text: string])[] {
  if (network.length === 0) return []
  return [
    ["hosts", hostsFile(network)],
    ["nsswitch.conf", "hosts: files\n"],
  ]
}

/** In memory: paths and variables stand on no command line. */
function wordsFile(name: string, words: readonly string[]): number {
  if (words.some((word) => word.includes("\0"))) throw new Fault("invalid", "a NUL byte in a name")
  return memoryFile(name, Buffer.from(words.map((word) => `${word}\0`).join("")))
}

/** A file in memory that is read from its beginning. */
export function memoryFile(name: string, bytes: Buffer): number {
  const fd = checked("memfd_create", memfdCreate(name, MFD_CLOEXEC))
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at)
  const again = openSync(`/proc/self/fd/${fd}`, "r")
  closeSync(fd)
  return again
}
