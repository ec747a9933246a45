/** The work of `clawfs mount`: checks what it was given, then leaves the rest to a supervisor. */
import { spawn } from "node:child_process"
import { accessSync, closeSync, constants, openSync, readdirSync, realpathSync, statSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Fault } from "../../core/fault.ts"
import type { Level } from "../../core/log.ts"
import { unmountFuse } from "../../fuse/mount.ts"
import type { SupervisorReport } from "../../supervisor/main.ts"
import type { SupervisorOptions } from "../../supervisor/supervisor.ts"
import { isClawfs, isInside } from "../../sys/clawfs-mounts.ts"
import { UsageError } from "../command.ts"
import { LEVELS, type MountInvocation } from "../commands/mount.ts"
import { ExitCode } from "../exit-code.ts"
import { requireFuse } from "../fuse-device.ts"
import { locate, type Place } from "../mountpoint.ts"
import { closeGiven, keysForMount, type GivenKeys } from "../mount-keys.ts"
import { faultOfMessage } from "../node-fault.ts"
import { seconds } from "../numbers.ts"
import { healthOf } from "../probe.ts"
import { inspectStore } from "../store-files.ts"
import type { Terminal } from "../terminal.ts"
import { vaultDirectory } from "../vault/place.ts"

type Values = MountInvocation["values"]

const DEFAULT_SCRUB_DAYS = 30
const DEFAULT_FLUSH = 5
const MOST_FLUSH = 3600
const DEFAULT_STANDSTILL_MS = 60_000

export async function runMount({ values, operands, terminal }: MountInvocation): Promise<ExitCode> {
  const choices = choicesOf(values)
  const store = inspectStore(operands[0] ?? "").path
  const mountpoint = await checkMountpoint(locate(operands[1] ?? ""), values.nonempty === true, store)
  const { allowOther, suid, dev, exec, ...server } = choices
  const options: SupervisorOptions = {
    standstillMs: Number(process.env["CLAWFS_TEST_STANDSTILL_MS"] ?? DEFAULT_STANDSTILL_MS),
    mount: { mountpoint, source: store, readOnly: server.readOnly, allowOther, suid, dev, exec },
    server: {
      ...server,
      store,
      mountpoint,
      killAfterCommit: Number(process.env["CLAWFS_TEST_KILL_AFTER_COMMIT"] ?? 0),
    },
  }
  const keys = keysForMount(store, values)
  try {
    const whole = keys === undefined ? options : { ...options, keys: keys.names }
    if (values.foreground === true) return await supervise(whole, "inherit", false, keys)
    return await background(whole, terminal, keys)
  } finally {
    closeGiven(keys)
  }
}

/** The options as the supervisor takes them; throws for those that don't go together. */
function choicesOf(
  values: Values,
): Omit<SupervisorOptions["mount"], "mountpoint" | "source"> &
  Omit<SupervisorOptions["server"], "store" | "mountpoint" | "killAfterCommit"> {
  const isRoot = process.getuid?.() === 0
  if (values.private === true && values["allow-other"] === true)
    throw new UsageError("mount: --private and --allow-other exclude each other")
  const forRoot = (["suid", "dev"] as const).find((name) => values[name] === true)
  if (!isRoot && forRoot !== undefined) throw new UsageError(`mount: --${forRoot} needs root`)
  return {
    readOnly: values["read-only"] === true,
    allowOther: values["allow-other"] === true || (isRoot && values.private !== true),
    suid: values.suid === true,
    dev: values.dev === true,
    exec: values.noexec !== true,
    writeback: values.writeback === true,
    openIsAsked: values["open-checks"] === true,
    powerSave: values["power-save"] === true,
    index: values["no-index"] !== true,
    scrubDays: days(values["scrub-days"]),
    vault: vaultDirectory(undefined),
    flushSeconds: seconds("mount", "--flush", values.flush, MOST_FLUSH) ?? DEFAULT_FLUSH,
    logLevel: level(values.log),
  }
}

function level(text = "info"): Level {
  const found = LEVELS.find((name) => name === text)
  if (found === undefined)
    throw new UsageError(`mount: --log takes one of ${LEVELS.join(", ")}, got "${text}"`)
  return found
}

/** The resolved mount point. A dead mount on it is taken away, as the last step before mounting. */
async function checkMountpoint({ path, entry }: Place, nonempty: boolean, store: string): Promise<string> {
  const isOccupied = isClawfs(entry)
  if (isOccupied) await requireDead(path)
  const real = isOccupied ? path : realDirectory(path)
  if (isInside(store, real)) {
    throw new Fault("invalid", `the mount point ${real} would hide the store ${store}`, {
      hint: "name another directory as mount point",
    })
  }
  if (isInside(real, store)) {
    throw new Fault("invalid", `the mount point ${real} lies inside of the store`, {
      hint: "name a directory outside of the store",
    })
  }
  requireFuse()
  if (isOccupied) takeAway(path)
  requireEmpty(realDirectory(real), nonempty)
  if (process.getuid?.() !== 0) requireWritable(real)
  return real
}

