/** A real PostgreSQL of the distribution, in a temporary directory, as a user that is not root; ends with its scope. */
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { createServer, type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { run, waitUntil } from "../exec.ts"
import { connectTo } from "./load.ts"

const PLACE = "/usr/lib/postgresql"
const USER = "postgres"
const START_MS = 30_000

/** The directory of the newest server that is installed. */
function binaries(): string | undefined {
  const versions = existsSync(PLACE) ? readdirSync(PLACE).filter((name) => /^\d+$/.test(name)) : []
  const newest = versions.map(Number).sort((a, b) => b - a)[0]
  return newest === undefined ? undefined : join(PLACE, String(newest), "bin")
}

export function requirePostgres(): string | undefined {
  if (process.getuid?.() !== 0) return "not root: the server is started as another user"
  return binaries() === undefined ? "not installed: postgresql" : undefined
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, "close")
  return port
}

export class PostgresServer implements AsyncDisposable {
  readonly port: number
  readonly directory: string
  readonly #process: ChildProcess
  #databases = 0

  private constructor(port: number, directory: string, process: ChildProcess) {
    this.port = port
    this.directory = directory
    this.#process = process
  }

  static async start(): Promise<PostgresServer> {
    const bin = binaries() ?? ""
    const directory = mkdtempSync(join(tmpdir(), "clawfs-postgres-"))
    chmodSync(directory, 0o755)
    const data = join(directory, "data")
    const as = ["--reuid", USER, "--regid", USER, "--clear-groups"]
    await run("install", ["-d", "-o", USER, "-m", "700", data])
    await run("setpriv", [
      ...as,
      join(bin, "initdb"),
      "-D",
      data,
      "-A",
      "trust",
      "-E",
      "UTF8",
      "--locale=C.UTF-8",
      "--no-sync",
      "--no-instructions",
    ])
    const port = await freePort()
    const settings = [
      `port=${port}`,
      "listen_addresses=127.0.0.1",
      "unix_socket_directories=",
      "fsync=off",
      "log_min_messages=fatal",
    ]
    const words = [...as, join(bin, "postgres"), "-D", data, ...settings.flatMap((each) => ["-c", each])]
    const child = spawn("setpriv", words, { stdio: "ignore", cwd: "/" })
    const server = new PostgresServer(port, directory, child)
    try {
      if (!(await waitUntil(() => server.#answers(), START_MS))) throw new Error("the server did not start")
      return server
    } catch (thrown) {
      await server[Symbol.asyncDispose]()
      throw thrown
    }
  }

  async #answers(): Promise<boolean> {
    try {
      await using client = await connectTo(this.url("postgres"))
      return client.database === "postgres"
    } catch {
      // Not yet, or it has ended; the time limit decides.
      return false
    }
  }

  url(database: string, user = USER): string {
    return `postgresql://${user}@127.0.0.1:${this.port}/${database}?sslmode=disable`
  }

  /** A new database. */
  async database(): Promise<string> {
    this.#databases += 1
    const name = `db${this.#databases}`
    await using client = await connectTo(this.url("postgres"))
    await client.query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8'`)
    return name
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill("SIGQUIT")
      await once(this.#process, "exit")
    }
    rmSync(this.directory, { recursive: true, force: true })
  }
}
