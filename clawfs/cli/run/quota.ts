/** The work of `clawfs quota`. */
import type { QuotaRow } from "../../../schema/tree-methods.ts"
import { call } from "../../api/client.ts"
import { UsageError } from "../command.ts"
import { ACTIONS, type QuotaInvocation } from "../commands/quota.ts"
import { ExitCode } from "../exit-code.ts"
import { inside, type Inside } from "../inside.ts"
import { bytes, count, humanBytes } from "../numbers.ts"
import { closest } from "../suggest.ts"

type Action = (typeof ACTIONS)[number]

export async function runQuota(invocation: QuotaInvocation): Promise<ExitCode> {
  const { operands, values } = invocation
  const [action = "", directory] = operands
  if (action !== "set" && (values.bytes ?? values.inodes) !== undefined)
    throw new UsageError("quota: --bytes and --inodes are for set")
  switch (action as Action) {
    case "set":
      return await set(invocation, limits(invocation), named(directory))
    case "show":
      return await show(invocation, named(directory))
    case "list":
      return await list(invocation, inside(directory ?? "."))
    case "remove":
      return await remove(invocation, named(directory))
    default: {
      const similar = closest(action, ACTIONS)
      throw new UsageError(
        `quota: there is no action "${action}"`,
        `${similar === undefined ? "" : `did you mean ${similar}? `}it is one of ${ACTIONS.join(", ")}`,
      )
    }
  }
}

function named(directory: string | undefined): Inside {
  if (directory === undefined) throw new UsageError("quota: DIRECTORY is missing")
  return inside(directory)
}

interface Limits {
  readonly bytes?: number
  readonly inodes?: number
}

function limits({ values }: QuotaInvocation): Limits {
  if (values.bytes === undefined && values.inodes === undefined)
    throw new UsageError("quota: set needs --bytes, --inodes or both")
  return {
    ...(values.bytes === undefined ? {} : { bytes: limit("--bytes", values.bytes, bytes) }),
    ...(values.inodes === undefined ? {} : { inodes: limit("--inodes", values.inodes, count) }),
  }
}

function limit(option: string, text: string, read: (text: string) => number | undefined): number {
  const value = text === "none" ? 0 : read(text)
  if (value !== undefined) return value
  const wanted = option === "--bytes" ? "a size above 0, such as 4096, 500M or 1.5T" : "a number above 0"
  throw new UsageError(`quota: ${option} takes ${wanted}, got "${text}"`, "none takes the limit away")
}

async function set(
  invocation: QuotaInvocation,
  given: Limits,
  { store, mountpoint, path }: Inside,
): Promise<ExitCode> {
  const row = (await call(store, "quota.set", { path, ...given })) as QuotaRow
  tell(invocation, mountpoint, row)
  return ExitCode.OK
}

async function show(invocation: QuotaInvocation, { store, mountpoint, path }: Inside): Promise<ExitCode> {
  tell(invocation, mountpoint, (await call(store, "quota.show", { path })) as QuotaRow)
  return ExitCode.OK
}

function tell({ values, terminal }: QuotaInvocation, mountpoint: string, row: QuotaRow): void {
  if (values.json === true) terminal.out(JSON.stringify(placed(mountpoint, row), undefined, 2))
  else for (const line of table(mountpoint, [row])) terminal.out(line)
}

async function list({ values, terminal }: QuotaInvocation, { store, mountpoint }: Inside): Promise<ExitCode> {
  const rows = (await call(store, "quota.list")) as QuotaRow[]
  if (values.json === true)
    terminal.out(
      JSON.stringify(
        rows.map((row) => placed(mountpoint, row)),
        undefined,
        2,
      ),
    )
  else for (const line of table(mountpoint, rows)) terminal.out(line)
  return ExitCode.OK
}

async function remove({ terminal }: QuotaInvocation, { store, path }: Inside): Promise<ExitCode> {
  const { isTree } = (await call(store, "quota.remove", { path })) as { isTree: boolean }
  if (isTree) terminal.note("the limits are gone; renames out of the directory and into it still copy")
  return ExitCode.OK
}

/** With the path that programs use. */
function placed(mountpoint: string, { path, ...numbers }: QuotaRow): QuotaRow {
  const base = mountpoint === "/" ? "" : mountpoint
  return { path: path === "/" ? mountpoint : `${base}${path}`, ...numbers }
}

function table(mountpoint: string, rows: readonly QuotaRow[]): string[] {
  const cells = rows.map((row) => {
    const { path, usedBytes, limitBytes, usedInodes, limitInodes } = placed(mountpoint, row)
    const most = (value: number, text: string): string => (value === 0 ? "none" : text)
    return [
      ...[humanBytes(usedBytes), most(limitBytes, humanBytes(limitBytes))],
      ...[String(usedInodes), most(limitInodes, String(limitInodes))],
      JSON.stringify(path).slice(1, -1),
    ]
  })
  const head = ["USED", "LIMIT", "INODES", "LIMIT", "DIRECTORY"]
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
