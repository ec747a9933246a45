/** The work of `clawfs install-service`. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { homedir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { Fault } from "../../core/fault.ts"
import { isInside } from "../../sys/clawfs-mounts.ts"
import { UsageError } from "../command.ts"
import type { InstallServiceInvocation } from "../commands/install-service.ts"
import { ExitCode } from "../exit-code.ts"
import { isStore } from "../store-files.ts"
import { unitText, type Service } from "../systemd-unit.ts"
import type { Terminal } from "../terminal.ts"

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.@-]{0,199}$/

export function runInstallService({ values, terminal }: InstallServiceInvocation): ExitCode {
  const name = values.name ?? "clawfs"
  if (!NAME.test(name) || name.endsWith(".service")) {
    throw new UsageError(
      `install-service: --name takes letters, digits and _ . @ - without ".service", got "${name}"`,
    )
  }
  const isUser = values.user === true
  const service: Service = {
    kind: isUser ? "user" : "system",
    store: resolve(values.store ?? defaultStore(isUser)),
    mountpoint: resolve(values.mountpoint ?? (isUser ? join(homedir(), "clawfs") : "/clawfs")),
    node: process.execPath,
    program: fileURLToPath(new URL("../main.js", import.meta.url)),
  }
  if (isInside(service.store, service.mountpoint) || isInside(service.mountpoint, service.store))
    throw new UsageError("install-service: store and mount point can't lie inside of each other")
  const text = unitText(service)
  if (values.print === true) {
    terminal.out(text.trimEnd())
    return ExitCode.OK
  }
  const path = join(unitDirectory(isUser), `${name}.service`)
  const isNew = install(path, text, values.force === true)
  terminal.out(isNew ? `wrote ${path}` : `${path} is up to date`)
  sayNext(service, name, terminal)
  return ExitCode.OK
}

function defaultStore(isUser: boolean): string {
  if (!isUser) return "/var/lib/clawfs"
  return join(process.env["XDG_DATA_HOME"] ?? join(homedir(), ".local", "share"), "clawfs")
}

function unitDirectory(isUser: boolean): string {
  if (!isUser) return "/etc/systemd/system"
  return join(process.env["XDG_CONFIG_HOME"] ?? join(homedir(), ".config"), "systemd", "user")
}

/** Writes the unit whole or not at all; false when it is there already. */
function install(path: string, text: string, force: boolean): boolean {
  const present = read(path)
  if (present === text) return false
  if (present !== undefined && !force) {
    throw new Fault("exists", `${path} exists and differs`, {
      hint: "--force replaces it, --name writes another one, --print shows what it would be",
    })
  }
  const temporary = `${path}.${process.pid}.new`
  try {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(temporary, text, { mode: 0o644, flag: "wx" })
    renameSync(temporary, path)
  } catch (cause) {
    rmSync(temporary, { force: true })
    const { code } = cause as NodeJS.ErrnoException
    if (code !== "EACCES" && code !== "EPERM") throw cause
    throw new Fault("denied", `no permission to write ${path}`, {
      cause,
      hint: "run this as root, or --user writes a unit of your own",
    })
  }
  return true
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8")
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "ENOENT" || code === "ENOTDIR") return undefined
    throw cause
  }
}

/** The commands that come next, as they can be typed. */
function sayNext({ kind, store, mountpoint }: Service, name: string, terminal: Terminal): void {
  const systemctl = kind === "user" ? "systemctl --user" : "systemctl"
  const steps = [
    ...(isStore(store) ? [] : [`clawfs init ${shellWord(store)}`]),
    `mkdir -p ${shellWord(mountpoint)}`,
    `${systemctl} daemon-reload`,
    `${systemctl} enable --now ${name}`,
    ...(kind === "user" ? ["loginctl enable-linger    # also while you are not logged in"] : []),
  ]
  terminal.out(["next:", ...steps.map((step) => `  ${step}`)].join("\n"))
}

function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
