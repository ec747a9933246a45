/** The work of `clawfs salvage`. */
import { realpathSync } from "node:fs"
import { resolve } from "node:path"
import { Fault } from "../../core/fault.ts"
import { salvage, type SalvageResult } from "../../salvage/salvage.ts"
import type { Entry } from "../../salvage/report.ts"
import { isClawfs, isInside } from "../../sys/clawfs-mounts.ts"
import type { SalvageInvocation } from "../commands/salvage.ts"
import { supervisorOf } from "../daemon.ts"
import { ExitCode } from "../exit-code.ts"
import { locate } from "../mountpoint.ts"
import { placeOf } from "../new-directory.ts"
import { humanBytes } from "../numbers.ts"
import { ProgressLine } from "../progress.ts"
import type { Terminal } from "../terminal.ts"
import { lineOf } from "./fsck.ts"

const UMASK = 0o077

export function runSalvage({ values, operands, terminal }: SalvageInvocation): ExitCode {
  const store = realDirectory(operands[0] ?? "", "store")
  const mountpoint = supervisorOf(store)?.mountpoint
  if (isClawfs(locate(store).entry) || mountpoint !== undefined)
    throw new Fault("busy", `the store ${store} is mounted`, {
      hint: `clawfs unmount ${mountpoint ?? store}; a store that can be mounted needs no salvage`,
    })
  const target = placeOf(resolve(operands[1] ?? ""), "store").path
  if (isInside(target, store))
    throw new Fault("invalid", `${target} would lie inside of the store ${store}`, {
      hint: "name a directory outside of it",
    })
  const backup = values.backup === undefined ? undefined : realDirectory(values.backup, "backup")
  process.umask(UMASK)
  let result: SalvageResult
  {
    using progress = new ProgressLine(terminal, "salvaging")
    result = salvage({ store, target, backup, onProgress: progress.show })
  }
  const { counts, entries, omitted, remarks, proof } = result
  const isAll = counts.older + counts.part + counts.lost + counts.nameless === 0 && proof.counts.errors === 0
  if (values.json === true) {
    const about = { ok: isAll, store, target, counts, entries, omitted, remarks }
    terminal.out(JSON.stringify({ ...about, findings: proof.findings }, undefined, 2))
  } else show(result, target, terminal)
  return isAll ? ExitCode.OK : ExitCode.NO
}

function realDirectory(given: string, what: string): string {
  try {
    return realpathSync(given)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause
    throw new Fault("not-found", `there is no ${what} ${given}`, { cause })
  }
}

function show(
  { counts, entries, omitted, remarks, proof }: SalvageResult,
  target: string,
  terminal: Terminal,
): void {
  for (const remark of remarks) terminal.note(remark)
  const lines = entries.map(entryLine)
  if (omitted > 0) lines.push(`and ${omitted} more`)
  lines.push(...proof.findings.map(lineOf))
  const { whole, older, part, lost, directories, nameless, bytes } = counts
  const parts = [
    `${whole} files whole`,
    ...(older > 0 ? [`${older} as an older copy of the database has them`] : []),
    ...(part > 0 ? [`${part} in part`] : []),
    ...(lost > 0 ? [`${lost} lost`] : []),
    `${directories} directories`,
  ]
  lines.push(`salvaged into ${target}: ${parts.join(", ")} (${humanBytes(bytes)})`)
  terminal.out(lines.join("\n"))
  if (nameless > 0) terminal.note(`${nameless} of them have lost their names, and are in /lost+found`)
}

function entryLine({ path, status, metadata, lost, uncertainBytes }: Entry): string {
  const details = [
    ...(metadata === "lost" ? ["owner and times are lost"] : []),
    ...(metadata === "without attributes" ? ["its extended attributes are lost"] : []),
    ...lost.map(({ offset, length }) => `bytes ${offset} to ${offset + length - 1} are lost`),
    ...(uncertainBytes > 0 ? [`${uncertainBytes} bytes are as the log alone tells`] : []),
  ]
  return `${status}  ${path}: ${status === "lost" ? "only the name is known" : details.join(", ")}`
}
