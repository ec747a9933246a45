/** What is measured: how each target is started on the disk, with which options, and how it is taken down. */
import { spawn } from "node:child_process"
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, symlinkSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { firstLine, message, run, runNow, sleep } from "./command.ts"
import { buildPassthrough, installPeers } from "./fixtures.ts"
import type { Guard } from "./mounts.ts"
import { abortMount, isMounted, unmountBelow } from "./mounts.ts"
import { clawfsCli, compiled, root, source } from "./paths.ts"

export const targetNames = [
  "clawfs",
  "ext4",
  "passthrough",
  "gocryptfs",
  "fuse-native",
  "agentfs",
  "agentfs-nosync",
] as const
export type TargetName = (typeof targetNames)[number]

export interface Target {
  readonly name: TargetName
  readonly version: string
  readonly options: string
  /** Where its clients work. agentfs has none: it is measured through its API, on the database `dir`. */
  readonly dir: string
  /** The mount whose kernel caches are dropped before an uncached batch; absent when the target is not a mount. */
  readonly mount?: string
  /** The process that answers requests. */
  serverPid?(): Promise<number>
}

/** A copy beside the stores, made by the first start: a build during the run must not change what is measured. */
async function clawfsProgram(beside: string): Promise<(...args: string[]) => string[]> {
  if (!existsSync(clawfsCli)) throw new Error(`not built: ${clawfsCli} does not exist`)
  const program = join(beside, "program")
  if (!existsSync(program)) {
    mkdirSync(program)
    await run(["cp", "-r", join(root, "dist"), join(root, "package.json"), program])
    symlinkSync(join(root, "node_modules"), join(program, "node_modules"))
  }
  const cli = join(program, relative(root, clawfsCli))
  return (...args) => [process.execPath, cli, ...args]
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null

async function serverPidOf(status: readonly string[]): Promise<number> {
  const answer: unknown = JSON.parse((await run(status, { timeoutMs: 15_000 })).stdout)
  const server = isRecord(answer) ? answer["server"] : undefined
  const pid = isRecord(server) ? server["pid"] : undefined
  if (typeof pid !== "number") throw new Error("clawfs status --json names no server.pid")
  return pid
}

const packageVersion = (file: string): string => {
  const parsed: unknown = JSON.parse(readFileSync(file, "utf8"))
  return isRecord(parsed) && typeof parsed["version"] === "string" ? parsed["version"] : "?"
}

const parentOf = (pid: number): number => {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0)
  } catch {
    return 0
  }
}

/** Server and supervisor, if they are ClawFS: a recycled pid must not be killed. */
function clawfsPids(server: number): number[] {
  return [server, parentOf(server)].filter((pid) => {
    const file = `/proc/${pid}/cmdline`
    return pid > 1 && existsSync(file) && readFileSync(file, "latin1").includes("clawfs")
  })
}

/** A store and its mount below `base`. The growth rows start several. */
export async function startClawfs(base: string, guard: Guard): Promise<Target> {
  const clawfs = await clawfsProgram(dirname(base))
  const store = join(base, "store")
  const mount = join(base, "mnt")
  mkdirSync(mount, { recursive: true })
  const timeoutMs = 30_000
  const onTimeout = (): void => abortMount(mount)
  await run(clawfs("init", store, "--user"), { timeoutMs })
  let pids: number[] = []
  guard.add(() => {
    const answered = runNow(clawfs("unmount", mount), 15_000)
    unmountBelow(mount)
    if (answered) return
    for (const pid of pids.flatMap(clawfsPids)) process.kill(pid, "SIGKILL")
  })
  await run(clawfs("mount", store, mount), { timeoutMs, onTimeout })
  const serverPid = (): Promise<number> => serverPidOf(clawfs("status", mount, "--json"))
  pids = clawfsPids(await serverPid())
  const dir = join(mount, "workspaces", "bench")
  await run(["mkdir", "-p", dir], { timeoutMs, onTimeout })
  return {
    name: "clawfs",
    version: packageVersion(join(root, "package.json")),
    options: "init --user, mount with defaults",
    dir,
    mount,
    serverPid,
  }
}

interface ServerPlan {
  readonly argv: readonly string[]
  readonly base: string
  readonly mount: string
  readonly guard: Guard
}

