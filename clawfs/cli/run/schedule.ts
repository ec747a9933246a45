/** The work of `clawfs snapshot schedule`, `unschedule` and `schedules`. */
import type { ScheduleRow } from "../../../schema/tree-methods.ts"
import { call } from "../../api/client.ts"
import { UsageError } from "../command.ts"
import type { SnapshotInvocation } from "../commands/snapshot.ts"
import { ExitCode } from "../exit-code.ts"
import { inside } from "../inside.ts"

const UNITS: Readonly<Record<string, number>> = { m: 60, h: 3600, d: 86_400, w: 7 * 86_400 }

export async function runSchedule(invocation: SnapshotInvocation): Promise<ExitCode> {
  const [action, ...rest] = invocation.operands
  if (action === "schedules") return await list(invocation, rest)
  const [name, given = "."] = rest
  if (name === undefined) throw new UsageError("snapshot: NAME is missing")
  if (action === "schedule") return await add(invocation, name, given)
  await call(inside(given).store, "snapshot.unschedule", { name })
  return ExitCode.OK
}

async function add({ values }: SnapshotInvocation, name: string, given: string): Promise<ExitCode> {
  const { every: time = "", keep: count = "" } = values
  const [, amount, unit = ""] = /^(\d{1,6})([mhdw])$/.exec(time) ?? []
  if (amount === undefined)
    throw new UsageError(`snapshot schedule: --every takes a time such as 10m, 1h, 1d or 1w, got "${time}"`)
  if (!/^\d{1,6}$/.test(count))
    throw new UsageError(`snapshot schedule: --keep takes a number, got "${count}"`)
  const { store, path } = inside(given)
  const every = Number(amount) * (UNITS[unit] ?? 0)
  await call(store, "snapshot.schedule", { name, path, every, keep: Number(count) })
  await call(store, "snapshot.tick")
  return ExitCode.OK
}

async function list(
  { values, terminal }: SnapshotInvocation,
  [given = "."]: readonly string[],
): Promise<ExitCode> {
  const rows = (await call(inside(given).store, "snapshot.schedules")) as ScheduleRow[]
  if (values.json === true) {
    terminal.out(JSON.stringify(rows, undefined, 2))
    return ExitCode.OK
  }
  for (const { name, path, every, keep, next } of rows) {
    const due = new Date(next * 1000).toISOString().slice(0, 19).replace("T", " ")
    terminal.out(
      `${name}: every ${span(every)}, keeps ${keep}, next at ${due} (UTC), of ${JSON.stringify(path).slice(1, -1)}`,
    )
  }
  return ExitCode.OK
}

/** 7200 → "2h". */
function span(seconds: number): string {
  const [unit, length] = Object.entries(UNITS).findLast(([, each]) => seconds % each === 0) ?? ["s", 1]
  return `${seconds / length}${unit}`
}
