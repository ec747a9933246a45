/** The work of `clawfs guard`. */
import type { GuardRow } from "../../../schema/tree-methods.ts"
import { call } from "../../api/client.ts"
import { UsageError } from "../command.ts"
import type { GuardInvocation } from "../commands/guard.ts"
import { ExitCode } from "../exit-code.ts"
import { inside } from "../inside.ts"

export async function runGuard({ values, operands, terminal }: GuardInvocation): Promise<ExitCode> {
  const { action = "block", off, show, json } = values
  if ([values.action, off, show].filter((each) => each !== undefined).length > 1)
    throw new UsageError("guard: --action, --off and --show exclude each other")
  if (action !== "block" && action !== "alert")
    throw new UsageError(`guard: --action takes block or alert, got "${action}"`)
  const { store, path } = inside(operands[0] ?? "")
  const row = (
    show === true
      ? await call(store, "guard.show", { path })
      : off === true
        ? await call(store, "guard.off", { path })
        : await call(store, "guard.set", { path, action })
  ) as GuardRow
  if (json === true) terminal.out(JSON.stringify({ action: row.action ?? null }, undefined, 2))
  else terminal.out(`secrets in what is written   ${WORDS[row.action ?? "off"]}`)
  return ExitCode.OK
}

const WORDS = { block: "refused", alert: "written down", off: "not looked for" } as const
