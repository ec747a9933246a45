/**
 * A ClawFS mount for one test, made by the built program and gone when the test ends: `await using mount = await
 * mountClawfs()`. A mount, process or file that is left over fails the test. The test process itself never does
 * anything on the mount: what hangs there is ended by the watchdog.
 */
import { spawn, type ChildProcess } from "node:child_process"
import { randomBytes, randomUUID } from "node:crypto"
import { setMaxListeners } from "node:events"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { exec, run, sleep, waitUntil, type ExecOptions, type Finished } from "./exec.ts"
import {
  abortConnections,
  detachElsewhere,
  detachMounts,
  isAlive,
  kill,
  mountsBelow,
  processesNaming,
  processId,
  type ProcessId,
} from "./mountinfo.ts"
import { patience } from "./patience.ts"
import { program } from "./programs.ts"
import { cli, plainDirectory, requireFuse } from "./requirements.ts"
import type { Order } from "./watchdog.ts"

/** `clawfs status --json`, as far as tests read it. */
export interface Status {
  readonly state: "serving" | "restarting" | "failed"
  readonly supervisor: { readonly pid: number }
  readonly server: { readonly pid: number; readonly restarts: number }
  readonly inodes: { readonly used: number; readonly orphans: number }
  readonly bytes: { readonly used: number }
  readonly log: { readonly deadBytes: number }
  readonly lookups: number
}

export interface MountOptions {
  /** Arguments of `clawfs mount`, such as "--writeback". */
  readonly flags?: readonly string[]
  readonly initFlags?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** `work` is an encrypted tree, unlocked whenever the store is mounted. */
  readonly encrypted?: boolean
  /** Another command line program than the built one. */
  readonly cli?: string
  /** With the search index, which most tests have no use for. */
  readonly index?: boolean
  /** Where the store is to be made; beside the mount point unless told otherwise. */
  readonly store?: string
  /** After so many seconds the watchdog aborts the connection. */
  readonly limitSeconds?: number
}

/** A place for files under test: a mount, or the plain directory of TEST_DIR. */
export interface Target extends AsyncDisposable {
  /** An empty directory. */
  readonly work: string
  readonly mount: Mount | undefined
  /** A directory for files of the test itself, on the machine's own disk. */
  readonly scratch: string
  run(program: string, args: readonly string[], options?: ExecOptions): Promise<Finished>
}

const node = process.execPath

/** The status of a mount, or undefined if that is no JSON: the command failed. */
function parse(text: string): Status | undefined {
  try {
    return JSON.parse(text) as Status
  } catch {
    return undefined
  }
}

// a worker of vitest outlives a run that is ended by a signal: without its parent it ends, and the watchdog cleans up
process.once("disconnect", () => process.kill(process.pid, "SIGKILL"))

/** A new directory below the temporary one; never on tmpfs, which lacks what a store needs. */
export function temporaryDirectory(): string {
  const tmpfs = 0x01021994
  const parent = statfsSync(tmpdir()).type === tmpfs ? "/var/tmp" : tmpdir()
  return mkdtempSync(join(parent, "clawfs-test-"))
}

export async function mountClawfs(options: MountOptions = {}): Promise<Mount> {
  const reason = requireFuse()
  if (reason !== undefined) throw new Error(reason)
  const mount = new Mount(temporaryDirectory(), options)
  try {
    await mount.create()
  } catch (error) {
    await mount[Symbol.asyncDispose]().catch(() => undefined)
    throw error
  }
  return mount
}

/** A mount, or a directory of TEST_DIR when that is set. */
export async function openTarget(options: MountOptions = {}): Promise<Target> {
  if (plainDirectory === undefined) return mountClawfs(options)
  const scratch = temporaryDirectory()
  const work = mkdtempSync(join(plainDirectory, "clawfs-test-"))
  return {
    work,
    scratch,
    mount: undefined,
    run,
    [Symbol.asyncDispose]: () => {
      for (const directory of [work, scratch]) rmSync(directory, { recursive: true, force: true })
      return Promise.resolve()
    },
  }
}

