/** A PostgreSQL, a vault and mounts for tests of `clawfs migrate`. */
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { Finished } from "../helpers/exec.ts"
import { MASTER_KEY } from "../helpers/ironclaw/crypto.ts"
import { SMALL, type Size } from "../helpers/ironclaw/fixture.ts"
import { connectTo, load } from "../helpers/ironclaw/load.ts"
import { PostgresServer } from "../helpers/ironclaw/postgres-server.ts"
import { Place, bin, clawfs, type Scene } from "./harness.ts"
import { VaultPlace } from "./vault-place.ts"

/** The tests of a file on a busy machine. */
const MOST_SECONDS = 600
const WITH_URL = ["postgres", "plan", "verify"]

/** Everything that the tests of a file share. */
export class Surroundings implements AsyncDisposable {
  readonly server: PostgresServer
  readonly place: Place
  readonly vault: VaultPlace

  private constructor(server: PostgresServer, place: Place, vault: VaultPlace) {
    this.server = server
    this.place = place
    this.vault = vault
  }

  /** `seconds`: how long mounts live at most. */
  static async make(seconds = MOST_SECONDS): Promise<Surroundings> {
    const server = await PostgresServer.start()
    const place = await Place.make(seconds)
    const vault = await VaultPlace.make()
    await vault.unlock()
    return new Surroundings(server, place, vault)
  }

  /** A database with the fixture, and a mount. */
  async setting(size: Partial<Size> = {}): Promise<Setting> {
    const database = await this.server.database()
    await load(this.server.url(database), { ...SMALL, ...size })
    return await this.mounted(database)
  }

  /** A mount for a database that is there. */
  async mounted(database: string): Promise<Setting> {
    const scene = this.place.set()
    const { code, stderr } = await clawfs(["mount", "--no-index", scene.store, scene.mnt])
    if (code !== 0) throw new Error(stderr)
    return new Setting(this, scene, database)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
    await this.vault[Symbol.asyncDispose]()
    await this.place[Symbol.asyncDispose]()
  }
}

/** A way to a server that can be shut. */
export class Gate implements AsyncDisposable {
  isShut = false
  /** Connections that were not let through. */
  refused = 0
  readonly #sockets = new Set<Socket>()
  readonly #server: Server

  private constructor(to: number) {
    this.#server = createServer((from) => {
      if (this.isShut) {
        this.refused += 1
        from.destroy()
        return
      }
      const on = connect(to, "127.0.0.1")
      for (const [one, other] of [
        [from, on],
        [on, from],
      ] as const) {
        this.#sockets.add(one)
        one.on("error", () => other.destroy()).on("close", () => other.destroy())
        one.pipe(other)
      }
    })
  }

  static async open(to: number): Promise<Gate> {
    const gate = new Gate(to)
    gate.#server.listen(0, "127.0.0.1")
    await once(gate.#server, "listening")
    return gate
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  shut(): void {
    this.isShut = true
    for (const socket of this.#sockets) socket.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.shut()
    this.#server.close()
    await once(this.#server, "close")
  }
}

export interface Started {
  readonly child: ChildProcess
  /** What it has printed. */
  readonly output: () => string
  /** The exit status. */
  readonly ended: Promise<number | null>
}

/** What `--json` has printed, an event a line. */
export function eventsIn(output: string): ({ event: string } & Record<string, unknown>)[] {
  const lines = output.split("\n").filter((line) => line !== "")
  return lines.map((line) => JSON.parse(line) as { event: string })
}

export class Setting implements AsyncDisposable {
  readonly scene: Scene
  readonly database: string
  readonly #around: Surroundings

  constructor(around: Surroundings, scene: Scene, database: string) {
    this.#around = around
    this.scene = scene
    this.database = database
  }

  /** Where the server is reached; undefined: where it is. */
  port: number | undefined

  get url(): string {
    const { server } = this.#around
    const url = server.url(this.database)
    return this.port === undefined ? url : url.replace(`:${server.port}/`, `:${this.port}/`)
  }

  #words(action: string, args: readonly string[]): string[] {
    const words = ["migrate", action, ...(WITH_URL.includes(action) ? [this.url] : []), ...args]
    return [...words, "--mount", this.scene.mnt, "--vault", this.#around.vault.directory]
  }

  run(
    action: string,
    args: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Finished> {
    return clawfs(this.#words(action, args), { env: { SECRETS_MASTER_KEY: MASTER_KEY, ...env } })
  }

  /** Migrates in the background. */
  start(args: readonly string[]): Started {
    const env = { ...process.env, SECRETS_MASTER_KEY: MASTER_KEY }
    const words = [bin, ...this.#words("postgres", args)]
    const child = spawn(process.execPath, words, { env, stdio: ["ignore", "pipe", "ignore"] })
    let output = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text))
    return {
      child,
      output: () => output,
      ended: once(child, "close").then(([code]) => code as number | null),
    }
  }

  /** Migrates, and kills the command as soon as `isTime`; returns whether that ended it. */
  async killed(isTime: () => boolean): Promise<boolean> {
    const { child, ended } = this.start([])
    while (child.exitCode === null && !isTime()) await sleep(1)
    child.kill("SIGKILL")
    return (await ended) === null
  }

  path(...names: string[]): string {
    return join(this.scene.mnt, ...names)
  }

  async sql(text: string): Promise<void> {
    await using client = await connectTo(this.#around.server.url(this.database))
    await client.query(text)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await clawfs(["unmount", this.scene.mnt])
  }
}
