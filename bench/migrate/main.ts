/** `make bench-migrate`: IronClaw's store into a mount, from a server of Debian's (without vectors) and from a dump (with them). */
import { spawn, type ChildProcess } from "node:child_process"
import { createWriteStream, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { run, runNow, sleep } from "../command.ts"
import { drive, type Options } from "../driver.ts"
import type { Guard } from "../mounts.ts"
import { clawfsCli } from "../paths.ts"
import type { Row } from "../rows.ts"
import { MASTER_KEY, dumpOf, type Size } from "./dump.ts"

const usage = `usage: node build/bench/migrate/main.js [options]
  --only A,B       of server, dump
  --documents N    (default 1000)
  --chunks N       (default 10000), with vectors of 1,536 in the part "dump"
  --dir DIR        where to work (default /var/tmp)
  --json FILE      where to save (default bench/results/migrate-<date>.json)
`
const POSTGRES = "/usr/lib/postgresql"
const USER = "postgres"
const PORT = 54_329
const REST = { messages: 5000, tools: 30, secrets: 20 }

interface Measured {
  readonly seconds: number
  readonly peakMiB: number
}

/** A mount with a vault beside it. */
class Place {
  readonly #work: string
  readonly #words: readonly string[]

  private constructor(work: string, words: readonly string[]) {
    this.#work = work
    this.#words = words
  }

  static async make(work: string, name: string, guard: Guard): Promise<Place> {
    const base = join(work, name)
    const [store, mount, vault] = ["store", "mount", "vault"].map((each) => join(base, each)) as [
      string,
      string,
      string,
    ]
    const passphrase = join(base, "passphrase")
    mkdirSync(mount, { recursive: true })
    writeFileSync(passphrase, "a passphrase of the benchmark\n", { mode: 0o600 })
    const clawfs = (...args: string[]) => run([process.execPath, clawfsCli, ...args])
    await clawfs("init", store)
    await clawfs("mount", "--no-index", store, mount)
    guard.add(() => void runNow(["umount", "-l", mount]))
    const given = ["--passphrase-file", passphrase, "--vault", vault]
    await clawfs("vault", "init", "--no-tpm", "--kdf", "pbkdf2", ...given)
    await clawfs("vault", "unlock", ...given)
    guard.add(() => void runNow([process.execPath, clawfsCli, "vault", "lock", "--vault", vault]))
    return new Place(work, ["--mount", mount, "--vault", vault])
  }

  /** What one `clawfs migrate` takes. */
  async measure(action: string, source: string): Promise<Measured> {
    const words = [clawfsCli, "migrate", action, source, ...this.#words]
    const env = { ...process.env, SECRETS_MASTER_KEY: MASTER_KEY }
    const start = performance.now()
    const child = spawn(process.execPath, words, {
      env,
      cwd: this.#work,
      stdio: ["ignore", "ignore", "inherit"],
    })
    let peak = 0
    while (child.exitCode === null && child.signalCode === null) {
      peak = Math.max(peak, peakOf(child))
      await sleep(10)
    }
    const seconds = (performance.now() - start) / 1000
    if (child.exitCode !== 0)
      throw new Error(`clawfs migrate ${action}: exit status ${child.exitCode ?? "none"}`)
    return { seconds, peakMiB: peak / 1024 }
  }

  async end(): Promise<void> {
    const [, mount = ""] = this.#words
    await run([process.execPath, clawfsCli, "unmount", mount])
  }
}

/** KiB that a process has had at most; 0 for one that has just ended. */
function peakOf({ pid }: ChildProcess): number {
  try {
    const [, kib = "0"] = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid ?? 0}/status`, "utf8")) ?? []
    return Number(kib)
  } catch {
    return 0
  }
}

async function write(file: string, size: Size): Promise<void> {
  await pipeline(Readable.from(dumpOf(size)), createWriteStream(file))
}

/** Starts PostgreSQL in a directory of its own; returns what ends it. */
async function serve(work: string): Promise<() => Promise<void>> {
  const versions = existsSync(POSTGRES)
    ? readdirSync(POSTGRES)
        .map(Number)
        .sort((a, b) => b - a)
    : []
  const bin = join(POSTGRES, String(versions[0] ?? ""), "bin")
  if (versions.length === 0) throw new Error("PostgreSQL is not installed (apt-get install postgresql)")
  const data = join(work, "data")
  const as = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups"]
  await run(["chmod", "755", work])
  await run(["install", "-d", "-o", USER, "-m", "700", data])
  await run([
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
  ])
  const settings = [`port=${PORT}`, "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
  const [setpriv = "", ...words] = [
    ...as,
    join(bin, "postgres"),
    "-D",
    data,
    ...settings.flatMap((each) => ["-c", each]),
  ]
  const child = spawn(setpriv, words, { stdio: "ignore", cwd: "/" })
  for (let tries = 0; ; tries += 1)
    try {
      await run(["psql", "-c", "SELECT 1", url])
      break
    } catch (thrown) {
      if (tries > 100) throw thrown
      await sleep(100)
    }
  return async () => {
    child.kill("SIGQUIT")
    while (child.exitCode === null && child.signalCode === null) await sleep(20)
  }
}

const url = `postgresql://${USER}@127.0.0.1:${PORT}/postgres?sslmode=disable`

async function* server(work: string, guard: Guard, size: Size): AsyncGenerator<Row> {
  const stop = await serve(work)
  try {
    const file = join(work, "plain.sql")
    await write(file, { ...size, dimensions: 0 })
    await run(["psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", file, url])
    const place = await Place.make(work, "server", guard)
    const note = "PostgreSQL, no vectors"
    const first = await place.measure("postgres", url)
    yield { name: "migrate.server", value: first.seconds, unit: "s", atMost: 10, note }
    yield { name: "migrate.server memory", value: first.peakMiB, unit: "MiB", atMost: 256 }
    const again = await place.measure("postgres", url)
    yield { name: "migrate.server again", value: again.seconds, unit: "s", atMost: 2, note: "nothing to do" }
    yield { name: "migrate.server verify", value: (await place.measure("verify", url)).seconds, unit: "s" }
    await place.end()
  } finally {
    await stop()
  }
}

async function* dump(work: string, guard: Guard, size: Size): AsyncGenerator<Row> {
  const file = join(work, "vectors.sql")
  await write(file, size)
  const place = await Place.make(work, "dump", guard)
  const first = await place.measure("postgres", file)
  const note = `PGlite, ${size.chunks} x ${size.dimensions} with vectors`
  yield { name: "migrate.dump", value: first.seconds, unit: "s", note }
  yield {
    name: "migrate.dump chunks",
    value: size.chunks / first.seconds,
    unit: "/s",
    note: "of the whole time",
  }
  yield { name: "migrate.dump memory", value: first.peakMiB, unit: "MiB", note: "with the database in it" }
  await place.end()
}

async function* measure(
  only: ReadonlySet<string>,
  guard: Guard,
  { work, numbers: { documents = 0, chunks = 0 } }: Options,
): AsyncGenerator<Row> {
  const size = { ...REST, documents, chunks, dimensions: 1536 }
  if (only.has("server")) yield* server(work, guard, size)
  if (only.has("dump")) yield* dump(work, guard, size)
}

await drive({
  ...{ name: "migrate", usage, parts: ["server", "dump"] },
  numbers: { documents: 1000, chunks: 10_000 },
  measure,
})
