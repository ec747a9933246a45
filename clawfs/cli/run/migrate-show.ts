/** What `clawfs migrate` says, for people and as JSON. */
import type { Applied } from "../../migrate/apply.ts"
import type { Plan } from "../../migrate/plan.ts"
import type { RolledBack } from "../../migrate/rollback.ts"
import type { Header, Run } from "../../migrate/run.ts"
import type { Loss } from "../../migrate/secrets/transfer.ts"
import type { Verified } from "../../migrate/verify.ts"
import { humanBytes } from "../numbers.ts"
import type { Terminal } from "../terminal.ts"

const MOST_SHOWN = 20

export function showPlan(plan: Plan, run: string, terminal: Terminal, asJson: boolean): void {
  if (asJson) {
    terminal.out(JSON.stringify({ run, ...plan }, undefined, 2))
    return
  }
  const { source, tables, items, listed, hazards, secrets } = plan
  terminal.out(source)
  const width = Math.max(...tables.map(({ table }) => table.length), 0)
  for (const { table, rows, bytes, target } of tables)
    if (rows > 0)
      terminal.out(
        `  ${table.padEnd(width)} ${String(rows).padStart(9)} rows ${humanBytes(bytes).padStart(10)}  ${target}`,
      )
  terminal.out(
    `  ${items.files} files, ${secrets.total} secrets (${secrets.expired} expired, ${secrets.lost.length} lost)`,
  )
  for (const [code, count] of Object.entries(hazards)) {
    terminal.out(`${code}: ${count}`)
    const first = listed.filter((hazard) => hazard.code === code).slice(0, MOST_SHOWN)
    for (const { table, id, detail } of first)
      terminal.out(`  ${table} ${printable(id)}: ${printable(detail)}`)
    if (count > first.length) terminal.out(`  and ${count - first.length} more; --json has them`)
  }
}

export function showApplied(
  applied: Applied,
  { run, seconds, unknownTables }: { run: string; seconds: number; unknownTables: readonly string[] },
  terminal: Terminal,
): void {
  const { files, bytes, secrets, losses, moreLosses } = applied
  showLosses(losses, moreLosses, terminal)
  for (const table of unknownTables)
    terminal.note(`nobody knows what the table ${table} is for: it is archived as it is`)
  const { made, updated, unchanged, conflict } = files
  terminal.out(
    `${run}: ${made} files made, ${updated} updated, ${unchanged} as they were, ${conflict} conflicts, ${humanBytes(bytes)}; ${secrets.made} secrets made, ${secrets.unchanged} as they were; ${seconds.toFixed(1)} s`,
  )
}

export function showVerified(verified: Verified, run: string, terminal: Terminal, asJson: boolean): void {
  const { files, bytes, secrets, rankings, losses, moreLosses } = verified
  if (asJson) {
    terminal.out(JSON.stringify({ ok: losses.length === 0, run, ...verified }, undefined, 2))
    return
  }
  showLosses(losses, moreLosses, terminal)
  const result =
    losses.length === 0 ? "nothing is missing" : `${losses.length + moreLosses} are missing or differ`
  const ranked = rankings.compared === 0 ? "" : `, ${rankings.equal} of ${rankings.compared} rankings equal`
  terminal.out(
    `${run}: ${files} files (${humanBytes(bytes)}) and ${secrets} secrets compared${ranked}, ${result}`,
  )
}

export function showRolledBack(done: RolledBack, run: string, terminal: Terminal, asJson: boolean): void {
  const { removed, restored, secrets, kept } = done
  if (asJson) {
    terminal.out(JSON.stringify({ ok: kept.length === 0, run, ...done }, undefined, 2))
    return
  }
  for (const path of kept.slice(0, MOST_SHOWN)) terminal.out(`kept ${printable(path)}: it was changed since`)
  if (kept.length > MOST_SHOWN) terminal.out(`and ${kept.length - MOST_SHOWN} more`)
  terminal.out(
    `${run}: ${removed} files and ${secrets} secrets removed, ${restored} files put back, ${kept.length} kept`,
  )
}

export interface ShownRun {
  readonly run: string
  readonly source: string
  readonly files: number
  readonly secrets: number
  readonly conflicts: number
}

export function showRun(run: Run, header: Header): ShownRun {
  const counts = { files: 0, secrets: 0, conflicts: 0 }
  for (const line of run.ledger.lines())
    if ("secret" in line) counts.secrets += 1
    else if ("key" in line && line.state !== "removed")
      counts[line.state === "conflict" ? "conflicts" : "files"] += 1
  return { run: run.name, source: header.description, ...counts }
}

function showLosses(losses: readonly Loss[], more: number, terminal: Terminal): void {
  for (const { id, table, why } of losses.slice(0, MOST_SHOWN))
    terminal.out(`${printable(id === "" ? table : id)}: ${printable(why)}`)
  const hidden = losses.length - MOST_SHOWN + more
  if (losses.length > MOST_SHOWN)
    terminal.out(`and ${hidden} more; --json has ${more === 0 ? "all" : "the first 1000"}`)
}

/** Names come from a database: nothing in them is to reach the terminal as a command. */
function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  )
}
