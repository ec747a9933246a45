/**
 * Runs the built program and checks that nothing is left behind. Every test file has a `Place` of its own: a directory
 * with stores and mount points, watched by a process that cleans up if the test process dies. Whatever needs other
 * devices, disks or mounts gets a mount namespace, which ends with its processes.
 */
import { spawn, type ChildProcess, type ChildProcessByStdio } from "node:child_process"
import { createHash } from "node:crypto"
import { once } from "node:events"
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
} from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import type { Readable, Writable } from "node:stream"
import { exec, run, waitUntil, type Finished } from "../helpers/exec.ts"
import { temporaryDirectory } from "../helpers/mount.ts"
import { abortConnections, detachMounts, kill, mountsBelow, processesNaming } from "../helpers/mountinfo.ts"
import { program } from "../helpers/programs.ts"
import { cli, requireFuse, requirePrograms } from "../helpers/requirements.ts"

/** The program under test; CLAWFS_BIN names another build than dist. */
export const bin = process.env["CLAWFS_BIN"] ?? cli

export const requireBuild = (): string | undefined =>
  existsSync(bin) ? undefined : `${bin} is not built: run make build`

/** What tests with mounts and mount namespaces need. */
export const requireMounts = (): string | undefined =>
  requireBuild() ?? requireFuse() ?? requirePrograms("unshare", "nsenter", "setpriv", "mount", "mknod")

const NOBODY = 65_534
const WATCH_SECONDS = 170

export interface ClawfsOptions {
  /** Variables that the program gets instead of ours. */
  readonly env?: Readonly<Record<string, string>>
  /** Run as an ordinary user. */
  readonly asNobody?: boolean
  readonly namespace?: Namespace
}

/** Runs `clawfs` with these arguments, whatever its exit code. */
export function clawfs(args: readonly string[], options: ClawfsOptions = {}): Promise<Finished> {
  return inPlace(process.execPath, [bin, ...args], options)
}

/** Runs any program as the options say, whatever its exit code. */
export function inPlace(
  command: string,
  args: readonly string[],
  options: ClawfsOptions = {},
): Promise<Finished> {
  const [first = "", ...others] = placed([command, ...args], options)
  return exec(first, others, { timeoutSeconds: 30 })
}

/** The command line that runs `words` as the options say. */
function placed(words: readonly string[], { asNobody, namespace, env = {} }: ClawfsOptions): string[] {
  return [
    ...(namespace === undefined ? [] : ["nsenter", `--mount=/proc/${namespace.pid}/ns/mnt`]),
    ...(asNobody === true ? ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"] : []),
    "env",
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
    ...words,
  ]
}

/** A `sleep` whose working directory is `directory`, for as long as it is in scope. */
export async function occupy(
  directory: string,
  options: ClawfsOptions = {},
): Promise<AsyncDisposable & { readonly pid: number }> {
  const script = 'cd "$1" && echo there && exec sleep 100'
  const [first = "", ...others] = placed(["sh", "-c", script, "sh", directory], options)
  const child = spawn(first, others, { stdio: ["ignore", "pipe", "inherit"] })
  await lineOf(child)
  return {
    pid: child.pid ?? 0,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL")
      if (child.signalCode === null) await once(child, "exit")
    },
  }
}

/** Resolves with the first line that a process prints; rejects if it ends before. */
async function lineOf(child: ChildProcessByStdio<Writable | null, Readable, null>): Promise<void> {
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`${child.spawnargs.join(" ")}: ended with exit status ${String(code)}`)
  })
  ended.catch(() => undefined)
  await Promise.race([once(createInterface({ input: child.stdout }), "line"), ended])
}

/** A mount namespace with what `script` has done to it, for as long as it is in scope. */
export class Namespace implements AsyncDisposable {
  readonly pid: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
    this.pid = child.pid ?? 0
  }

  /** `script` is run by sh as root, with `values` as $1 and so on. */
  static async make(script: string, ...values: string[]): Promise<Namespace> {
    const keep = `set -e\n${script}\necho ready\nexec cat`
    const args = ["--mount", "--propagation", "private", "sh", "-c", keep, "sh", ...values]
    const child = spawn("unshare", args, { stdio: ["pipe", "pipe", "inherit"] })
    await lineOf(child)
    return new Namespace(child)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end()
    if (this.#child.exitCode === null) await once(this.#child, "exit")
  }
}

