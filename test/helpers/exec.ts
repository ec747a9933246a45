/** Child processes with a time limit. Nothing here waits for ever: not for a process, not for its pipes, not for exec. */
import { spawn } from "node:child_process"
import { patience } from "./patience.ts"

export interface ExecOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  readonly input?: string
  readonly timeoutSeconds?: number
  /** Called when the time is over, before the process group is killed: where a hung mount is aborted. */
  readonly onTimeout?: () => void
  /** Ends the process group at once. */
  readonly signal?: AbortSignal
}

export interface Finished {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  readonly milliseconds: number
}

const graceMs = 10_000

/**
 * Runs a program to its end. The directory is entered by a shell in the child: chdir and exec on a hung filesystem
 * would otherwise block the parent inside spawn.
 */
export function exec(program: string, args: readonly string[], options: ExecOptions = {}): Promise<Finished> {
  const seconds = (options.timeoutSeconds ?? 60) * patience
  const script = options.cwd === undefined ? 'exec "$0" "$@"' : 'cd "$CLAWFS_TEST_CWD" && exec "$0" "$@"'
  const env = { ...process.env, ...options.env }
  if (options.cwd !== undefined) env["CLAWFS_TEST_CWD"] = options.cwd
  const started = performance.now()
  return new Promise((resolve, reject) => {
    const child = spawn("/bin/sh", ["-c", script, program, ...args], { env, detached: true })
    const out: Buffer[] = []
    const err: Buffer[] = []
    const text = (chunks: Buffer[]) => Buffer.concat(chunks).toString("utf8")
    const command = [program, ...args].join(" ").slice(0, 300)
    const fail = (what: string) =>
      reject(new Error(`${what}: ${command}\n${text(out).slice(-4000)}${text(err).slice(-4000)}`))
    let late = false
    const timer = setTimeout(() => {
      late = true
      options.onTimeout?.()
      kill(child.pid)
      setTimeout(() => fail(`not finished in ${seconds} s and not even SIGKILL ended it`), graceMs).unref()
    }, seconds * 1000)
    options.signal?.addEventListener("abort", () => kill(child.pid))
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk))
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk))
    child.stdin.on("error", () => undefined)
    child.stdin.end(options.input ?? "")
    child.on("error", reject)
    const finish = (code: number | null, signal: NodeJS.Signals | null) => {
      clearTimeout(timer)
      if (late) fail(`not finished in ${seconds} s, killed`)
      else
        resolve({
          code,
          signal,
          stdout: text(out),
          stderr: text(err),
          milliseconds: performance.now() - started,
        })
    }
    child.on("close", finish)
    // a background process may hold the pipes open for ever: shortly after the exit they are given up
    child.on("exit", (code, signal) => {
      setTimeout(() => {
        child.stdout.destroy()
        child.stderr.destroy()
        finish(code, signal)
      }, 1000).unref()
    })
  })
}

function kill(group: number | undefined): void {
  if (group === undefined) return
  try {
    process.kill(-group, "SIGKILL")
  } catch {
    // already gone
  }
}

/** Like exec, but anything but exit code 0 is an error that shows what the program printed. */
export async function run(
  program: string,
  args: readonly string[],
  options: ExecOptions = {},
): Promise<Finished> {
  const result = await exec(program, args, options)
  if (result.code === 0) return result
  const command = [program, ...args].join(" ").slice(0, 300)
  throw new Error(
    `exit ${result.code ?? result.signal ?? "?"}: ${command}\n${result.stdout.slice(-6000)}${result.stderr.slice(-6000)}`,
  )
}

/** Waits for all of them also when one fails: nothing of a failed test may go on while its mount is taken away. */
export async function together<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(promises)
  const failed = settled.find((each) => each.status === "rejected")
  if (failed !== undefined) throw failed.reason
  return settled.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []))
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms))

/** Polls until the condition holds; false when it did not within the time. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
): Promise<boolean> {
  const end = performance.now() + timeoutMs * patience
  while (!(await condition())) {
    if (performance.now() > end) return false
    await sleep(25)
  }
  return true
}
