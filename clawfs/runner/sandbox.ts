/**
 * One sandbox: bubblewrap is started and stops before the tool's program begins; what must know of it is told (control groups,
 * limits); then it goes on. It ends as a whole: its first process is the last one that the kernel lets live.
 */
import { spawn, type ChildProcess } from "node:child_process"
import { closeSync, openSync, writeSync } from "node:fs"
import { release } from "node:os"
import type { Writable, Readable } from "node:stream"
import { setTimeout as sleep } from "node:timers/promises"
import { Fault, describe } from "../core/fault.ts"
import { checked } from "../sys/ffi.ts"
import { memfdCreate } from "../sys/libc.ts"
import { ProcessHandle, Resource, childrenOf, limitResource, reap } from "../sys/processes.ts"
import { bwrapOptions, type Place } from "./bwrap.ts"
import type { Cgroup } from "./cgroup.ts"
import { STAGE } from "./find-programs.ts"
import type { SandboxPlan } from "./plan.ts"

const SIGKILL = 9
const MFD_CLOEXEC = 1
const MIB = 1024 * 1024
/** bubblewrap has set up the sandbox, or has failed, long before. */
const START_MS = 20_000
const REAP_MS = 2
/** Numbers in the child: what comes behind the three standard ones. */
const Fd = { ARGS: 3, STATUS: 4, BLOCK: 5, SECCOMP: 6, BOUND: 7 } as const

export interface SandboxFiles {
  readonly stdio: readonly [number, number, number]
  readonly tool: number
  readonly script: number | undefined
  readonly grants: readonly number[]
  /** The filter's program. */
  readonly seccomp: number
}

export interface Ended {
  /** As a shell has it: 128 and the signal's number for a program that was killed. */
  readonly status: number
  /** Whether the tool's program was reached. */
  readonly wasStarted: boolean
}

export interface SandboxOptions {
  readonly bwrap: string
  readonly plan: SandboxPlan
  readonly place: Place
  /** Program and arguments, as the sandbox has them. */
  readonly command: readonly string[]
  readonly files: SandboxFiles
  /** Undefined where there are none: memory is limited by process then. */
  readonly cgroup: Cgroup | undefined
  /** What no group limits, and setrlimit(2) has to. */
  readonly ungrouped: { readonly memory: boolean; readonly pids: boolean }
  /** Told of the first process before anything of the tool runs. */
  readonly onFirst?: ((first: ProcessHandle) => void) | undefined
}

