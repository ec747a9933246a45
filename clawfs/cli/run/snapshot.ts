/** The work of `clawfs snapshot`. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline/promises"
import type { SnapshotRow } from "../../../schema/tree-methods.ts"
import { call } from "../../api/client.ts"
import { Fault } from "../../core/fault.ts"
import { SNAPSHOTS } from "../../fs/hidden.ts"
import { Database } from "../../store/database.ts"
import { META } from "../../store/store.ts"
import { TreeDiff } from "../../store/tree-diff.ts"
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
      return await diff(invocation, named(rest))
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

const SIGNS = { added: "+", removed: "-", changed: "M", attributes: "a", renamed: "R" } as const

async function diff({ values, terminal }: SnapshotInvocation, { name, directory }: Named): Promise<ExitCode> {
  const place = inside(directory)
  // What was answered is committed then, for the database to be read by another process.
  await call(place.store, "sync")
  const rows = (await call(place.store, "snapshot.list")) as SnapshotRow[]
  const snapshot = rows.find((row) => row.name === name)
  if (snapshot === undefined)
    throw new Fault("not-found", `there is no snapshot "${name}"`, {
      hint: "clawfs snapshot list shows them",
    })
  using db = new Database(join(place.store, META), { readonly: true })
  db.begin()
  const second = inodeAt(db, Buffer.from(place.path, "base64"), directory)
  const home = numberAt(db, 1, SNAPSHOTS) ?? 0
  const differences = new TreeDiff(db, home).compare(snapshot.root, second)
  const shown = (names: readonly Buffer[]): string =>
    JSON.stringify(Buffer.concat(names.flatMap((each) => [Buffer.from("/"), each])).toString()).slice(2, -1)
  for (const { kind, path, from, isDirectory } of differences) {
    const end = isDirectory ? "/" : ""
    if (values.json === true)
      terminal.out(
        JSON.stringify({ kind, path: shown(path), ...(from && { from: shown(from) }), isDirectory }),
      )
    else
      terminal.out(
        `${SIGNS[kind]} ${from === undefined ? "" : `${shown(from)}${end} -> `}${shown(path)}${end}`,
      )
  }
  return differences.length === 0 ? ExitCode.OK : ExitCode.NO
}

function numberAt(db: Database, parent: number, name: Buffer): number | undefined {
  return db
    .query<[number, Buffer], [number]>("SELECT ino FROM dentry WHERE parent = ? AND name = ?")
    .get(parent, name)?.[0]
}

/** The inode at a path from the root, by the names that its directories have. */
function inodeAt(db: Database, path: Buffer, given: string): number {
  let ino = 1
  for (const name of path.toString("latin1").split("/").filter(Boolean)) {
    const next = numberAt(db, ino, Buffer.from(name, "latin1"))
    if (next === undefined) throw new Fault("not-found", `${given} is gone`)
    ino = next
  }
  return ino
}
