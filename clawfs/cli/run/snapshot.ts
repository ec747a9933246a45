/** The work of `clawfs snapshot`. */
import type { SnapshotRow } from "../../../schema/tree-methods.ts"
import { call } from "../../api/client.ts"
import { UsageError } from "../command.ts"
import { ACTIONS, type SnapshotInvocation } from "../commands/snapshot.ts"
import { ExitCode } from "../exit-code.ts"
import { inside } from "../inside.ts"
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
    case "delete":
      return await remove(named(rest))
    default: {
      const similar = closest(action, ACTIONS)
      throw new UsageError(
        `snapshot: there is no action "${action}"`,
        `${similar === undefined ? "" : `did you mean ${similar}? `}it is one of ${ACTIONS.join(", ")}`,
      )
    }
  }
}

interface Named {
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
