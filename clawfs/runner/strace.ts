/** strace(1) on a sandbox from outside of it, so that the sandbox is what it always is; and what its output says. */
import { spawn, type ChildProcess } from "node:child_process"
import { readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { Fault } from "../core/fault.ts"
import { isExecutable } from "./find-programs.ts"

const STRACE = ["/usr/bin/strace", "/usr/local/bin/strace"]
const ATTACH_MS = 20_000
const PAUSE_MS = 5
const MOST_WORDS = 2000

/** Throws `Fault("unsupported")` where it is not installed. */
export function findStrace(): string {
  const found = STRACE.find(isExecutable)
  if (found !== undefined) return found
  throw new Fault("unsupported", "strace is not installed", { hint: "apt-get install strace" })
}

export class Strace {
  readonly #child: ChildProcess
  readonly #ended: Promise<void>
  #words = ""

  private constructor(program: string, pid: number, output: string) {
    this.#child = spawn(program, ["-f", "-qq", "-o", output, "-p", String(pid)], {
      stdio: ["ignore", "ignore", "pipe"],
    })
    this.#child.stderr?.on("data", (chunk: Buffer) => {
      if (this.#words.length < MOST_WORDS) this.#words += chunk.toString()
    })
    this.#ended = new Promise((resolve) => {
      this.#child.once("close", () => resolve())
      this.#child.once("error", (error) => {
        this.#words ||= error.message
        resolve()
      })
    })
  }

  /** Resolves when it looks at `pid`, and at what that starts from then on. Throws `Fault("denied")` when it may not. */
  static async attach(program: string, pid: number, output: string): Promise<Strace> {
    const strace = new Strace(program, pid, output)
    for (const end = Date.now() + ATTACH_MS; !isTraced(pid);) {
      if (strace.#child.exitCode !== null || Date.now() > end) {
        strace.#child.kill("SIGKILL")
        const [line = ""] = strace.#words.split("\n")
        throw new Fault("denied", `strace can't look at the sandbox${line === "" ? "" : ` (${line})`}`, {
          hint: "run this as the user that has mounted",
        })
      }
      await sleep(PAUSE_MS)
    }
    return strace
  }

  /** It ends when everything that it looks at has ended. */
  get ended(): Promise<void> {
    return this.#ended
  }

  kill(): void {
    this.#child.kill("SIGKILL")
  }
}

function isTraced(pid: number): boolean {
  return !/^TracerPid:\t0$/m.test(readFileSync(`/proc/${pid}/status`, "latin1"))
}

export interface Seen {
  readonly calls: number
  /** Of them, answered with EPERM or ENOSYS. */
  readonly refused: number
}

const LINE = /^(\d+) +(?:(\w+)\(|<\.\.\. (\w+) resumed>)(.*)$/
const LOADS_FILTER = /^(?:PR_SET_SECCOMP, SECCOMP_MODE_FILTER|SECCOMP_SET_MODE_FILTER)/
const REFUSED = /= -1 (?:EPERM|ENOSYS) /

/** The calls in strace's output that were made under a filter, by name. */
export function callsUnderFilter(text: string): Map<string, Seen> {
  const seen = new Map<string, Seen>()
  /** Processes that were there before theirs was loaded. */
  const free = new Set<string>()
  let isLoaded = false
  for (const line of text.split("\n")) {
    const [, pid = "", begun, resumed, rest = ""] = LINE.exec(line) ?? []
    const name = begun ?? resumed
    if (name === undefined) continue
    if (!isLoaded) free.add(pid)
    if (begun !== undefined && LOADS_FILTER.test(rest)) {
      isLoaded = true
      free.delete(pid)
    } else if (!free.has(pid)) {
      const { calls, refused } = seen.get(name) ?? { calls: 0, refused: 0 }
      seen.set(name, {
        calls: calls + (begun === undefined ? 0 : 1),
        refused: refused + (REFUSED.test(rest) ? 1 : 0),
      })
    }
  }
  return seen
}
