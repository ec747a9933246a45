/** `clawfs mount`: checks what it was given, then leaves the work to a supervisor. */
import { spawn } from "node:child_process"
import { openSync, readdirSync, realpathSync, statSync } from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { Fault } from "../../core/fault.ts"
import type { Level } from "../../core/log.ts"
import { FILESYSTEM_TYPE, openDevice, unmountFuse } from "../../fuse/mount.ts"
import { Store } from "../../store/store.ts"
import type { SupervisorReport } from "../../supervisor/main.ts"
import type { SupervisorOptions } from "../../supervisor/supervisor.ts"
import { mountAt } from "../../sys/mountinfo.ts"
import { closeSync } from "node:fs"
import { command } from "../command.ts"
import { ExitCode } from "../exit-code.ts"
import type { Terminal } from "../terminal.ts"

const help = `
usage: clawfs mount [options] STORE MOUNTPOINT

Mounts the store on the directory MOUNTPOINT and returns when it is usable. A supervisor stays in the
background: it restarts the server if that dies, without any program on the mount noticing more than a short
stall. Its log is STORE/clawfs.log. A dead mount that an earlier supervisor left on MOUNTPOINT is replaced.

options:
  -f, --foreground     stay in the foreground, log to stderr; SIGTERM and Ctrl-C unmount
      --read-only      nothing can be changed
      --nonempty       mount over a directory that has entries
      --allow-other    let other users in (for root always so; needs user_allow_other in /etc/fuse.conf)
      --private        as root: let nobody else in
      --writeback      keep dirty pages in the kernel: small appends get much faster, but a change reaches the
                       store only seconds later or at close, and a full disk shows only then
      --open-checks    ask the server at every open: immutable and append-only files are refused at open
                       instead of at the first write; opening gets slower
      --suid --dev     let setuid bits and device nodes on the mount have their effect
      --noexec         no program on the mount can be run
      --flush SECONDS  how long an acknowledged change may wait for the disk (default 5); fsync never waits
      --log LEVEL      debug, info, warn or error (default info)

exit status: 0 mounted, 64 wrong usage, 65 not a store or damaged, 66 STORE or MOUNTPOINT missing,
  69 no FUSE or a store of a newer version, 73 MOUNTPOINT not empty, 74 disk error, 75 in use, 77 no permission
`

const LEVELS: readonly Level[] = ["debug", "info", "warn", "error"]

export const mount = command({
  name: "mount",
  summary: "mount a store",
  help,
  operands: [2, 2],
  options: {
    foreground: { type: "boolean", short: "f" },
    "read-only": { type: "boolean" },
    nonempty: { type: "boolean" },
    "allow-other": { type: "boolean" },
    private: { type: "boolean" },
    writeback: { type: "boolean" },
    "open-checks": { type: "boolean" },
    suid: { type: "boolean" },
    dev: { type: "boolean" },
    noexec: { type: "boolean" },
    flush: { type: "string" },
    log: { type: "string" },
  },
  async run({ values, positionals, terminal }) {
    const store = resolve(positionals[0] ?? "")
    const mountpoint = checkMountpoint(resolve(positionals[1] ?? ""), values.nonempty === true)
    checkStore(store, mountpoint)
    closeSync(openDevice())
    const readOnly = values["read-only"] === true
    const options: SupervisorOptions = {
      mount: {
        mountpoint,
        source: store,
        readOnly,
        allowOther: values["allow-other"] === true || (process.getuid?.() === 0 && values.private !== true),
        suid: values.suid === true,
        dev: values.dev === true,
        exec: values.noexec !== true,
      },
      server: {
        store,
        mountpoint,
        readOnly,
        writeback: values.writeback === true,
        openIsAsked: values["open-checks"] === true,
        flushSeconds: seconds(values.flush),
        logLevel: level(values.log),
        killAfterCommit: Number(process.env["CLAWFS_TEST_KILL_AFTER_COMMIT"] ?? 0),
      },
    }
    return values.foreground === true ? await foreground(options) : await background(options, terminal)
  },
})

