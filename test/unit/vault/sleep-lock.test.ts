/** The vault is locked before the machine sleeps: by a bus of the test's own, with a systemd-logind that is none. */
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface, type Interface } from "node:readline"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { Log } from "../../../clawfs/core/log.ts"
import { SleepLock } from "../../../vault/service/sleep-lock.ts"
import { repository } from "../../helpers/programs.ts"
import { requirePrograms, skipIf } from "../../helpers/requirements.ts"

const PYTHON = "/usr/bin/python3"
const LOGIND = join(repository, "test", "helpers", "fake-logind.py")
const ANSWER_MS = 30_000
const AGAIN_MS = 50

function requireBus(): string | undefined {
  const modules = ["/usr/lib/python3/dist-packages/dbus", "/usr/lib/python3/dist-packages/gi"]
  return (
    requirePrograms("dbus-daemon") ??
    (existsSync(PYTHON) && modules.every((each) => existsSync(each))
      ? undefined
      : "not installed: python3-dbus, python3-gi")
  )
}

/** A child that says lines, and is told some. */
class Talker implements AsyncDisposable {
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

let directory: string
let address: string
let bus: Talker
beforeAll(async () => {
  if (requireBus() !== undefined) return
  directory = mkdtempSync(join(tmpdir(), "clawfs-bus-"))
  bus = new Talker("dbus-daemon", [
    "--session",
    "--nofork",
    "--print-address",
    `--address=unix:path=${directory}/bus`,
  ])
  address = await bus.hears("unix:")
})
afterAll(async () => {
  if (requireBus() !== undefined) return
  await bus[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true, force: true })
})
beforeEach((context) => skipIf(context, requireBus()))

async function logind(): Promise<Talker> {
  const talker = new Talker(PYTHON, [LOGIND], { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: address })
  await talker.hears("ready")
  return talker
}

/** Counts how often the vault would have been locked; disposing gives the machine leave to sleep. */
class Locked implements Disposable {
  count = 0
  readonly lock: SleepLock

  constructor() {
    this.lock = new SleepLock(() => (this.count += 1), new Log("test"), address, AGAIN_MS)
  }

  [Symbol.dispose](): void {
    this.lock[Symbol.dispose]()
  }
}

async function until(what: () => boolean): Promise<void> {
  for (const end = Date.now() + ANSWER_MS; !what();) {
    if (Date.now() > end) throw new Error("it does not come to that")
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test("the machine waits until the vault is locked", async () => {
  await using manager = await logind()
  using locked = new Locked()
  await locked.lock.start()
  expect(await manager.hears("lock")).toBe("lock sleep ClawFS delay")
  expect(locked.lock.isHeld).toBe(true)
  // That it woke up locks nothing.
  manager.tell("wake")
  await manager.hears("done wake")
  manager.tell("sleep")
  await until(() => locked.count > 0)
  expect([locked.count, locked.lock.isHeld]).toEqual([1, true])
  // It says "slept" when it has the lock back, and not before.
  locked[Symbol.dispose]()
  await manager.hears("slept")
})

test("a signal from anybody else locks nothing", async () => {
  await using manager = await logind()
  using locked = new Locked()
  await locked.lock.start()
  manager.tell("forge")
  await manager.hears("done forge")
  manager.tell("sleep")
  await until(() => locked.count > 0)
  expect(locked.count).toBe(1)
})

test("without logind, or a bus, there is no lock; it is taken when there is one, and again after logind was gone", async () => {
  {
    using none = new SleepLock(() => undefined, new Log("test"), `unix:path=${directory}/none`, AGAIN_MS)
    await none.start()
    expect(none.isHeld).toBe(false)
  }
  using locked = new Locked()
  await locked.lock.start()
  expect(locked.lock.isHeld).toBe(false)
  await using manager = await logind()
  await until(() => locked.lock.isHeld)
  expect(await manager.hears("lock")).toBe("lock sleep ClawFS delay")
})
