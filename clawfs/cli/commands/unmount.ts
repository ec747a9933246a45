/** `clawfs unmount`: takes the mount away and waits until everything is on the disk and no process is left. */
import { readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs"
import { resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { call } from "../../api/client.ts"
import { Fault } from "../../core/fault.ts"
import { FILESYSTEM_TYPE, unmountFuse } from "../../fuse/mount.ts"
import { isAlive, readState } from "../../supervisor/state.ts"
import { mountAt } from "../../sys/mountinfo.ts"
import { command } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const help = `
usage: clawfs unmount [--lazy] MOUNTPOINT

Writes everything to the disk, unmounts, and returns when the daemon has ended.

options:
  --lazy   detach now, even if programs still use the mount; the daemon ends when the last of them has left

exit status: 0 unmounted, 64 wrong usage, 66 nothing is mounted there, 75 in use, 77 no permission
`

const WAIT_MS = 30_000
const POLL_MS = 20

export const unmount = command({
  name: "unmount",
  summary: "unmount and end the daemon",
  help,
  operands: [1, 1],
  options: { lazy: { type: "boolean" } },
  async run({ values, positionals, terminal }) {
    const mountpoint = realMountpoint(resolve(positionals[0] ?? ""))
    const entry = mountAt(mountpoint)
    if (entry?.type !== FILESYSTEM_TYPE) throw new Fault("not-found", `no ClawFS is mounted on ${mountpoint}`)
    const supervisor = supervisorOf(entry.source)
    if (supervisor?.state === "serving") await call(entry.source, "sync")
    const result = unmountFuse(mountpoint, { lazy: values.lazy === true })
    if (result === "busy") {
      throw new Fault("busy", `${mountpoint} is in use${users(mountpoint)}`, {
        hint: "end those programs, or use --lazy",
      })
    }
    if (supervisor !== undefined && values.lazy !== true) await ended(supervisor.pid)
    terminal.out(`unmounted ${mountpoint}`)
    return ExitCode.OK
  },
})

/** A dead mount can't be resolved any more; its path is taken as given. */
function realMountpoint(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

/** The store of a dead mount may be gone. */
function supervisorOf(store: string): ReturnType<typeof readState> {
  try {
    return readState(store)
  } catch {
    return undefined
  }
}

async function ended(pid: number): Promise<void> {
  const until = Date.now() + WAIT_MS
  while (Date.now() < until) {
    if (!isAlive(pid)) return
    await sleep(POLL_MS)
  }
  throw new Fault("timeout", `unmounted, but the daemon (process ${pid}) has not ended`, {
    hint: "see clawfs.log in the store",
  })
}

/** Names up to three processes that have the mount as working directory or files of it open, as far as we may look. */
function users(mountpoint: string): string {
  const found: string[] = []
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    if (uses(pid, mountpoint)) found.push(`${nameOf(pid)} (process ${pid})`)
    if (found.length === 3) break
  }
  return found.length === 0 ? "" : ` by ${found.join(", ")}`
}

function uses(pid: string, mountpoint: string): boolean {
  try {
    const links = [
      `/proc/${pid}/cwd`,
      `/proc/${pid}/root`,
      ...readdirSync(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`),
    ]
    return links.some((link) => {
      const target = readlinkSync(link)
      return target === mountpoint || target.startsWith(`${mountpoint}/`)
    })
  } catch {
    // Gone meanwhile, or not ours to look into.
    return false
  }
}

function nameOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim()
  } catch {
    return "a program"
  }
}