function seconds(text: string | undefined): number {
  const value = Number(text ?? 5)
  if (!(value > 0 && value <= 3600))
    throw new Fault("invalid", `--flush takes a number of seconds from above 0 to 3600, got "${text ?? ""}"`)
  return value
}

function level(text: string | undefined): Level {
  const found = LEVELS.find((name) => name === (text ?? "info"))
  if (found === undefined)
    throw new Fault("invalid", `--log takes one of ${LEVELS.join(", ")}, got "${text ?? ""}"`)
  return found
}

/** The resolved mount point; a dead mount on it is taken away first. */
function checkMountpoint(path: string, nonempty: boolean): string {
  const here = mountAt(path)
  if (here?.type === FILESYSTEM_TYPE) {
    if (!isDead(path))
      throw new Fault("busy", `a ClawFS is already mounted on ${path}`, { hint: `clawfs unmount ${path}` })
    unmountFuse(path, { lazy: true })
  }
  let real: string
  try {
    real = realpathSync(path)
    if (!statSync(real).isDirectory()) throw new Fault("invalid", `${path} is not a directory`)
    if (!nonempty && readdirSync(real).length > 0) {
      throw new Fault("not-empty", `${path} is not empty`, { hint: "--nonempty mounts over what is there" })
    }
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "ENOENT")
      throw new Fault("not-found", `there is no directory ${path}`, { cause, hint: `mkdir -p ${path}` })
    if (code === "ENOTDIR") throw new Fault("invalid", `${path} is not a directory`, { cause })
    if (code === "EACCES") throw new Fault("denied", `no permission to look into ${path}`, { cause })
    throw cause
  }
  return real
}

/** The kernel answers ENOTCONN for a mount whose last server is gone. */
function isDead(path: string): boolean {
  try {
    statSync(path)
    return false
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "ENOTCONN"
  }
}

function checkStore(store: string, mountpoint: string): void {
  if (`${store}/`.startsWith(`${mountpoint}/`))
    throw new Fault("invalid", "the store can't lie inside of its own mount point")
  try {
    using opened = Store.open(store, { readOnly: true })
    opened.root()
  } catch (thrown) {
    // An older store is migrated by the server, which opens it writable.
    if (thrown instanceof Fault && thrown.kind === "read-only") return
    const { code } = thrown as NodeJS.ErrnoException
    if (code === "EACCES" || code === "EPERM")
      throw new Fault("denied", `no permission to read the store ${store}`, { cause: thrown })
    throw thrown
  }
}

const supervisorMain = fileURLToPath(new URL("../../supervisor/main.js", import.meta.url))

function foreground(options: SupervisorOptions): Promise<ExitCode> {
  return supervise(options, "inherit", false)
}

async function background(options: SupervisorOptions, terminal: Terminal): Promise<ExitCode> {
  const log = openSync(join(options.server.store, "clawfs.log"), "a", 0o600)
  const status = await supervise(options, log, true)
  closeSync(log)
  if (status === ExitCode.OK) terminal.out(`mounted ${options.server.store} on ${options.mount.mountpoint}`)
  return status
}

/** Starts the supervisor; resolves when the mount is usable (detached) or when it has ended. */
function supervise(
  options: SupervisorOptions,
  log: "inherit" | number,
  detached: boolean,
): Promise<ExitCode> {
  const child = spawn(process.execPath, [supervisorMain, JSON.stringify(options)], {
    detached,
    stdio: ["ignore", log, log, "ipc"],
  })
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal)
  if (!detached) for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, forward)
  return new Promise((resolve, reject) => {
    child.on("message", (report: SupervisorReport) => {
      if (report.kind === "failed") {
        const { kind, message, hint } = report.fault
        reject(new Fault(kind, message, { hint }))
      } else if (detached) {
        child.unref()
        resolve(ExitCode.OK)
      }
    })
    child.on("error", reject)
    child.on("exit", (code) => {
      if (code === 0) resolve(ExitCode.OK)
      else
        reject(
          new Fault("io", "the supervisor ended before the mount was usable", {
            hint: `see ${options.server.store}/clawfs.log`,
          }),
        )
    })
  })
}
