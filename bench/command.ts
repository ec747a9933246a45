/** Child processes with a deadline. Whatever touches a mount is a child: a hung mount must never hang the runner. */
import { spawn, spawnSync } from "node:child_process"
import type { ChildProcess } from "node:child_process"

export interface CommandOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  readonly timeoutMs?: number
  /** Called before the child is killed, to free it when it hangs in a mount: SIGKILL alone would not. */
  readonly onTimeout?: () => void
}

export interface Finished {
  readonly stdout: string
  /** From spawn to exit. */
  readonly seconds: number
}

const running = new Set<ChildProcess>()
let isStopped = false

export const firstLine = (text: string): string => text.trim().split("\n")[0] ?? ""

/** The line of an error output that says what is wrong: npm and compilers put noise in front of it. */
function complaint(stderr: string): string {
  const noise = /^\s*$|^npm warn|^npm error( (code|errno|syscall) .*)?$/
  const lines = stderr.split("\n").filter((line) => !noise.test(line))
  return (lines.find((line) => /error|fail|cannot|denied|no such/i.test(line)) ?? lines[0] ?? "").trim()
}

export function run(argv: readonly string[], options: CommandOptions = {}): Promise<Finished> {
  const [file = "", ...args] = argv
  const timeoutMs = options.timeoutMs ?? 120_000
  return new Promise((resolve, reject) => {
    if (isStopped) return
    const start = process.hrtime.bigint()
    let seconds = 0
    let timedOut = false
    const out: Buffer[] = []
    const err: Buffer[] = []
    const child = spawn(file, args, {
      cwd: options.cwd ?? "/",
      env: options.env ?? process.env,
      stdio: ["ignore", "pipe", "pipe"],
    })
    running.add(child)
    const timer = setTimeout(() => {
      timedOut = true
      options.onTimeout?.()
      child.kill("SIGKILL")
    }, timeoutMs)
    child.stdout.on("data", (bytes: Buffer) => out.push(bytes))
    child.stderr.on("data", (bytes: Buffer) => err.push(bytes))
    child.on("exit", () => {
      seconds = Number(process.hrtime.bigint() - start) / 1e9
    })
    child.on("error", (error) => {
      clearTimeout(timer)
      running.delete(child)
      reject(new Error(`${file}: ${error.message}`))
    })
    child.on("close", (code, signal) => {
      clearTimeout(timer)
      running.delete(child)
      if (isStopped) return
      const stderr = Buffer.concat(err).toString()
      if (timedOut) reject(new Error(`${file}: no answer after ${timeoutMs / 1000} s`))
      else if (code === 0) resolve({ stdout: Buffer.concat(out).toString(), seconds })
      else reject(new Error(complaint(stderr) || `${file}: ${signal ?? `exit status ${code ?? "?"}`}`))
    })
  })
}

/** For cleaning up, where there is no event loop left: never throws, gives up after a deadline. */
export function runNow(argv: readonly string[], timeoutMs = 10_000): boolean {
  const [file = "", ...args] = argv
  return (
    spawnSync(file, args, { cwd: "/", stdio: "ignore", timeout: timeoutMs, killSignal: "SIGKILL" }).status ===
    0
  )
}

/** From here on no command starts and none that was killed reports back: an interrupted run goes no further. */
export function stopCommands(): void {
  isStopped = true
  for (const child of running) child.kill("SIGKILL")
}

/** The client's and workers' answers: one line of JSON, numbers only. */
export function numbers(text: string): Map<string, number> {
  const parsed: unknown = JSON.parse(text)
  if (typeof parsed !== "object" || parsed === null)
    throw new Error(`not an object of numbers: ${firstLine(text)}`)
  const entries: [string, unknown][] = Object.entries(parsed)
  return new Map(
    entries.map(([key, value]) => {
      if (typeof value !== "number") throw new Error(`"${key}" is not a number`)
      return [key, value]
    }),
  )
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
export const message = (error: unknown): string =>
  firstLine(error instanceof Error ? error.message : String(error))
