/** `clawfs status`: what is mounted and how it fares. */
import { realpathSync } from "node:fs"
import { resolve } from "node:path"
import { call } from "../../api/client.ts"
import { Fault } from "../../core/fault.ts"
import { FILESYSTEM_TYPE } from "../../fuse/mount.ts"
import type { Status } from "../../server/status.ts"
import { readState, type SupervisorState } from "../../supervisor/state.ts"
import { readMounts } from "../../sys/mountinfo.ts"
import { command } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const help = `
usage: clawfs status [--json] [MOUNTPOINT]

Shows what a mount is doing; without MOUNTPOINT, all ClawFS mounts of this machine. The same is in the file
MOUNTPOINT/.status, as JSON.

options:
  --json   one JSON object (without MOUNTPOINT: an array of them)

states: serving; restarting (a server died, the next one is starting); failed (servers kept crashing, the mount
answers EIO); dead (no daemon: mount again to replace it)

exit status: 0 serving, 1 in another state, 64 wrong usage, 66 nothing is mounted there, 77 no permission
`

interface Dead {
  readonly state: "dead"
  readonly store: string
  readonly mountpoint: string
}
type Ailing = Omit<SupervisorState, "pid"> & {
  readonly store: string
  readonly supervisor: { readonly pid: number }
}
type Report = Status | Ailing | Dead

export const status = command({
  name: "status",
  summary: "show what a mount is doing",
  help,
  operands: [0, 1],
  options: { json: { type: "boolean" } },
  async run({ values, positionals, terminal }) {
    const [operand] = positionals
    const mounts = readMounts().filter(({ type }) => type === FILESYSTEM_TYPE)
    const wanted = operand === undefined ? undefined : realMountpoint(resolve(operand))
    const chosen =
      wanted === undefined ? mounts : mounts.filter(({ mountpoint }) => mountpoint === wanted).slice(-1)
    if (wanted !== undefined && chosen.length === 0)
      throw new Fault("not-found", `no ClawFS is mounted on ${wanted}`)
    const reports = await Promise.all(chosen.map(({ source, mountpoint }) => reportOf(source, mountpoint)))
    if (values.json === true)
      terminal.out(JSON.stringify(wanted === undefined ? reports : reports[0], undefined, 2))
    else if (reports.length === 0) terminal.note("no ClawFS is mounted")
    else terminal.out(reports.map(describeReport).join("\n\n"))
    return reports.every(({ state }) => state === "serving") ? ExitCode.OK : ExitCode.NO
  },
})

function realMountpoint(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    // A dead mount can't be resolved; its path is taken as given.
    return path
  }
}

async function reportOf(store: string, mountpoint: string): Promise<Report> {
  const supervisor = stateOf(store)
  if (supervisor === undefined) return { state: "dead", store, mountpoint }
  const { pid, ...rest } = supervisor
  const ailing: Ailing = { ...rest, store, supervisor: { pid } }
  if (supervisor.state !== "serving") return ailing
  try {
    return (await call(store, "status")) as Status
  } catch (thrown) {
    // Between a server's death and the next one's start nobody listens.
    if (thrown instanceof Fault && (thrown.kind === "not-found" || thrown.kind === "io"))
      return { ...ailing, state: "restarting" }
    throw thrown
  }
}

function stateOf(store: string): SupervisorState | undefined {
  try {
    return readState(store)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EACCES")
      throw new Fault("denied", `no permission to read the store ${store}`, { cause })
    throw cause
  }
}

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"] as const

/** 1536 → "1.5 KiB". */
export function humanBytes(bytes: number): string {
  let [value, unit] = [bytes, 0]
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit] ?? ""}`
}

function describeReport(report: Report): string {
  const head = [
    `mount       ${report.mountpoint}`,
    `store       ${report.store}`,
    `state       ${report.state}`,
  ]
  if (!("server" in report)) {
    if ("lastEnd" in report && report.lastEnd !== undefined) head.push(`last end    ${report.lastEnd}`)
    if ("restarts" in report) head.push(`restarts    ${report.restarts}`)
    return head.join("\n")
  }
  const { server, supervisor, bytes, inodes, protocol, requests } = report
  return [
    ...head,
    `files       ${inodes.used} inodes, ${humanBytes(bytes.used)} used, ${humanBytes(bytes.available)} available`,
    `supervisor  process ${supervisor.pid}`,
    `server      process ${server.pid}, ${humanBytes(server.rssBytes)}, up ${server.uptimeSeconds} s, ${server.restarts} restarts`,
    `kernel      FUSE 7.${protocol.minor}, holds ${report.lookups} inodes, ${protocol.resend ? "resends requests after a crash" : "cannot resend requests after a crash"}`,
    `requests    ${requests.answered}`,
    `version     ${report.version}`,
  ].join("\n")
}
