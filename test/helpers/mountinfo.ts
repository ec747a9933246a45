/** What /proc and /sys say about mounts and processes. Nothing here touches a mounted filesystem, so nothing hangs. */
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs"

export interface MountEntry {
  readonly mountpoint: string
  readonly type: string
  /** The minor device number: the name of the FUSE connection. */
  readonly minor: number
}

const unescape = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))

/** The mounts at or below a directory, the latest first: the order to unmount them in. */
export function mountsBelow(directory: string, process = "self"): MountEntry[] {
  const entries: MountEntry[] = []
  for (const line of readFileSync(`/proc/${process}/mountinfo`, "utf8").split("\n")) {
    const [before = "", after = ""] = line.split(" - ")
    const fields = before.split(" ")
    const mountpoint = unescape(fields[4] ?? "")
    if (mountpoint !== directory && !mountpoint.startsWith(directory === "/" ? "/" : `${directory}/`))
      continue
    entries.push({ mountpoint, type: after.split(" ")[0] ?? "", minor: Number(fields[2]?.split(":")[1]) })
  }
  return entries.reverse()
}

/** The mount point of the FUSE filesystem that a path lies on, or undefined. */
export function fuseMountOf(path: string): string | undefined {
  return mountsBelow("/")
    .filter(({ mountpoint, type }) => type.startsWith("fuse") && `${path}/`.startsWith(`${mountpoint}/`))
    .sort((a, b) => b.mountpoint.length - a.mountpoint.length)[0]?.mountpoint
}

const connections = "/sys/fs/fuse/connections"

/** The control filesystem of FUSE, which abort needs, is not mounted everywhere. False: not available. */
export function mountFuseControl(): boolean {
  if (mountsBelow(connections).length > 0) return true
  spawnSync("mount", ["-t", "fusectl", "none", connections])
  return mountsBelow(connections).length > 0
}

/** Ends every FUSE connection mounted below the directory: each waiting system call returns with an error. */
export function abortConnections(directory: string): number {
  let aborted = 0
  for (const { type, minor } of mountsBelow(directory)) {
    if (!type.startsWith("fuse")) continue
    try {
      writeFileSync(`${connections}/${minor}/abort`, "1")
      aborted += 1
    } catch {
      // the connection is gone
    }
  }
  return aborted
}

/**
 * Another test that enters a mount namespace of its own takes a copy of every mount along, and a filesystem does not
 * end before its last copy is gone. Takes the copies of mounts below the directory away.
 */
export function detachElsewhere(directory: string): void {
  const seen = new Set([readlinkSync("/proc/self/ns/mnt")])
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const namespace = readlinkSync(`/proc/${pid}/ns/mnt`)
      if (seen.has(namespace)) continue
      seen.add(namespace)
      for (const { mountpoint } of mountsBelow(directory, pid)) {
        spawnSync("nsenter", ["-t", pid, "-m", "umount", "-l", mountpoint], { timeout: 10_000 })
      }
    } catch {
      // ended in between
    }
  }
}

/** umount2(MNT_DETACH) of everything at or below the directory. */
export function detachMounts(directory: string): void {
  for (const { mountpoint } of mountsBelow(directory))
    spawnSync("umount", ["-l", mountpoint], { timeout: 10_000 })
}

export interface ProcessId {
  readonly pid: number
  /** Start time in clock ticks: tells a process from a later one with the same number. */
  readonly started: string
}

const statFields = (pid: number): string[] | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  } catch {
    return undefined
  }
}

export function processId(pid: number): ProcessId | undefined {
  const started = statFields(pid)?.[19]
  return started === undefined ? undefined : { pid, started }
}

/** A zombie counts as ended. */
export function isAlive({ pid, started }: ProcessId): boolean {
  const fields = statFields(pid)
  return fields?.[19] === started && fields[0] !== "Z"
}

export function kill(id: ProcessId): void {
  if (!isAlive(id)) return
  try {
    process.kill(id.pid, "SIGKILL")
  } catch {
    // ended in between
  }
}

/** The processes whose command line names the directory. */
export function processesNaming(directory: string): { readonly id: ProcessId; readonly command: string }[] {
  const found: { id: ProcessId; command: string }[] = []
  for (const name of readdirSync("/proc")) {
    const pid = Number(name)
    if (!Number.isInteger(pid) || pid === process.pid) continue
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ")
      const id = processId(pid)
      if (command.includes(directory) && id !== undefined && isAlive(id)) found.push({ id, command })
    } catch {
      // ended in between
    }
  }
  return found
}
