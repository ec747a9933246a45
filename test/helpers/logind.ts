/** A bus of the test's own, and a systemd-logind on it that is none (fake-logind.py). */
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface, type Interface } from "node:readline"
import { repository } from "./programs.ts"
import { requirePrograms } from "./requirements.ts"

const PYTHON = "/usr/bin/python3"
const LOGIND = join(repository, "test", "helpers", "fake-logind.py")
const ANSWER_MS = 30_000

export function requireBus(): string | undefined {
  const modules = ["/usr/lib/python3/dist-packages/dbus", "/usr/lib/python3/dist-packages/gi"]
  return (
    requirePrograms("dbus-daemon") ??
    (existsSync(PYTHON) && modules.every((each) => existsSync(each))
      ? undefined
      : "not installed: python3-dbus, python3-gi")
  )
}

/** A child that says lines, and is told some. */
export class Talker implements AsyncDisposable {
  readonly process: ChildProcess
  readonly #lines: Interface
  readonly #said: string[] = []
  #wake = (): void => undefined

  constructor(program: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    this.process = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"], env })
    this.#lines = createInterface({ input: this.process.stdout ?? process.stdin })
    this.#lines.on("line", (line) => {
      this.#said.push(line)
      this.#wake()
    })
  }

  /** Waits for a line that begins so. */
  async hears(start: string): Promise<string> {
    const until = Date.now() + ANSWER_MS
    for (;;) {
      const at = this.#said.findIndex((line) => line.startsWith(start))
      if (at >= 0) return this.#said.splice(at, 1)[0] ?? ""
      if (Date.now() > until) throw new Error(`nobody says "${start}", but ${JSON.stringify(this.#said)}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  tell(line: string): void {
    this.process.stdin?.write(`${line}\n`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const ended = once(this.process, "exit")
    this.process.kill("SIGKILL")
    await ended
  }
}

export class TestBus implements AsyncDisposable {
  readonly directory: string
  readonly address: string
  readonly #daemon: Talker

  private constructor(directory: string, address: string, daemon: Talker) {
    this.directory = directory
    this.address = address
    this.#daemon = daemon
  }

  static async start(): Promise<TestBus> {
    const directory = mkdtempSync(join(tmpdir(), "clawfs-bus-"))
    const where = `--address=unix:path=${directory}/bus`
    const daemon = new Talker("dbus-daemon", ["--session", "--nofork", "--print-address", where])
    return new TestBus(directory, await daemon.hears("unix:"), daemon)
  }

  /** Ready to be asked. */
  async logind(): Promise<Talker> {
    const env = { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: this.address }
    const talker = new Talker(PYTHON, [LOGIND], env)
    await talker.hears("ready")
    return talker
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon[Symbol.asyncDispose]()
    rmSync(this.directory, { recursive: true, force: true })
  }
}
