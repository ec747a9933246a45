/** The work of `clawfs backup`. */
import { resolve } from "node:path"
import { backUp, type BackupResult } from "../../backup/backup.ts"
import type { Damage } from "../../backup/verify.ts"
import { isClawfs } from "../../sys/clawfs-mounts.ts"
import { UsageError } from "../command.ts"
import type { BackupInvocation } from "../commands/backup.ts"
import { ExitCode } from "../exit-code.ts"
import { locate } from "../mountpoint.ts"
import { placeOf } from "../new-directory.ts"
import { humanBytes } from "../numbers.ts"
import { originOf } from "../origin.ts"
import { ProgressLine } from "../progress.ts"
import { inspectStore } from "../store-files.ts"
import type { Terminal } from "../terminal.ts"

const KEEP = 7
const MOST_KEPT = 10_000
/** What is made is ours alone. */
const UMASK = 0o077

export async function runBackup({ values, operands, terminal }: BackupInvocation): Promise<ExitCode> {
  const started = performance.now()
  const keep = keepOf(values.keep)
  const { entry } = locate(operands[0] ?? "")
  const store = inspectStore(isClawfs(entry) ? entry.source : (operands[0] ?? "")).path
  const directory = placeOf(resolve(operands[1] ?? ""), "backup").path
  process.umask(UMASK)
  using origin = originOf(store)
  let result: BackupResult
  {
    using progress = new ProgressLine(terminal, "copying")
    const readsAll = values.verify === true
    result = await backUp({ origin, directory, keep, readsAll, onProgress: progress.show })
  }
  const seconds = (performance.now() - started) / 1000
  if (values.json === true) terminal.out(JSON.stringify(asJson(result, store, seconds), undefined, 2))
  else show(result, seconds, terminal)
  return result.damaged.pieces === 0 ? ExitCode.OK : ExitCode.NO
}

function keepOf(text: string | undefined): number {
  if (text === undefined) return KEEP
  const value = /^\d{1,6}$/.test(text) ? Number(text) : NaN
  if (value >= 1 && value <= MOST_KEPT) return value
  throw new UsageError(`backup: --keep takes a number from 1 to ${MOST_KEPT}, got "${text}"`)
}

function asJson(result: BackupResult, store: string, seconds: number): unknown {
  const { path, manifest, bytes, written, removed, passedOver, damaged } = result
  const { generation, made, totals } = manifest
  const about = { ok: damaged.pieces === 0, store, path, generation, made, totals }
  const size = { bytes, writtenBytes: written, seconds: Number(seconds.toFixed(3)) }
  return { ...about, ...size, removed, passedOver, damaged }
}

function show(result: BackupResult, seconds: number, terminal: Terminal): void {
  const { path, manifest, bytes, written, removed, passedOver, damaged } = result
  for (const name of passedOver) terminal.note(`the earlier backup ${name} is damaged, and was passed over`)
  const lines = damaged.first.map(damageLine)
  if (damaged.pieces > damaged.first.length) lines.push(`and ${damaged.pieces - damaged.first.length} more`)
  const size = `${humanBytes(bytes)}, ${humanBytes(written)} of it new`
  lines.push(`backed up ${manifest.totals.inodes} inodes in ${path} (${size}) in ${seconds.toFixed(1)} s`)
  terminal.out(lines.join("\n"))
  for (const name of removed) terminal.note(`removed the backup ${name}`)
  if (damaged.pieces > 0)
    terminal.note(`parts of ${damaged.files} files are damaged in the store, and in no earlier backup whole`)
}

/** One damaged piece, for people. */
export function damageLine({ path, ino, offset, length, message }: Damage): string {
  return `error     ${path ?? `inode ${ino}`} bytes ${offset} to ${offset + length - 1}: ${message}`
}
