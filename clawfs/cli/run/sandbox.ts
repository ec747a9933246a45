/** The work of `clawfs sandbox`. */
import type { SandboxStatus } from "../../../schema/sandbox.ts"
import { call } from "../../api/client.ts"
import { unknownAction } from "../action.ts"
import { ACTIONS, type SandboxInvocation } from "../commands/sandbox.ts"
import { ExitCode } from "../exit-code.ts"
import { mountHere } from "../mount-here.ts"

export async function runSandbox({ values, operands, terminal }: SandboxInvocation): Promise<ExitCode> {
  const [action = "", directory] = operands
  if (action !== "status") throw unknownAction("sandbox", action, ACTIONS)
  const { store } = mountHere(directory)
  const status = (await call(store, "sandbox.status")) as SandboxStatus
  if (values.json === true) terminal.out(JSON.stringify(status, undefined, 2))
  else for (const line of table(status)) terminal.out(line)
  if (status.lacking.length === 0) return ExitCode.OK
  terminal.note(`no tool runs: ${status.lacking.join(", ")} must be enforced (system/sandbox.json)`)
  return ExitCode.NO
}

function table({ controls }: SandboxStatus): string[] {
  const width = Math.max(...controls.map(({ name }) => name.length))
  return controls.flatMap(({ name, state, detail, hint }) => [
    `${name.padEnd(width)}  ${state.padEnd(8)}  ${detail}`,
    ...(hint === undefined ? [] : [`${" ".repeat(width + 12)}${hint}`]),
  ])
}
