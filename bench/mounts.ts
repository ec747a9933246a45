/**
 * The mount table and the guard that leaves nothing behind. Mounts are looked up in /proc, never by touching them:
 * a stat of a mount whose server hangs would hang too.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { runNow } from "./command.ts"

export interface MountEntry {
  readonly path: string
  readonly type: string
  /** The minor device number, which for FUSE is the name of the connection below /sys/fs/fuse/connections. */
  readonly connection: string
}

const connections = "/sys/fs/fuse/connections"

export function mountTable(): MountEntry[] {
  const lines = readFileSync("/proc/self/mountinfo", "latin1").trim().split("\n")
  return lines.map((line) => {
    const [head = "", tail = ""] = line.split(" - ")
    const [, , device = "", , path = ""] = head.split(" ")
    return {
      path: path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))),
      type: tail.split(" ")[0] ?? "",
      connection: device.split(":")[1] ?? "",
    }
  })
}

const below = (dir: string): MountEntry[] =>
  mountTable().filter((entry) => entry.path === dir || entry.path.startsWith(`${dir}/`))

export const isMounted = (path: string): boolean => mountTable().some((entry) => entry.path === path)

/** Ends every request of a FUSE mount with an error, so that whoever hangs in it comes back. */
export function abortMount(path: string): void {
  for (const entry of mountTable()) {
    if (entry.path !== path || !entry.type.startsWith("fuse")) continue
    const file = join(connections, entry.connection, "abort")
    if (existsSync(file)) writeFileSync(file, "1")
    else runNow(["umount", "-f", path])
  }
}

/** Unmounts `dir` and everything below it: politely, then by abort and force. */
export function unmountBelow(dir: string, isWanted: (entry: MountEntry) => boolean = () => true): void {
  for (const { path } of below(dir).filter(isWanted).reverse()) {
    if (runNow(["umount", path])) continue
    abortMount(path)
    if (!runNow(["umount", path])) runNow(["umount", "-l", path])
  }
}

/** What must be undone, last first: on return, on failure and on a signal. */
export class Guard {
  readonly #undo: (() => void)[] = []

  add(undo: () => void): void {
    this.#undo.push(undo)
  }

  release(): void {
    for (let undo = this.#undo.pop(); undo; undo = this.#undo.pop()) {
      try {
        undo()
      } catch (error) {
        process.stderr.write(`bench: clean-up: ${String(error)}\n`)
      }
    }
  }
}

/** Mounts fusectl when nobody did, because aborting a connection needs it. */
export function ensureFusectl(guard: Guard): void {
  if (isMounted(connections) || !existsSync(connections)) return
  if (runNow(["mount", "-t", "fusectl", "fusectl", connections]))
    guard.add(() => runNow(["umount", connections]))
}

const workPrefix = "clawfs-bench-"

/** A process id may have been given to somebody else since. */
function isBenchmark(pid: string): boolean {
  try {
    return /bench\/(?:\w+\/)?main\.js/.test(readFileSync(`/proc/${pid}/cmdline`, "latin1"))
  } catch {
    return false
  }
}

export const workDir = (dir: string): string => join(dir, `${workPrefix}${process.pid}`)

/** Ends what a run started, known by its work directory in the command line. */
function killBelow(dir: string): void {
  for (const pid of readdirSync("/proc").filter(
    (name) => /^\d+$/.test(name) && name !== String(process.pid),
  )) {
    try {
      const argv = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0")
      if (argv.some((word) => word.includes(`${dir}/`))) process.kill(Number(pid), "SIGKILL")
    } catch {
      // It ended by itself.
    }
  }
}

/**
 * Takes everything down that a work directory holds: filesystems, then their servers, then the disk below them. Only
 * what is on no mount is removed: an `rm -rf` that walks into a mount would delete what is on it.
 */
export function removeWork(dir: string): void {
  unmountBelow(dir, ({ type }) => type.startsWith("fuse"))
  killBelow(dir)
  unmountBelow(dir)
  if (below(dir).length > 0)
    process.stderr.write(`bench: ${dir} is left: something is still mounted below it\n`)
  else rmSync(dir, { recursive: true, force: true })
}

/** A run that was killed with SIGKILL could not clean up: the next one does. Two at a time measure each other. */
export function claimWorkDir(dir: string): void {
  const works = readdirSync(dir).filter((name) => name.startsWith(workPrefix))
  const pidOf = (work: string): string => work.slice(workPrefix.length)
  const other = works.map(pidOf).find(isBenchmark)
  if (other !== undefined) throw new Error(`another benchmark is running: process ${other}`)
  for (const work of works) removeWork(join(dir, work))
  mkdirSync(workDir(dir))
}