export class Mount implements Target {
  readonly mount = this
  readonly store: string
  readonly mountpoint: string
  readonly scratch: string
  readonly work: string
  readonly #options: MountOptions
  readonly #base: string
  readonly #watchdog: ChildProcess
  #watchdogSaid = ""
  readonly #processes = new Map<number, ProcessId>()
  #isMounted = false
  readonly #running = new Set<string>()
  /** Ends the programs that a failed test left running. */
  readonly #ending = new AbortController()

  constructor(base: string, options: MountOptions) {
    this.#base = base
    this.#options = options
    this.store = options.store ?? join(base, "store")
    this.mountpoint = join(base, "mount")
    this.scratch = join(base, "scratch")
    this.work = join(this.mountpoint, "workspaces", `test-${randomUUID().slice(0, 8)}`)
    setMaxListeners(0, this.#ending.signal)
    mkdirSync(this.mountpoint)
    mkdirSync(this.scratch)
    this.#watchdog = spawn(
      node,
      [program("test/helpers/watchdog.ts"), base, String((options.limitSeconds ?? 170) * patience)],
      {
        stdio: ["pipe", "pipe", "inherit"],
        detached: true,
      },
    )
    this.#watchdog.stdout?.on("data", (chunk: Buffer) => (this.#watchdogSaid += chunk.toString()))
    this.#watchdog.stdin?.on("error", () => undefined)
  }

