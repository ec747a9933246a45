/** The work of `clawfs restore`. */
import { realpathSync } from "node:fs"
import { resolve } from "node:path"
import { restore, type RestoreResult } from "../../backup/restore.ts"
import { Fault } from "../../core/fault.ts"
import type { FsckResult } from "../../fsck/fsck.ts"
import type { RestoreInvocation } from "../commands/restore.ts"
import { ExitCode } from "../exit-code.ts"
import { placeOf } from "../new-directory.ts"
import { humanBytes } from "../numbers.ts"
import { ProgressLine } from "../progress.ts"
import type { Terminal } from "../terminal.ts"
import { damageLine } from "./backup.ts"
import { lineOf } from "./fsck.ts"

const UMASK = 0o077

export function runRestore({ values, operands, terminal }: RestoreInvocation): ExitCode {
  const backup = realBackup(operands[0] ?? "")
  const store = placeOf(resolve(operands[1] ?? ""), "store").path
  process.umask(UMASK)
  let result: RestoreResult
  {
    using progress = new ProgressLine(terminal, "restoring")
    result = restore({ backup, store, partial: values.partial === true, onProgress: progress.show })
  }
  if (values.json === true) terminal.out(JSON.stringify(asJson(result, store), undefined, 2))
  else show(result, store, terminal)
  if (result.proof === undefined) return ExitCode.DATA
  return isAllThereWas(result) ? ExitCode.OK : ExitCode.NO
}

/** Nothing is lost, and it is the newest backup that there is. Names of backups are their times. */
function isAllThereWas({ generation, passedOver, damaged, proof }: RestoreResult): boolean {
  return damaged.pieces === 0 && proof?.counts.errors === 0 && passedOver.every((name) => name < generation)
}

function realBackup(given: string): string {
  try {
    return realpathSync(given)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause
    throw new Fault("not-found", `there is no backup ${given}`, { cause })
  }
}

function asJson(result: RestoreResult, store: string): unknown {
  const { generation, manifest, passedOver, damaged, proof } = result
  const about = { ok: isAllThereWas(result), store, generation, made: manifest.made, passedOver, damaged }
  if (proof === undefined) return { ...about, restored: false }
  const { findings, counts, omitted, totals } = proof
  return { ...about, restored: true, findings, counts, omitted, totals }
}

function show(result: RestoreResult, store: string, terminal: Terminal): void {
  const { generation, manifest, passedOver, damaged, proof } = result
  for (const name of passedOver)
    terminal.note(`the${name > generation ? " newer" : ""} backup ${name} is damaged, and was passed over`)
  const lines = damaged.first.map(damageLine)
  if (damaged.pieces > damaged.first.length) lines.push(`and ${damaged.pieces - damaged.first.length} more`)
  if (proof === undefined) {
    terminal.out(lines.join("\n"))
    terminal.fail(
      `the backup ${generation} is damaged: parts of ${damaged.files} files are lost; nothing was restored`,
      "--partial restores everything else; if the store is still there, clawfs backup --verify makes a whole one",
    )
    return
  }
  // The check finds the lost bytes again.
  lines.push(...proof.findings.filter(({ kind }) => kind !== "contents").map(lineOf))
  lines.push(`restored ${store} as of ${manifest.made}: ${proved(proof)}`)
  terminal.out(lines.join("\n"))
  if (damaged.pieces > 0) terminal.note(`parts of ${damaged.files} files are lost; reading them fails`)
}

function proved({ totals, counts }: FsckResult): string {
  const what = `${totals.inodes} inodes, ${totals.names} names, ${totals.records} records (${humanBytes(totals.recordBytes)})`
  return counts.errors === 0 ? `${what}, all checked` : `${what} checked, ${counts.errors} errors`
}