function takeAway(path: string): void {
  if (unmountFuse(path, { lazy: true }) === "done") return
  throw new Fault("denied", `another user's dead mount is on ${path}`, {
    hint: `as that user or as root: clawfs unmount ${path}`,
  })
}

async function requireDead(path: string): Promise<void> {
  const health = await healthOf(path)
  if (health === "dead") return
  throw health === "alive"
    ? new Fault("busy", `a ClawFS is already mounted on ${path}`, { hint: `clawfs unmount ${path}` })
    : new Fault("busy", `a ClawFS that does not answer is mounted on ${path}`, {
        hint: `clawfs unmount --lazy ${path}`,
      })
}

function realDirectory(path: string): string {
  try {
    const real = realpathSync(path)
    if (statSync(real).isDirectory()) return real
    throw new Fault("invalid", `the mount point ${path} is a file`, { hint: "name an empty directory" })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "ENOENT") {
      throw new Fault("not-found", `there is no directory ${path} to mount on`, {
        cause,
        hint: `mkdir -p ${path}`,
      })
    }
    if (code === "EACCES") throw new Fault("denied", `no permission to reach ${path}`, { cause })
    throw cause
  }
}

function requireEmpty(path: string, nonempty: boolean): void {
  if (nonempty) return
  let entries: string[]
  try {
    entries = readdirSync(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EACCES") throw cause
    throw new Fault("denied", `no permission to look into ${path}`, { cause })
  }
  if (entries.length === 0) return
  throw new Fault("not-empty", `the mount point ${path} is not empty`, {
    hint: "--nonempty mounts over what is there",
  })
}

/** fusermount3 lets a user mount only where that user may write. */
function requireWritable(path: string): void {
  try {
    accessSync(path, constants.W_OK)
  } catch (cause) {
    throw new Fault(
      "denied",
      `no permission to write in the mount point ${path}, and only root can do without`,
      {
        cause,
        hint: "name a directory of your own",
      },
    )
  }
}

/** Never through a link. */
const OPEN_LOG = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW

const supervisorMain = fileURLToPath(new URL("../../supervisor/main.js", import.meta.url))

async function background(
  options: SupervisorOptions,
  terminal: Terminal,
  keys: GivenKeys | undefined,
): Promise<ExitCode> {
  const log = openSync(join(options.server.store, "clawfs.log"), OPEN_LOG, 0o600)
  try {
    await supervise(options, log, true, keys)
  } finally {
    closeSync(log)
  }
  terminal.out(`mounted ${options.server.store} on ${options.mount.mountpoint}`)
  return ExitCode.OK
}

/** Starts the supervisor; resolves when the mount is usable (detached) or when it has ended. */
function supervise(
  options: SupervisorOptions,
  log: "inherit" | number,
  detached: boolean,
  keys: GivenKeys | undefined,
): Promise<ExitCode> {
  const child = spawn(process.execPath, [supervisorMain, JSON.stringify(options)], {
    detached,
    stdio: ["ignore", log, log, "ipc", ...(keys === undefined ? [] : [keys.fd])],
  })
  if (!detached) {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
      process.on(signal, () => child.kill(signal === "SIGHUP" ? "SIGTERM" : signal))
  }
  return new Promise((resolve, reject) => {
    let isServing = false
    child.on("message", (report: SupervisorReport) => {
      if (report.kind === "failed") {
        reject(faultOfReport(report.fault, options.server.store))
        return
      }
      isServing = true
      if (!detached) return
      child.unref()
      resolve(ExitCode.OK)
    })
    child.on("error", reject)
    // After the last message, unlike "exit".
    child.on("close", (code, signal) => {
      if (code === 0) resolve(ExitCode.OK)
      else reject(endOf(isServing, signal ?? `exit status ${code ?? 0}`, log === "inherit", options))
    })
  })
}

type Failure = Extract<SupervisorReport, { kind: "failed" }>["fault"]

/** What the supervisor or the server says, with the store's name and what to do. */
function faultOfReport({ kind, message, hint }: Failure, store: string): Fault {
  const fault = (kind === "bug" ? faultOfMessage(message) : undefined) ?? new Fault(kind, message, { hint })
  const cause = fault
  if (fault.kind === "no-space")
    return new Fault("no-space", `the disk of the store ${store} is full`, {
      cause,
      hint: "free some space there, then try again",
    })
  if (fault.kind === "corrupt")
    return new Fault("corrupt", `the store ${store} can't be mounted: ${fault.message}`, {
      cause,
      hint: fault.hint ?? "restore the store from a backup",
    })
  return fault
}

function endOf(isServing: boolean, how: string, logsHere: boolean, options: SupervisorOptions): Fault {
  const when = isServing ? "unexpectedly" : "before the mount was usable"
  return new Fault("io", `the supervisor ended ${when} (${how})`, {
    hint: logsHere ? "see the lines above" : `see ${options.server.store}/clawfs.log`,
  })
}

function days(text: string | undefined): number {
  if (text === undefined) return DEFAULT_SCRUB_DAYS
  if (/^\d{1,4}$/.test(text)) return Number(text)
  throw new UsageError(`mount: --scrub-days takes whole days, 0 for never, got "${text}"`)
}