  async create(): Promise<void> {
    await this.clawfs(["init", this.store, ...(this.#options.initFlags ?? [])])
    await this.mountAgain()
    await this.run("mkdir", ["-m", "0777", this.work])
    if (this.#options.encrypted !== true) return
    writeFileSync(this.keyFile, randomBytes(32), { mode: 0o600 })
    await this.clawfs(["encrypt", "--key-file", this.keyFile, this.work])
  }

  /** Opens the encrypted tree `work`. */
  get keyFile(): string {
    return join(this.#base, "key")
  }

  get #cli(): string {
    return this.#options.cli ?? cli
  }

  /** Runs the command line program. */
  clawfs(args: readonly string[], options: ExecOptions = {}): Promise<Finished> {
    return run(node, [this.#cli, ...args], { timeoutSeconds: 60, ...options })
  }

  /** Runs the command line program, whatever its exit code. */
  clawfsAnyway(args: readonly string[], options: ExecOptions = {}): Promise<Finished> {
    return exec(node, [this.#cli, ...args], { timeoutSeconds: 60, ...options })
  }

  /** Runs a program on the mount; anything but exit code 0 is an error. */
  run(command: string, args: readonly string[], options: ExecOptions = {}): Promise<Finished> {
    return this.#watched(run, command, args, options)
  }

  /** Runs a program on the mount, whatever its exit code. */
  exec(command: string, args: readonly string[], options: ExecOptions = {}): Promise<Finished> {
    return this.#watched(exec, command, args, options)
  }

  #watched(
    start: typeof exec,
    command: string,
    args: readonly string[],
    options: ExecOptions,
  ): Promise<Finished> {
    const name = [command, ...args].join(" ").slice(0, 200)
    this.#running.add(name)
    const onTimeout = () => void abortConnections(this.#base)
    const running = start(command, args, { onTimeout, signal: this.#ending.signal, ...options }).finally(
      () => {
        this.#running.delete(name)
      },
    )
    // a test that has failed already does not wait for it any more
    running.catch(() => undefined)
    return running
  }

  /** What the mount says once it serves: while a server is being replaced it is asked again. */
  async status(waitMs = 20_000): Promise<Status> {
    const end = performance.now() + waitMs * patience
    for (;;) {
      const { stdout, stderr } = await this.clawfsAnyway(["status", this.mountpoint, "--json"])
      const status = parse(stdout)
      if (status?.state === "serving") {
        this.#note(status.supervisor.pid, status.server.pid)
        return status
      }
      if (status?.state !== "restarting" || performance.now() > end) {
        throw new Error(`the mount does not serve: ${stdout}${stderr}${this.log()}`)
      }
      await sleep(20)
    }
  }

  serverPid = async (): Promise<number> => (await this.status()).server.pid
  supervisorPid = async (): Promise<number> => (await this.status()).supervisor.pid

  /** The end of what supervisor and server printed and logged. */
  log(): string {
    const logs = [join(this.#base, "mount.log"), join(this.store, "clawfs.log")].filter((file) =>
      existsSync(file),
    )
    return logs.map((file) => `${file}:\n${readFileSync(file, "utf8").slice(-4000)}`).join("\n")
  }

  /** The kernel forgets every name, inode and page of this mount that nothing holds. */
  async dropCaches(): Promise<void> {
    await this.run(node, [program("test/helpers/drop-caches.ts"), this.mountpoint])
  }

  /** SIGKILL to the server that runs now; resolves when it is dead. */
  async killServer(): Promise<void> {
    const id = processId(await this.serverPid())
    if (id === undefined) return
    kill(id)
    await waitUntil(() => !isAlive(id), 30_000)
  }

  /** SIGKILL to the server, and waits until another one serves. */
  async killServerAndWait(): Promise<void> {
    const before = (await this.status()).server
    await this.killServer()
    const after = await this.status()
    if (after.server.pid !== before.pid && after.server.restarts > before.restarts) return
    throw new Error(`no new server after SIGKILL: ${JSON.stringify(after)}\n${this.log()}`)
  }

  /** SIGKILL to the supervisor alone, as it was asked for before; resolves when the server has ended by itself. */
  async killSupervisor({ supervisor, server }: Status): Promise<void> {
    await this.#killAndWait([supervisor.pid], [supervisor.pid, server.pid])
  }

  /** SIGKILL to supervisor and server at once, as they were asked for before. The dead mount stays. */
  async killBoth({ supervisor, server }: Status): Promise<void> {
    const pids = [supervisor.pid, server.pid]
    await this.#killAndWait(pids, pids)
  }

  async #killAndWait(pids: readonly number[], ending: readonly number[]): Promise<void> {
    const isEnding = ({ pid }: ProcessId): boolean => ending.includes(pid)
    const processes = [...this.#processes.values()].filter(isEnding)
    processes.filter(({ pid }) => pids.includes(pid)).forEach(kill)
    if (!(await waitUntil(() => !processes.some(isAlive), 60_000)))
      throw new Error(`the server goes on without its supervisor\n${this.log()}`)
    this.#processes.clear()
  }

  /** Mounts the store again after an unmount. */
  async mountAgain(): Promise<void> {
    const result = await this.tryToMount()
    if (result.code !== 0) throw new Error(`clawfs mount: exit ${result.code ?? "?"}\n${this.log()}`)
    if (existsSync(this.keyFile)) await this.clawfs(["unlock", "--key-file", this.keyFile, this.work])
  }

  /** `clawfs mount`, with more flags than the mount has anyway, whatever its exit code. Encrypted trees stay locked. */
  async tryToMount(more: readonly string[] = []): Promise<Finished> {
    // the supervisor inherits the output: a file, since a pipe would break when this process ends
    const script = 'log=$1; shift; exec "$@" >>"$log" 2>&1'
    const index = this.#options.index === true ? [] : ["--no-index"]
    const args = ["mount", this.store, this.mountpoint, ...index, ...(this.#options.flags ?? []), ...more]
    const env = this.#options.env === undefined ? {} : { env: this.#options.env }
    const log = join(this.#base, "mount.log")
    this.#isMounted = true
    const result = await this.exec("/bin/sh", ["-c", script, "mount", log, node, this.#cli, ...args], {
      timeoutSeconds: 30,
      ...env,
    })
    if (result.code === 0) await this.status()
    return result
  }

  /** Unmounts through the program; an error if a mount or process stays. */
  async unmount(): Promise<void> {
    const problems = await this.#unmount()
    if (problems.length > 0) throw new Error(problems.join("\n"))
  }

  async remount(): Promise<void> {
    await this.unmount()
    await this.mountAgain()
  }

  /** SIGKILL to supervisor and server: the mount is dead, the store as a crash leaves it. */
  async crash(): Promise<void> {
    await this.status()
    const processes = [...this.#processes.values()]
    processes.forEach(kill)
    await waitUntil(() => !processes.some(isAlive), 30_000)
    detachElsewhere(this.#base)
    detachMounts(this.#base)
    this.#processes.clear()
    this.#isMounted = false
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const problems = [...this.#running].map((command) => `still running when the test ended: ${command}`)
    this.#ending.abort()
    await waitUntil(() => this.#running.size === 0, 30_000)
    if (this.#isMounted) problems.push(...(await this.#unmount()))
    // Another test's `clawfs status` or `doctor` looks at every mount that there is.
    const isLookedAt = (): boolean =>
      processesNaming(this.#base).some(({ command }) => command.includes("/probe-main.js "))
    await waitUntil(() => !isLookedAt(), 10_000)
    for (const { id, command } of processesNaming(this.#base)) {
      if (id.pid === this.#watchdog.pid) continue
      problems.push(`process ${id.pid} was left behind: ${command}`)
      kill(id)
    }
    if (this.#watchdogSaid !== "") problems.push(`the watchdog had to act: ${this.#watchdogSaid.trim()}`)
    if (mountsBelow(this.#base).length === 0) rmSync(this.#base, { recursive: true, force: true })
    this.#tell({ done: true })
    this.#watchdog.stdin?.end()
    if (problems.length === 0) return
    // a test that failed before would show this, stack and all, in place of its own error
    process.stderr.write(`the mount did not end cleanly:\n${problems.join("\n")}\n`)
    const briefly = problems.map((problem) => problem.split("\n").slice(0, 2).join(" ").slice(0, 200))
    const error = new Error(`the mount did not end cleanly: ${briefly.join("; ")}`)
    delete error.stack
    throw error
  }

  async #unmount(): Promise<string[]> {
    const problems: string[] = []
    this.#isMounted = false
    // A server that a test lets die at random may just have done so.
    await this.status(10_000).catch((error: unknown) => problems.push(`clawfs status: ${String(error)}`))
    // Another test may enter a namespace of its own at any moment until nothing is mounted here any more.
    const detaching = setInterval(() => detachElsewhere(this.#base), 1000)
    detachElsewhere(this.#base)
    await this.clawfs(["unmount", this.mountpoint]).catch((error: unknown) => problems.push(String(error)))
    clearInterval(detaching)
    const processes = [...this.#processes.values()]
    await waitUntil(() => !processes.some(isAlive), problems.length === 0 ? 2000 : 0)
    for (const { mountpoint } of mountsBelow(this.#base)) problems.push(`${mountpoint} was still mounted`)
    abortConnections(this.#base)
    for (const id of processes.filter(isAlive)) {
      problems.push(`process ${id.pid} survived the unmount`)
      kill(id)
    }
    detachMounts(this.#base)
    if (problems.length > 0) problems.push(this.log())
    this.#processes.clear()
    return problems
  }

  /** Remembers the processes of the mount, so that they can be ended whatever happens. */
  #note(...pids: number[]): void {
    for (const pid of pids) {
      const id = processId(pid)
      if (id === undefined || this.#processes.get(pid)?.started === id.started) continue
      this.#processes.set(pid, id)
      this.#tell({ processes: [...this.#processes.values()] })
    }
  }

  #tell(order: Order): void {
    this.#watchdog.stdin?.write(`${JSON.stringify(order)}\n`)
  }
}