/** Starts a foreground server in a session of its own (Ctrl-C is ours to handle) and waits for its mount. */
async function startServer({ argv, base, mount, guard }: ServerPlan): Promise<number> {
  const [file = "", ...args] = argv
  const log = join(base, "server.log")
  const output = openSync(log, "w")
  const child = spawn(file, args, { cwd: "/", detached: true, stdio: ["ignore", output, output] })
  closeSync(output)
  let failure: Error | undefined
  child.on("error", (error) => (failure = error))
  child.unref()
  guard.add(() => {
    unmountBelow(mount)
    child.kill("SIGKILL")
  })
  for (let waited = 0; waited < 20_000; waited += 50) {
    if (isMounted(mount)) return child.pid ?? 0
    if (failure) throw failure
    if (child.exitCode !== null) break
    await sleep(50)
  }
  throw new Error(firstLine(readFileSync(log, "utf8")) || `${file}: no mount after 20 s`)
}

type Start = (base: string, guard: Guard) => Promise<Target>

const startExt4: Start = (base) => {
  const dir = join(base, "work")
  mkdirSync(dir)
  return Promise.resolve({ name: "ext4", version: "kernel", options: "see disk", dir })
}

/** libfuse's defaults: threads, cache=auto (timeouts 1 s, page cache dropped at open), no writeback. */
const startPassthrough: Start = async (base, guard) => {
  const program = await buildPassthrough()
  const lower = join(base, "lower")
  const mount = join(base, "mnt")
  for (const dir of [lower, mount]) mkdirSync(dir)
  const argv = [program, "-f", "-o", `source=${lower}`, mount]
  const pid = await startServer({ argv, base, mount, guard })
  const version = (await run(["pkg-config", "--modversion", "fuse3"])).stdout.trim()
  return target("passthrough", version, "-o source=DIR (cache=auto, timeout 1 s)", mount, pid)
}

const startGocryptfs: Start = async (base, guard) => {
  const cipher = join(base, "cipher")
  const mount = join(base, "mnt")
  for (const dir of [cipher, mount]) mkdirSync(dir)
  const password = ["-q", "-extpass", "echo", "-extpass", "benchmark"]
  const version = firstLine((await run(["gocryptfs", "--version"])).stdout).split(";")[0] ?? "?"
  await run(["gocryptfs", "-init", "-scryptn", "10", ...password, cipher])
  const argv = ["gocryptfs", "-fg", ...password, cipher, mount]
  const pid = await startServer({ argv, base, mount, guard })
  return target(
    "gocryptfs",
    version.replace("gocryptfs ", ""),
    "defaults (encrypts contents and names)",
    mount,
    pid,
  )
}

const startFuseNative: Start = async (base, guard) => {
  await installPeers()
  const mount = join(base, "mnt")
  mkdirSync(mount)
  const manifest = source("peers", "package.json")
  const argv = [process.execPath, compiled("peers", "fuse-native.js"), mount, manifest]
  const pid = await startServer({ argv, base, mount, guard })
  const version = packageVersion(source("peers", "node_modules", "fuse-native", "package.json"))
  return target("fuse-native", version, "in memory, libfuse 2 defaults (timeouts 1 s)", mount, pid)
}

const startAgentfs =
  (name: "agentfs" | "agentfs-nosync", options: string): Start =>
  async (base) => {
    await installPeers()
    const version = packageVersion(source("peers", "node_modules", "agentfs-sdk", "package.json"))
    return { name, version, options, dir: base }
  }

function target(name: TargetName, version: string, options: string, mount: string, pid: number): Target {
  return { name, version, options, dir: mount, mount, serverPid: () => Promise.resolve(pid) }
}

const starts: Record<TargetName, Start> = {
  clawfs: startClawfs,
  ext4: startExt4,
  passthrough: startPassthrough,
  gocryptfs: startGocryptfs,
  "fuse-native": startFuseNative,
  agentfs: startAgentfs("agentfs", "SDK defaults (synchronous=FULL), through its API"),
  "agentfs-nosync": startAgentfs("agentfs-nosync", "the same with PRAGMA synchronous=OFF"),
}

export interface Started {
  readonly targets: Target[]
  readonly missing: ReadonlyMap<TargetName, string>
}

/** Whatever cannot be installed or started is missing, with the reason, and the others are measured. */
export async function startTargets(
  names: readonly TargetName[],
  disk: string,
  guard: Guard,
): Promise<Started> {
  const targets: Target[] = []
  const missing = new Map<TargetName, string>()
  for (const name of names) {
    const base = join(disk, name)
    mkdirSync(base)
    try {
      targets.push(await starts[name](base, guard))
    } catch (error) {
      missing.set(name, message(error))
    }
  }
  return { targets, missing }
}
