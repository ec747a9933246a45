/**
 * Runs a program that uses secrets: it gets each through a pipe, or in an environment variable that a shell sets just before
 * it becomes the program, so that no value is an argument or a string of this process. Its output passes the leak filter.
 */
import { spawn, type ChildProcess } from "node:child_process"
import { closeSync, writeSync } from "node:fs"
import { Socket } from "node:net"
import type { Readable } from "node:stream"
import { Fault } from "../../clawfs/core/fault.ts"
import { pipe } from "../../clawfs/sys/pipes.ts"
import { MOST_EXPANSION } from "../encodings.ts"
import { LeakFilter, LeakScanner } from "../leaks.ts"
import type { Vault } from "../vault.ts"
import { pass } from "./passing.ts"

const FIRST_FD = 3
/** A POSIX shell redirects descriptors of one digit. */
export const MOST_SECRETS = 6
/** The program may not be told where to load code from, by whoever asks for it to be run. */
const KEPT_VARIABLES = ["HOME", "LANG", "LC_ALL", "LOGNAME", "TERM", "TZ", "USER"]
const SAFE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
const END_MS = 3000
/** What it has written is passed on when it is ended early, too. */
const NEVER = new AbortController().signal

export interface SecretUse {
  readonly name: string
  readonly variable: string
  /** fd: the variable has the path of a pipe that gives the value once · env: the variable has the value itself */
  readonly as: "fd" | "env"
}

export interface Execution {
  /** Runs, as `argv0`. */
  readonly program: string
  /** A sealed copy of it, run instead of what has its name now. */
  readonly sealed?: number | undefined
  readonly args: readonly string[]
  readonly uses: readonly SecretUse[]
  /** "NAME=value" of the caller; all but a few are left out. */
  readonly environment: readonly string[]
  readonly directory: string
  readonly uid: number
  readonly gid: number
  readonly stdin: number
  readonly stdout: number
  readonly stderr: number
}

export interface Executed {
  readonly code: number | null
  readonly signal: string | null
  /** How many leaks were taken out, and of which secrets. */
  readonly leaks: number
  readonly leaked: readonly string[]
}

/** Runs `work` with the value of a secret: `Vault.use`. */
export type WithValue = (name: string, work: (value: Buffer) => void) => void

export class Runner {
  readonly #vault: Vault
  readonly #decoys: { addCanaries(scanner: LeakScanner): void }
  readonly #children = new Set<ChildProcess>()

  /** `decoys` teaches a scanner what shall be noticed besides the values that a program gets. */
  constructor(vault: Vault, decoys: { addCanaries(scanner: LeakScanner): void }) {
    this.#vault = vault
    this.#decoys = decoys
  }

  /**
   * Starts the program; resolves when it has ended and its output is passed on. Throws before anything runs if a use is
   * refused. `gone` is called with what ends it early.
   */
  start(plan: Execution, withValue: WithValue, gone: (stop: () => void) => void): Promise<Executed> {
    const scanner = new LeakScanner()
    const pipes: number[] = []
    try {
      for (const { name } of plan.uses)
        withValue(name, (value) => {
          const [reading, writing] = pipe()
          pipes.push(reading)
          try {
            for (let at = 0; at < value.length;) at += writeSync(writing, value, at)
          } finally {
            closeSync(writing)
          }
          this.#vault.values.borrow(MOST_EXPANSION * value.length, (room) => scanner.add(name, value, room))
        })
      this.#decoys.addCanaries(scanner)
      return this.#run(plan, pipes, scanner, gone)
    } finally {
      for (const fd of pipes) closeSync(fd)
    }
  }

  async #run(
    plan: Execution,
    pipes: readonly number[],
    scanner: LeakScanner,
    gone: (stop: () => void) => void,
  ): Promise<Executed> {
    // Node's own are sockets, which programs can't open by the name /dev/stdout.
    const [out, err] = [pipe(), pipe()]
    const sources = [readerOf(out[0]), readerOf(err[0])] as const
    const child = spawned(plan, pipes, [out[1], err[1]])
    closeSync(out[1])
    closeSync(err[1])
    this.#children.add(child)
    const stop = (): void => stopGroup(child)
    gone(stop)
    const ended = new Promise<[number | null, string | null]>((resolve, reject) => {
      child.on("error", (cause) =>
        reject(new Fault("not-found", `the program can't be run: ${cause.message}`, { cause })),
      )
      child.on("close", (code, signal) => resolve([code, signal]))
    })
    const filters = [new LeakFilter(scanner), new LeakFilter(scanner)] as const
    try {
      const [, , [code, signal]] = await Promise.all([
        pass(sources[0], filters[0], plan.stdout, NEVER),
        pass(sources[1], filters[1], plan.stderr, NEVER),
        ended,
      ])
      const leaked = [...new Set(filters.flatMap(({ names }) => names))].sort()
      return { code, signal, leaks: filters[0].count + filters[1].count, leaked }
    } finally {
      this.#children.delete(child)
    }
  }

  /** Ends all that still run. */
  stop(): void {
    for (const child of this.#children) stopGroup(child)
  }
}

/**
 * Takes each value from its pipe into its variable, closes the pipe, becomes the program. The x keeps newlines at the end,
 * which a command substitution would drop.
 */
function shellScript(uses: readonly SecretUse[]): string {
  const lines = uses.flatMap(({ variable, as }, at) => {
    const fd = FIRST_FD + at
    if (as === "fd") return []
    return [
      `${variable}=$(/bin/cat <&${fd}; echo x) || exit 126`,
      `${variable}=\${${variable}%x}; export ${variable}; exec ${fd}<&-`,
    ]
  })
  return [...lines, 'exec "$@"'].join("\n")
}

/** Takes the descriptor over. */
function readerOf(fd: number): Readable {
  return new Socket({ fd, readable: true, writable: false })
}

function spawned(plan: Execution, pipes: readonly number[], output: readonly [number, number]): ChildProcess {
  const { uses, args, directory, uid, gid, stdin } = plan
  const programFd = FIRST_FD + uses.length
  const program = plan.sealed === undefined ? plan.program : `/proc/self/fd/${programFd}`
  const byShell = uses.some(({ as }) => as === "env")
  const command: [string, readonly string[]] = byShell
    ? ["/bin/sh", ["-c", shellScript(uses), plan.program, program, ...args]]
    : [program, args]
  const isOther = uid !== process.getuid?.()
  return spawn(command[0], command[1], {
    ...(byShell ? {} : { argv0: plan.program }),
    ...(isOther ? { uid, gid } : {}),
    cwd: directory,
    env: environmentOf(plan),
    stdio: [stdin, ...output, ...pipes, ...(plan.sealed === undefined ? [] : [plan.sealed])],
    detached: true,
  })
}

function environmentOf({ environment, uses }: Execution): Record<string, string> {
  const kept = environment.flatMap((each): [string, string][] => {
    const at = each.indexOf("=")
    const name = each.slice(0, at)
    return KEPT_VARIABLES.includes(name) ? [[name, each.slice(at + 1)]] : []
  })
  const paths = uses.flatMap(({ variable, as }, at): [string, string][] =>
    as === "fd" ? [[variable, `/dev/fd/${FIRST_FD + at}`]] : [],
  )
  return { ...Object.fromEntries(kept), PATH: SAFE_PATH, ...Object.fromEntries(paths) }
}

function stopGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  signalGroup(pid, "SIGTERM")
  setTimeout(() => signalGroup(pid, "SIGKILL"), END_MS).unref()
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "ESRCH") throw thrown
  }
}
