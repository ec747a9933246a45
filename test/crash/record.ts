/** Runs a session below strace and keeps what the store's files went through. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process"
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { exec, run, waitUntil, type Finished } from "../helpers/exec.ts"
import { abortConnections, detachMounts, kill, mountsBelow, processesNaming } from "../helpers/mountinfo.ts"
import { temporaryDirectory } from "../helpers/mount.ts"
import { program } from "../helpers/programs.ts"
import { requirePrograms } from "../helpers/requirements.ts"
import { INITIAL, KEYS, isStoreFile, writeRecording, type Size } from "./recording.ts"
import type { Phase, SessionOrder } from "./session.ts"
import { makeKeyFiles } from "./unlocking.ts"

/** What strace is to show: everything that changes a file, and syncs. */
const CALLS = [
  ...["openat", "write", "pwrite64", "writev", "pwritev", "pwritev2", "ftruncate", "truncate", "fallocate"],
  ...["rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat"],
  ...["fsync", "fdatasync", "sync_file_range"],
]
/** Segments that a recording may come to; strace is told each path. */
const SEGMENTS_MAX = 150
const LIMIT_SECONDS = 170
const LOADS = ["test/crash/load.ts", "test/crash/ledger.ts", "test/crash/repository.ts"]

/** The reason why nothing can be recorded here, or undefined. */
export function requireStrace(): string | undefined {
  const missing = requirePrograms("strace")
  if (missing !== undefined) return missing
  const { status, stderr } = spawnSync("strace", ["-f", "--seccomp-bpf", "-o", "/dev/null", "true"], {
    timeout: 10_000,
    encoding: "utf8",
  })
  return status === 0 ? undefined : `strace can't trace here: ${stderr.trim()}`
}

export interface Recorded extends Size {
  /** Holds the recording. */
  readonly directory: string
  readonly seconds: number
}

/** A directory for recordings and stores, with a process that clears up if this one dies. */
export class Place implements AsyncDisposable {
  readonly base = temporaryDirectory()
  readonly #watchdog: ChildProcess
  #count = 0

  constructor() {
    this.#watchdog = spawn(process.execPath, [program("test/helpers/watchdog.ts"), this.base, "3600"], {
      stdio: ["pipe", "ignore", "inherit"],
      detached: true,
    })
    this.#watchdog.stdin?.on("error", () => undefined)
  }

  /** A new directory. */
  directory(name: string): string {
    this.#count += 1
    const path = join(this.base, `${this.#count}-${name}`)
    mkdirSync(path)
    return path
  }

  /** Lets the phases run on a new store, or on a copy of the one in `from`, with the program `cli`. */
  async record(name: string, cli: string, phases: readonly Phase[], from?: string): Promise<Recorded> {
    const started = performance.now()
    const directory = this.directory(name)
    const paths = ["store", "mount", "marks", "trace"].map((each) => join(directory, each))
    const [store = "", mountpoint = "", marks = "", trace = ""] = paths
    mkdirSync(mountpoint)
    if (from === undefined) await run(process.execPath, [cli, "init", store])
    else cpSync(from, store, { recursive: true })
    const initial = namesIn(store)
    for (const each of initial) cpSync(join(store, each), join(directory, INITIAL, each), { recursive: true })
    const keys = join(directory, KEYS)
    makeKeyFiles(keys)
    const finished = await this.#trace({ cli, store, mountpoint, marks, keys, phases }, trace)
    if (finished.code !== 0) throw new Error(`the session failed: ${finished.stdout}${finished.stderr}`)
    const size = await writeRecording(directory, { trace, store, marks, initial })
    for (const path of [store, mountpoint, trace]) rmSync(path, { recursive: true, force: true })
    return { directory, ...size, seconds: (performance.now() - started) / 1000 }
  }

  async #trace(order: SessionOrder, trace: string): Promise<Finished> {
    const { store, mountpoint, marks } = order
    const paths = [store, join(store, "segments"), join(store, "meta.db"), join(store, "meta.db-wal"), marks]
    for (let id = 1; id <= SEGMENTS_MAX; id += 1)
      paths.push(join(store, "segments", `${String(id).padStart(8, "0")}.seg`))
    // 8 MiB a string: more than any request has
    const flags = ["-f", "--seccomp-bpf", "-y", "-xx", "-s", String(8 << 20), "-o", trace]
    const args = [...flags, "-e", `trace=${CALLS.join(",")}`, ...paths.flatMap((path) => ["-P", path])]
    const session = [process.execPath, program("test/crash/session.ts"), JSON.stringify(order)]
    // the loads are prepared here: strace would slow the compiler down
    for (const source of LOADS) program(source)
    try {
      return await exec("strace", [...args, ...session], {
        timeoutSeconds: LIMIT_SECONDS,
        onTimeout: () => void abortConnections(mountpoint),
      })
    } finally {
      await this.#clear(mountpoint)
    }
  }

  /** Nothing of a session is left, however it ended. */
  async #clear(directory: string): Promise<void> {
    const left = (): ReturnType<typeof processesNaming> =>
      processesNaming(directory).filter(({ id }) => id.pid !== this.#watchdog.pid)
    if (mountsBelow(directory).length > 0) {
      abortConnections(directory)
      detachMounts(directory)
    }
    left().forEach(({ id }) => kill(id))
    await waitUntil(() => left().length === 0, 30_000)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#clear(this.base)
    rmSync(this.base, { recursive: true, force: true })
    this.#watchdog.stdin?.write(`${JSON.stringify({ done: true })}\n`)
    this.#watchdog.stdin?.end()
  }
}

/** The files of a store that a power cut leaves something of. */
function namesIn(store: string): string[] {
  const segments = existsSync(join(store, "segments")) ? readdirSync(join(store, "segments")) : []
  return [...readdirSync(store), ...segments.map((name) => `segments/${name}`)].filter(isStoreFile)
}
