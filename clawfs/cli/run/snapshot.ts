/** The work of `clawfs snapshot`. */
import { existsSync } from "node:fs"
import { createInterface } from "node:readline/promises"
import type { SnapshotRow } from "../../../schema/tree-methods.ts"
import { call } from "../../api/client.ts"
import { Fault } from "../../core/fault.ts"
import { UsageError } from "../command.ts"
import { ACTIONS, type SnapshotInvocation } from "../commands/snapshot.ts"
import { ExitCode } from "../exit-code.ts"
import { inside, insideNew } from "../inside.ts"
import { humanBytes } from "../numbers.ts"
import { closest } from "../suggest.ts"

type Action = (typeof ACTIONS)[number]

export async function runSnapshot(invocation: SnapshotInvocation): Promise<ExitCode> {
  const [action = "", ...rest] = invocation.operands
  switch (action as Action) {
    case "create":
      return await create(invocation, named(rest))
    case "list":
      return await list(invocation, rest)
    case "diff":
      return await (await import("./snapshot-diff.ts")).diff(invocation, named(rest))
    case "restore":
      return await restore(invocation, rest)
    case "delete":
      return await remove(named(rest))
    case "schedule":
    case "unschedule":
    case "schedules":
      return await (await import("./schedule.ts")).runSchedule(invocation)
    default: {
      const similar = closest(action, ACTIONS)
      throw new UsageError(
        `snapshot: there is no action "${action}"`,
        `${similar === undefined ? "" : `did you mean ${similar}? `}it is one of ${ACTIONS.join(", ")}`,
      )
    }
  }
}

export interface Named {
  readonly name: string
  readonly directory: string
}

function named([name, directory = "."]: readonly string[]): Named {
  if (name === undefined) throw new UsageError("snapshot: NAME is missing")
  return { name, directory }
}

async function create(
  { values, terminal }: SnapshotInvocation,
  { name, directory }: Named,
): Promise<ExitCode> {
  const { store, mountpoint, path } = inside(directory)
  const isWritable = values.writable === true
  const made = (await call(store, "snapshot.create", { name, path, isWritable })) as SnapshotRow
  if (values.json === true) terminal.out(JSON.stringify(made, undefined, 2))
  else terminal.out(`${mountpoint}/.snapshots/${made.name}: ${made.inodes} files and directories`)
  return ExitCode.OK
}

async function list(
  { values, terminal }: SnapshotInvocation,
  [directory = ".", surplus]: readonly string[],
): Promise<ExitCode> {
  if (surplus !== undefined) throw new UsageError(`snapshot: "${surplus}" is one operand too many`)
  const { store } = inside(directory)
  const rows = (await call(store, "snapshot.list")) as SnapshotRow[]
  if (values.json === true) terminal.out(JSON.stringify(rows, undefined, 2))
  else for (const line of table(rows)) terminal.out(line)
  return ExitCode.OK
}

function table(rows: readonly SnapshotRow[]): string[] {
  const cells = rows.map(({ name, created, inodes, bytes, isWritable, path }) => [
    name,
    new Date(created * 1000).toISOString().slice(0, 19).replace("T", " "),
    String(inodes),
    humanBytes(bytes),
    isWritable ? "writable" : "read-only",
    JSON.stringify(path).slice(1, -1),
  ])
  const head = ["NAME", "MADE (UTC)", "FILES", "REFERS TO", "", "OF"]
  const widths = head.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)),
  )
  return [head, ...cells].map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  )
}

async function remove({ name, directory }: Named): Promise<ExitCode> {
  const { store } = inside(directory)
  await call(store, "snapshot.delete", { name })
  return ExitCode.OK
}

async function restore(
  { values, terminal }: SnapshotInvocation,
  [name, given, surplus]: readonly string[],
): Promise<ExitCode> {
  if (name === undefined || given === undefined)
    throw new UsageError(`snapshot restore: ${name === undefined ? "NAME" : "PATH"} is missing`)
  if (surplus !== undefined) throw new UsageError(`snapshot: "${surplus}" is one operand too many`)
  // What is to come back may be gone.
  const { store, path } = existsSync(given) ? inside(given) : insideNew(given)
  const order = async (isForced: boolean): Promise<{ restored: number; removed: number }> =>
    (await call(store, "snapshot.restore", { name, path, isForced })) as { restored: number; removed: number }
  let done: { restored: number; removed: number }
  try {
    done = await order(values.yes === true)
  } catch (thrown) {
    if (!(thrown instanceof Fault && thrown.kind === "busy") || !(await isConfirmed(thrown.message)))
      throw thrown
    done = await order(true)
  }
  if (values.json === true) terminal.out(JSON.stringify(done, undefined, 2))
  else terminal.out(`restored ${done.restored} files, removed ${done.removed}`)
  return ExitCode.OK
}

/** Asks on a terminal; anywhere else the answer is no. */
async function isConfirmed(what: string): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return false
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test((await lines.question(`clawfs: ${what}. Restore all the same? [y/N] `)).trim())
  } finally {
    lines.close()
  }
}
