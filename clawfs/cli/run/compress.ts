/** The work of `clawfs compress`. */
import type { CompressionRow } from "../../../schema/tree-methods.ts"
import { call } from "../../api/client.ts"
import { UsageError } from "../command.ts"
import type { CompressInvocation } from "../commands/compress.ts"
import { ExitCode } from "../exit-code.ts"
import { inside, type Inside } from "../inside.ts"
import { count, humanBytes } from "../numbers.ts"

const DEFAULT_LEVEL = 3
const MOST_LEVEL = 9

export async function runCompress(invocation: CompressInvocation): Promise<ExitCode> {
  const { values, operands } = invocation
  if ([values.level, values.off, values.show].filter((each) => each !== undefined).length > 1)
    throw new UsageError("compress: --level, --off and --show exclude each other")
  const level = values.level === undefined ? DEFAULT_LEVEL : (count(values.level) ?? 0)
  if (level < 1 || level > MOST_LEVEL)
    throw new UsageError(`compress: --level takes a number from 1 to ${MOST_LEVEL}, got "${values.level}"`)
  const place = inside(operands[0] ?? "")
  if (values.show === true) return await show(invocation, place)
  const { store, path } = place
  const row = (
    values.off === true
      ? await call(store, "compress.off", { path })
      : await call(store, "compress.set", { path, level })
  ) as CompressionRow
  if (values.json === true)
    invocation.terminal.out(JSON.stringify({ level: row.level ?? null }, undefined, 2))
  else invocation.terminal.out(inForce(row))
  return ExitCode.OK
}

function inForce({ level }: CompressionRow): string {
  return `new files   ${typeof level === "number" ? `compressed, level ${level}` : "stored as they are"}`
}

async function show({ values, terminal }: CompressInvocation, { store, path }: Inside): Promise<ExitCode> {
  const row = (await call(store, "compress.show", { path })) as CompressionRow
  const { bytes, storedBytes } = (await import("../compression.ts")).statsOf(store, row.tree)
  if (values.json === true) {
    terminal.out(JSON.stringify({ level: row.level ?? null, bytes, storedBytes }, undefined, 2))
    return ExitCode.OK
  }
  const share = bytes === 0 ? "" : ` (${Math.round((100 * storedBytes) / bytes)} %)`
  terminal.out(
    `${inForce(row)}\n${row.tree === 0 ? "whole store" : "stored     "} ${humanBytes(storedBytes)} for ${humanBytes(bytes)}${share}`,
  )
  return ExitCode.OK
}
