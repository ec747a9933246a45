/** A PostgreSQL, a vault and mounts for tests of `clawfs migrate`. */
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
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

export class Setting implements AsyncDisposable {
  readonly scene: Scene
  readonly database: string
  readonly #around: Surroundings

  constructor(around: Surroundings, scene: Scene, database: string) {
    this.#around = around
    this.scene = scene
    this.database = database
  }

  get url(): string {
    return this.#around.server.url(this.database)
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

  /** Migrates in the background; `ended` is the exit status. */
  start(args: readonly string[]): { readonly child: ChildProcess; readonly ended: Promise<number | null> } {
    const env = { ...process.env, SECRETS_MASTER_KEY: MASTER_KEY }
    const child = spawn(process.execPath, [bin, ...this.#words("postgres", args)], { env, stdio: "ignore" })
    return { child, ended: once(child, "exit").then(([code]) => code as number | null) }
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
    await using client = await connectTo(this.url)
    await client.query(text)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await clawfs(["unmount", this.scene.mnt])
  }
}
