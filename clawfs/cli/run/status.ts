/** The work of `clawfs status`. */
import { setTimeout as sleep } from "node:timers/promises"
import { Fault } from "../../core/fault.ts"
import { isClawfs } from "../../sys/clawfs-mounts.ts"
import { UsageError } from "../command.ts"
import type { StatusInvocation } from "../commands/status.ts"
import { ExitCode } from "../exit-code.ts"
import { locate } from "../mountpoint.ts"
import { humanBytes, seconds } from "../numbers.ts"
import { reportAll, reportOf, type Report } from "../reports.ts"
import { describeScrub } from "../scrub-report.ts"

const POLL_MS = 100
const MOST_WAIT = 86_400

export async function runStatus({ values, operands, terminal }: StatusInvocation): Promise<ExitCode> {
  const [operand] = operands
  const wait = seconds("status", "--wait", values.wait, MOST_WAIT)
  if (wait !== undefined && operand === undefined)
    throw new UsageError("status: --wait needs a MOUNTPOINT to wait for")
  const reports = operand === undefined ? await reportAll() : [await one(operand, wait ?? 0)]
  const [first] = reports
  if (values.json === true)
    terminal.out(JSON.stringify(operand === undefined ? reports : first, undefined, 2))
  else if (first === undefined) terminal.note("no ClawFS is mounted")
  else terminal.out(reports.map(describeReport).join("\n\n"))
  return verdict(reports)
}

function verdict(reports: readonly Report[]): ExitCode {
  const known = reports.filter(({ state }) => state !== "unknown")
  if (known.length === 0) return reports.length === 0 ? ExitCode.NO : ExitCode.DENIED
  return known.every(({ state }) => state === "serving") ? ExitCode.OK : ExitCode.NO
}

async function one(operand: string, waitSeconds: number): Promise<Report> {
  const until = Date.now() + waitSeconds * 1000
  for (;;) {
    const { path, entry } = locate(operand)
    const report = isClawfs(entry) ? await reportOf(entry) : undefined
    const isLate = Date.now() >= until
    if (report !== undefined && (isLate || report.state === "serving")) return report
    if (isLate) {
      throw new Fault("not-found", `no ClawFS is mounted on ${path}`, {
        hint: "clawfs status shows what is mounted",
      })
    }
    await sleep(POLL_MS)
  }
}

function describeReport(report: Report): string {
  const head = [
    `mount       ${report.mountpoint}`,
    `store       ${report.store}`,
    `state       ${report.state}`,
  ]
  if (!("server" in report)) {
    if ("supervisor" in report) {
      head.push(`supervisor  process ${report.supervisor.pid}`, `restarts    ${report.restarts}`)
      if (report.lastEnd !== undefined) head.push(`last end    ${report.lastEnd}`)
    }
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
    ...(report.scrub === undefined ? [] : [describeScrub(report.scrub).join("\n")]),
    `version     ${report.version}`,
  ].join("\n")
}
