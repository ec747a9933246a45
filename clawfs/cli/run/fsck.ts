/** The work of `clawfs fsck`. */
import { Fault } from "../../core/fault.ts"
import type { Finding } from "../../fsck/finding.ts"
import { fsck, type FsckResult } from "../../fsck/fsck.ts"
import { isClawfs } from "../../sys/clawfs-mounts.ts"
import { UsageError } from "../command.ts"
import type { FsckInvocation } from "../commands/fsck.ts"
import { supervisorOf } from "../daemon.ts"
import { ExitCode } from "../exit-code.ts"
import { locate } from "../mountpoint.ts"
import { humanBytes } from "../numbers.ts"
import { ProgressLine } from "../progress.ts"
import { inspectStore } from "../store-files.ts"
import type { Terminal } from "../terminal.ts"

export function runFsck({ values, operands, terminal }: FsckInvocation): ExitCode {
  const started = performance.now()
  const repair = values.repair === true
  const dropsSealed = values["drop-sealed"] === true
  if (dropsSealed && !repair) throw new UsageError("fsck: --drop-sealed goes with --repair")
  const store = storeOf(operands[0] ?? "")
  const mountpoint = supervisorOf(store)?.mountpoint
  if (repair && mountpoint !== undefined) {
    throw new Fault(
      "busy",
      `the store ${store} is mounted on ${mountpoint}, and can't be repaired meanwhile`,
      {
        hint: `clawfs unmount ${mountpoint}`,
      },
    )
  }
  const isOnline = mountpoint !== undefined
  const progress = new ProgressLine(terminal, "checking")
  let result: FsckResult
  try {
    result = fsck({ directory: store, isOnline, repair, dropsSealed, onProgress: progress.show })
  } finally {
    progress.clear()
  }
  const seconds = (performance.now() - started) / 1000
  const ok = result.counts.errors === 0
  if (values.json === true) {
    const { findings, counts, omitted, totals, remarks, backup } = result
    const about = { ok, store, online: isOnline, seconds: Number(seconds.toFixed(3)) }
    const rest = { findings, counts, omitted, totals, remarks, ...(backup === undefined ? {} : { backup }) }
    terminal.out(JSON.stringify({ ...about, ...rest }, undefined, 2))
  } else show(result, { store, seconds, repair }, terminal)
  return ok ? ExitCode.OK : ExitCode.NO
}

/** The store at a mount point, also at that of a dead daemon, or the store itself. */
function storeOf(operand: string): string {
  const { entry } = locate(operand)
  return inspectStore(isClawfs(entry) ? entry.source : operand).path
}

interface About {
  readonly store: string
  readonly seconds: number
  readonly repair: boolean
}

function show(result: FsckResult, { store, seconds, repair }: About, terminal: Terminal): void {
  const { findings, counts, omitted, totals, remarks, backup } = result
  for (const remark of remarks) terminal.note(remark)
  const lines = findings.map(lineOf)
  if (omitted > 0) lines.push(`and ${omitted} more`)
  const { inodes, names, records, recordBytes } = totals
  const what = `${inodes} inodes, ${names} names, ${records} records (${humanBytes(recordBytes)})`
  lines.push(`checked ${what} in ${seconds.toFixed(1)} s: ${verdict(result)}`)
  terminal.out(lines.join("\n"))
  if (backup !== undefined) terminal.note(`meta.db as it was before is in ${backup}`)
  const open = findings.filter(({ severity, repaired }) => severity === "error" && !repaired)
  const mendable = open.filter(({ repairable }) => repairable).length
  if (!repair && mendable > 0)
    terminal.note(`clawfs fsck --repair ${store} can mend ${mendable} of ${plural(counts.errors, "error")}`)
  if (open.some(({ kind }) => kind === "contents"))
    terminal.note("bytes that can't be read must come from a backup; the rest of those files is whole")
}

/** One finding, for people. */
export function lineOf({ severity, repaired, path, range, message }: Finding): string {
  const place = [
    ...(path === undefined ? [] : [path]),
    ...(range === undefined ? [] : [`bytes ${range.offset} to ${range.offset + range.length - 1}`]),
  ].join(" ")
  const label = (repaired ? "repaired" : severity).padEnd(8)
  return `${label}  ${place === "" ? "" : `${place}: `}${message}`
}

function verdict({ counts: { errors, notes, repaired } }: FsckResult): string {
  const parts = [
    ...(errors > 0 ? [plural(errors, "error")] : []),
    ...(repaired > 0 ? [`${repaired} repaired`] : []),
    ...(errors === 0 && repaired === 0 ? ["clean"] : []),
    ...(notes > 0 ? [plural(notes, "note")] : []),
  ]
  return parts.join(", ")
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`
}
