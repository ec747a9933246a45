/** The work of `clawfs index`. */
import { call } from "../../api/client.ts"
import { UsageError } from "../command.ts"
import { ACTIONS, type IndexInvocation } from "../commands/index.ts"
import { ExitCode } from "../exit-code.ts"
import { mountHere } from "../mount-here.ts"
import { closest } from "../suggest.ts"
import type { IndexStatus } from "../../../schema/search-api.ts"

export async function runIndex({ values, operands, terminal }: IndexInvocation): Promise<ExitCode> {
  const [action = "", directory] = operands
  if (!ACTIONS.some((known) => known === action)) {
    const similar = closest(action, ACTIONS)
    throw new UsageError(
      `index: there is no action "${action}"`,
      `${similar === undefined ? "" : `did you mean ${similar}? `}it is one of ${ACTIONS.join(", ")}`,
    )
  }
  const { store } = mountHere(directory)
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

function linesOf({ files, chunks, pending, lagMs, isIndexing, embedders, problem }: IndexStatus): string[] {
  const state = isIndexing
    ? `${pending} files to look at, ${(lagMs / 1000).toFixed(1)} s behind`
    : "up to date"
  const { indexed, skipped, failed } = files
  return [
    `index       ${state}`,
    `files       ${indexed} indexed, ${skipped} without text, ${failed} that can't be read`,
    `chunks      ${chunks}`,
    ...embedders.map(({ id, done, isCurrent }) => {
      const percent = chunks === 0 ? 100 : Math.floor((100 * Math.min(done, chunks)) / chunks)
      return `vectors     ${id}, ${percent} % done${isCurrent ? "" : ", answers when it is complete"}`
    }),
    ...(problem === "" ? [] : [`problem     ${problem}`]),
  ]
}