/** Gives /dev/fuse these permissions for the namespace, whatever the machine's own allows: 666 is what udev makes. */
export const deviceWithMode = (mode: string): string => `
  mkdir -p "$1/dev"
  mount -t tmpfs none "$1/dev"
  mknod "$1/dev/fuse" c 10 229
  chmod ${mode} "$1/dev/fuse"
  mount --bind "$1/dev/fuse" /dev/fuse`

export class Place implements AsyncDisposable {
  readonly base: string
  readonly #watchdog: ChildProcess
  #count = 0

  private constructor(base: string, seconds: number) {
    this.base = base
    chmodSync(base, 0o755)
    const words = [program("test/helpers/watchdog.ts"), base, String(seconds)]
    this.#watchdog = spawn(process.execPath, words, { stdio: ["pipe", "ignore", "inherit"], detached: true })
    this.#watchdog.stdin?.on("error", () => undefined)
  }

  /** `seconds`: how long it lives at most, whatever becomes of the tests. */
  static async make(seconds = WATCH_SECONDS): Promise<Place> {
    const place = new Place(temporaryDirectory(), seconds)
    await run(process.execPath, [bin, "init", "--user", place.path("pristine")], { timeoutSeconds: 30 })
    return place
  }

  path(...names: string[]): string {
    return join(this.base, ...names)
  }

  /** A new directory of this place. */
  directory(mode = 0o755): string {
    this.#count += 1
    const path = this.path(String(this.#count))
    mkdirSync(path)
    chmodSync(path, mode)
    return path
  }

  /** A directory with a new `store` and an empty directory `mnt`. */
  set(): Scene {
    const path = this.directory()
    cpSync(this.path("pristine"), join(path, "store"), { recursive: true })
    mkdirSync(join(path, "mnt"))
    return { path, store: join(path, "store"), mnt: join(path, "mnt") }
  }

  /** The same, all of it an ordinary user's. */
  async setOfNobody(): Promise<Scene> {
    const scene = this.set()
    await run("chown", ["-R", `${NOBODY}:${NOBODY}`, scene.path])
    return scene
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const problems = mountsBelow(this.base).map(({ mountpoint }) => `${mountpoint} was still mounted`)
    const isOurs = (pid: number) => pid === this.#watchdog.pid
    await waitUntil(() => processesNaming(this.base).every(({ id }) => isOurs(id.pid)), 30_000)
    abortConnections(this.base)
    for (const { id, command } of processesNaming(this.base)) {
      if (isOurs(id.pid)) continue
      problems.push(`process ${id.pid} was left behind: ${command}`)
      kill(id)
    }
    detachMounts(this.base)
    if (mountsBelow(this.base).length === 0) rmSync(this.base, { recursive: true, force: true })
    this.#watchdog.stdin?.end(`${JSON.stringify({ done: true })}\n`)
    if (problems.length > 0) throw new Error(problems.join("\n"))
  }
}

export interface Scene {
  readonly path: string
  readonly store: string
  readonly mnt: string
}

/** What the program said, with the scene's own path taken out. */
export function said({ code, stdout, stderr }: Finished, scene?: Scene): string {
  const text = [`exit ${code ?? "?"}`, stdout.trimEnd(), stderr.trimEnd()]
    .filter((part) => part !== "")
    .join("\n")
  return scene === undefined ? text : text.replaceAll(scene.path, "")
}

/** Every file below a directory with what tells whether it was changed. Other filesystems below it are not entered. */
export function contents(directory: string, ignored: readonly string[] = []): Record<string, string> {
  const found: Record<string, string> = {}
  const device = lstatSync(directory).dev
  const walk = (path: string, name: string): void => {
    const stat = lstatSync(path)
    if (ignored.includes(name) || stat.dev !== device) return
    const kind = stat.isDirectory() ? "directory" : digest(path)
    found[name] = `${stat.mode.toString(8)} ${stat.uid}:${stat.gid} ${kind}`
    if (stat.isDirectory()) for (const entry of readdirSync(path)) walk(join(path, entry), join(name, entry))
  }
  walk(directory, "")
  return found
}

function digest(path: string): string {
  const stat = lstatSync(path)
  if (stat.isSymbolicLink()) return `link to ${readlinkSync(path)}`
  if (!stat.isFile()) return "special"
  return `${stat.size} ${createHash("sha256").update(readFileSync(path)).digest("hex").slice(0, 16)}`
}
