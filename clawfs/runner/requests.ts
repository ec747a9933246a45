/** Takes requests that are files (request-file.ts), so many at a time, and has them answered. */
import { chmodSync, closeSync, constants, mkdirSync, readdirSync } from "node:fs"
import { dirname, join } from "node:path"
import type { ToolOutcome } from "../../schema/tool-answer.ts"
import { Fault, describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import { O_PATH, openExactly } from "../sys/beneath.ts"
import { Arrivals } from "../sys/inotify.ts"
import { hasOwnDirectory, type ToolPlaces } from "../tools/places.ts"
import { readRegistry } from "../tools/registry.ts"
import { openRoot } from "./binaries.ts"
import { Capture } from "./capture.ts"
import type { Caller } from "./conversation.ts"
import { refusal } from "./outcome.ts"
import { RequestFile, NOTHING, requestId, takenId, type Asked } from "./request-file.ts"
import type { RunRequest } from "./run.ts"
import { memoryFileWith } from "./launch.ts"

/** Under way at the same time; the others wait as files. */
const MOST_AT_ONCE = 8
/** Names that are remembered; beyond that the directories are looked through again. */
const MOST_WAITING = 4096
/** Anybody may ask, as anybody who comes to `tools/bin` may execute; nobody may touch another's files. */
const OPEN_TO_ALL = 0o1777
const OPEN_TO_SEE = 0o755

export class Requests implements AsyncDisposable {
  readonly #places: ToolPlaces
  readonly #serve: (caller: Caller, request: RunRequest) => Promise<void>
  readonly #log: Log
  readonly #arrivals: Arrivals
  /** By what inotify calls them. */
  readonly #tools = new Map<number, string>()
  readonly #registry: number
  /** "NAME/ID" */
  readonly #waiting = new Set<string>()
  readonly #running = new Set<Promise<void>>()
  #isLost = false
  #isEnding = false

  /** Takes what is there already, too. `serve` answers the caller once, and does not throw. */
  constructor(places: ToolPlaces, serve: (caller: Caller, request: RunRequest) => Promise<void>, log: Log) {
    this.#places = places
    this.#serve = serve
    this.#log = log
    this.#arrivals = new Arrivals(
      ({ directory, name }) => this.#arrived(directory, name),
      () => this.#lookAgain(),
    )
    this.#registry = this.#arrivals.watch(places.tools)
    this.#lookAtTools(true)
  }

  #arrived(directory: number, file: string): void {
    if (directory === this.#registry) {
      if (join(this.#places.tools, file) === this.#places.registry) this.#lookAtTools(false)
      return
    }
    const name = this.#tools.get(directory)
    const id = requestId(file)
    if (name === undefined || id === undefined) return
    this.#wait(name, id)
    this.#next()
  }

  #wait(name: string, id: string): void {
    if (this.#waiting.size < MOST_WAITING) this.#waiting.add(`${name}/${id}`)
    else this.#isLost = true
  }

  /** A directory for each tool. `isFirst`: what another daemon has taken will not be answered by it. */
  #lookAtTools(isFirst: boolean): void {
    try {
      for (const name of Object.keys(readRegistry(this.#places).tools))
        if (hasOwnDirectory(name)) this.#lookAt(name, isFirst)
    } catch (thrown) {
      this.#log.error("requests for tools can't be taken", { reason: describe(thrown) })
    }
    this.#next()
  }

  #lookAt(name: string, isFirst: boolean): void {
    const directory = this.#places.invoke(name)
    if (mkdirSync(directory, { recursive: true }) !== undefined) {
      chmodSync(dirname(directory), OPEN_TO_SEE)
      chmodSync(directory, OPEN_TO_ALL)
    }
    this.#tools.set(this.#arrivals.watch(directory), name)
    for (const file of readdirSync(directory)) {
      const [id, taken] = [requestId(file), takenId(file)]
      if (id !== undefined) this.#wait(name, id)
      if (isFirst && taken !== undefined)
        this.#inDirectory(name, (fd) => new RequestFile(fd, taken).answerForDead())
    }
  }

  #lookAgain(): void {
    this.#isLost = false
    this.#lookAtTools(false)
  }

  #next(): void {
    for (const each of this.#waiting) {
      if (this.#isEnding || this.#running.size >= MOST_AT_ONCE) return
      this.#waiting.delete(each)
      const [name = "", id = ""] = each.split("/")
      const done = this.#take(name, id).catch((thrown: unknown) =>
        this.#log.error("a request for a tool was not answered", { name, id, reason: describe(thrown) }),
      )
      this.#running.add(done)
      void done.finally(() => {
        this.#running.delete(done)
        this.#next()
      })
    }
    if (this.#isLost && this.#running.size === 0) this.#lookAgain()
  }

  async #take(name: string, id: string): Promise<void> {
    let asked: Asked | undefined
    let refused: ToolOutcome | undefined
    this.#inDirectory(name, (fd) => {
      const file = new RequestFile(fd, id)
      if (!file.take()) return
      try {
        asked = file.read()
        requireOwn(asked, name)
      } catch (thrown) {
        asked = undefined
        refused = refusal(thrown).outcome
        file.answer(refused, NOTHING, NOTHING)
      }
    })
    if (asked !== undefined) await this.#ask(name, id, asked)
  }

  async #ask(name: string, id: string, { request, uid, gid }: Asked): Promise<void> {
    const { argv, envp, working_dir } = request
    using out = new Capture()
    using err = new Capture()
    const stdin = memoryFileWith("stdin", Buffer.from(request.stdin))
    let isOpen = true
    const close = (): void => {
      if (isOpen) closeSync(stdin)
      isOpen = false
      out.handedOver()
      err.handedOver()
    }
    let outcome: ToolOutcome | undefined
    const words = { name, directory: this.#onHost(working_dir), args: argv, env: envp }
    await this.#serve(
      {
        wantsOutcome: true,
        listen: () => undefined,
        answer: (told) => Promise.resolve(void (outcome = told.outcome)),
      },
      {
        ...{ words, peer: { uid, gid, pid: 0 }, stdio: [stdin, out.fd, err.fd], script: undefined },
        [Symbol.dispose]: close,
      },
    )
    close()
    const [stdout, stderr] = [await out.output(), await err.output()]
    const ended = outcome ?? refusal(new Fault("bug", "it has no outcome")).outcome
    this.#inDirectory(name, (fd) => {
      const file = new RequestFile(fd, id)
      file.isFrom({ uid, gid })
      file.answer(ended, stdout, stderr)
    })
  }

  /** A directory of the mount as this process has it. */
  #onHost(directory: string): string {
    const isBelow = directory === SPECIFIED || directory.startsWith(`${SPECIFIED}/`)
    return isBelow ? join(this.#places.mountpoint, directory.slice(SPECIFIED.length)) : directory
  }

  /** It is open no longer than that: the mount may be taken away. */
  #inDirectory(name: string, work: (fd: number) => void): void {
    const root = openRoot(this.#places.mountpoint)
    try {
      const path = Buffer.from(this.#places.invoke(name).slice(this.#places.mountpoint.length + 1))
      const fd = openExactly(root, path, O_PATH | constants.O_DIRECTORY)
      try {
        work(fd)
      } finally {
        closeSync(fd)
      }
    } finally {
      closeSync(root)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true
    this.#arrivals[Symbol.dispose]()
    await Promise.all(this.#running)
  }
}

const SPECIFIED = "/clawfs"

function requireOwn({ request: { executable } }: Asked, name: string): void {
  const own = `${SPECIFIED}/tools/bin/${name}`
  if (executable !== undefined && executable !== own)
    throw new Fault("invalid", `the request: executable: here it is ${own}, or left out`)
}