export class Sandbox implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #cgroup: Cgroup | undefined
  readonly #options: SandboxOptions
  #status = ""
  #first: ProcessHandle | undefined
  #failure: string | undefined
  #isCancelled = false
  readonly ended: Promise<Ended>

  constructor(options: SandboxOptions) {
    this.#options = options
    this.#cgroup = options.cgroup
    this.#child = start(options)
    const timer = setTimeout(() => this.#abandon(), START_MS)
    // The type knows five descriptors.
    const pipes: readonly unknown[] = this.#child.stdio
    const [status, block] = [pipes[Fd.STATUS] as Readable, pipes[Fd.BLOCK] as Writable]
    // It may be gone before it hears that it may go on.
    block.on("error", () => undefined)
    status.on("data", (chunk: Buffer) => {
      this.#status += chunk.toString("latin1")
      if (this.#first !== undefined || !this.#status.includes("}")) return
      clearTimeout(timer)
      this.#register(block)
    })
    this.ended = new Promise((resolve) => {
      this.#child.on("error", (thrown) => {
        this.#failure = describe(thrown)
        clearTimeout(timer)
        resolve({ status: 126, wasStarted: false })
      })
      this.#child.on("close", (code) => {
        clearTimeout(timer)
        resolve({
          status: code ?? 128 + SIGKILL,
          wasStarted: this.#failure === undefined && this.#wasStarted,
        })
      })
    })
  }

  /** Why the tool's program was not reached. */
  get failure(): string | undefined {
    return this.#failure
  }

  /** bubblewrap tells the exit status only of what it has started; a sandbox that was killed tells nothing any more. */
  get #wasStarted(): boolean {
    return this.#first !== undefined && (this.#isCancelled || this.#status.includes('"exit-code"'))
  }

  /** The sandbox waits: past pivot_root, before the filter and the program. */
  #register(block: Writable): void {
    const pid = Number(/"child-pid": (\d+)/.exec(this.#status)?.[1])
    try {
      this.#first = new ProcessHandle(pid)
      this.#cgroup?.add(pid)
      this.#limit(pid)
      this.#options.onFirst?.(this.#first)
    } catch (thrown) {
      this.#fail(describe(thrown))
      return
    }
    if (this.#isCancelled) this.kill()
    else block.end("x")
  }

  #fail(reason: string): void {
    this.#failure ??= reason
    this.kill()
  }

  /** Where there are no groups: each process's memory, and how many there are in the sandbox's user namespace. */
  #limit(pid: number): void {
    const { ungrouped, plan } = this.#options
    if (ungrouped.memory) limitResource(pid, Resource.AS, plan.limits.memory_limit_mb * MIB)
    if (ungrouped.pids && countsByNamespace()) limitResource(pid, Resource.NPROC, plan.limits.pids_limit)
  }

  /** bubblewrap hangs: nothing is known of what it has started, but for the kernel's own word. */
  #abandon(): void {
    this.#failure ??= "bubblewrap does not answer"
    const { pid } = this.#child
    for (const child of pid === undefined ? [] : childrenOf(pid)) process.kill(child, "SIGKILL")
    this.#child.kill("SIGKILL")
  }

  /**
   * Ends every process in it, at once and for sure; before it has told its first process, as soon as it does. (Killing
   * bubblewrap alone then could leave that process waiting for ever, and closing its pipe would let it go on.)
   */
  kill(): void {
    this.#isCancelled = true
    this.#first?.kill(SIGKILL)
    this.#cgroup?.kill()
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
    await this.ended
    const first = this.#first
    if (first === undefined) return
    // bubblewrap leaves its first process to whoever is above it.
    while (!reap(first.pid)) await sleep(REAP_MS)
    first[Symbol.dispose]()
  }
}

/** Linux 5.14; before, a user's processes counted wherever they were, and a sandbox could start none. */
export function countsByNamespace(version = release()): boolean {
  const [major = 0, minor = 0] = version.split(/[.-]/).map(Number)
  return major > 5 || (major === 5 && minor >= 14)
}

function start({ bwrap, plan, place, command, files }: SandboxOptions): ChildProcess {
  const { stdio, tool, script, grants, seccomp } = files
  const bound = [tool, ...(script === undefined ? [] : [script]), ...grants]
  const isRoot = process.getuid?.() === 0
  const paths = bound.map((_, at) => (isRoot ? `/tmp/${at}` : `/proc/self/fd/${Fd.BOUND + at}`))
  const [toolPath = "", ...others] = paths
  const sources = {
    tool: toolPath,
    script: script === undefined ? undefined : others[0],
    grants: script === undefined ? others : others.slice(1),
  }
  const fds = { status: Fd.STATUS, block: Fd.BLOCK, seccomp: Fd.SECCOMP }
  const options = argumentsFile(bwrapOptions(plan, place, fds, sources))
  const line = [bwrap, "--args", String(Fd.ARGS), "--", ...command]
  const numbers = bound.map((_, at) => Fd.BOUND + at).join(",")
  // bubblewrap would map nobody to root, whose files it could read then.
  const [program = "", ...args] = isRoot ? [STAGE, numbers, ...line] : line
  try {
    return spawn(program, args, {
      // The mount must not be anybody's working directory here.
      cwd: "/",
      env: {},
      stdio: [...stdio, options, "pipe", "pipe", seccomp, ...bound],
    })
  } finally {
    closeSync(options)
  }
}

/** In memory: paths and variables stand on no command line. */
function argumentsFile(words: readonly string[]): number {
  if (words.some((word) => word.includes("\0"))) throw new Fault("invalid", "a NUL byte in a name")
  return memoryFile("bwrap", Buffer.from(words.map((word) => `${word}\0`).join("")))
}

/** A file in memory that is read from its beginning. */
export function memoryFile(name: string, bytes: Buffer): number {
  const fd = checked("memfd_create", memfdCreate(name, MFD_CLOEXEC))
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at)
  const again = openSync(`/proc/self/fd/${fd}`, "r")
  closeSync(fd)
  return again
}
