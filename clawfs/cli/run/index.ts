/** The work of `clawfs index`. */
import { readFile } from "node:fs/promises"
import { call } from "../../api/client.ts"
import { Fault } from "../../core/fault.ts"
import { UsageError } from "../command.ts"
import { ACTIONS, type IndexInvocation } from "../commands/index.ts"
import { ExitCode } from "../exit-code.ts"
import { inside } from "../inside.ts"
import { mountHere } from "../mount-here.ts"
import { closest } from "../suggest.ts"
import type { IndexExplanation, IndexStatus } from "../../../schema/search-api.ts"
import type { Terminal } from "../terminal.ts"
import { belowOf } from "./search.ts"

export async function runIndex({ values, operands, terminal }: IndexInvocation): Promise<ExitCode> {
  const [action = "", directory] = operands
  if (!ACTIONS.some((known) => known === action)) {
    const similar = closest(action, ACTIONS)
    throw new UsageError(
      `index: there is no action "${action}"`,
      `${similar === undefined ? "" : `did you mean ${similar}? `}it is one of ${ACTIONS.join(", ")}`,
    )
  }
  if (values.from !== undefined && action !== "config")
    throw new UsageError(`index: --from is for config, not for ${action}`)
  if (action === "explain") return await explain(directory, values.json === true, terminal)
  const { store } = mountHere(directory)
  if (action === "config") return await configure(store, values.from, terminal)
  if (action === "verify") return await verify(store, values.json === true, terminal)
  if (action === "rebuild") {
    await call(store, "index.rebuild", {})
    terminal.note("the index is being built anew; clawfs index status shows how far it is")
    return ExitCode.OK
  }
  const status = (await call(store, "index.status", {})) as IndexStatus
  if (values.json === true) terminal.out(JSON.stringify(status, undefined, 2))
  else for (const line of linesOf(status)) terminal.out(line)
  return ExitCode.OK
}

const LARGEST = 64 * 1024

async function configure(store: string, from: string | undefined, terminal: Terminal): Promise<ExitCode> {
  const params = from === undefined ? {} : { config: await readJson(from) }
  terminal.out(JSON.stringify(await call(store, "index.configure", params), undefined, 2))
  return ExitCode.OK
}

async function readJson(from: string): Promise<unknown> {
  const bytes = await readFile(from === "-" ? "/dev/stdin" : from)
  if (bytes.length > LARGEST) throw new Fault("invalid", `${from} is longer than ${LARGEST} bytes`)
  try {
    return JSON.parse(bytes.toString()) as unknown
  } catch (cause) {
    throw new Fault("invalid", `${from} is no JSON`, { cause })
  }
}

async function verify(store: string, asJson: boolean, terminal: Terminal): Promise<ExitCode> {
  const { problems } = (await call(store, "index.verify", {})) as { problems: string[] }
  if (asJson) terminal.out(JSON.stringify({ problems }))
  else if (problems.length === 0) terminal.out("the index is whole")
  else for (const problem of problems) terminal.out(problem)
  if (problems.length > 0 && !asJson) terminal.note("clawfs index rebuild makes it anew")
  return problems.length === 0 ? ExitCode.OK : ExitCode.NO
}

async function explain(file: string | undefined, asJson: boolean, terminal: Terminal): Promise<ExitCode> {
  if (file === undefined) throw new UsageError("index: explain needs a FILE")
  const place = inside(file)
  const told = (await call(place.store, "index.explain", { path: belowOf(place) })) as IndexExplanation
  if (asJson) terminal.out(JSON.stringify(told, undefined, 2))
  else for (const [name, value] of Object.entries(told)) terminal.out(`${name.padEnd(11)} ${String(value)}`)
  return told.state === "indexed" ? ExitCode.OK : ExitCode.NO
}

function linesOf({ files, chunks, pending, lagMs, isIndexing, embedders, problem }: IndexStatus): string[] {
  const state = isIndexing
    ? `${pending} files to look at, ${(lagMs / 1000).toFixed(1)} s behind`
    : "up to date"
  const { indexed, skipped, failed } = files
  return [
    `index       ${state}`,
    `files       ${indexed} indexed, ${skipped} without text, ${failed} that can't be read`,
    `chunks      ${chunks}`,
    ...embedders.flatMap(({ id, done, isCurrent, graph }) => {
      const percent = chunks === 0 ? 100 : Math.floor((100 * Math.min(done, chunks)) / chunks)
      const line = `vectors     ${id}, ${percent} % done${isCurrent ? "" : ", answers when it is complete"}`
      if (graph === "exact") return [line]
      return [line, `graph       of ${graph.vectors} vectors, recall ${graph.recall.toFixed(3)}`]
    }),
    ...(problem === "" ? [] : [`problem     ${problem}`]),
  ]
}
