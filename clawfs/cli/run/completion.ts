/** The work of `clawfs completion`. */
import { bashScript } from "../completion/bash.ts"
import { zshScript } from "../completion/zsh.ts"
import { UsageError } from "../command.ts"
import { COMMANDS } from "../commands.ts"
import { SHELLS, type CompletionInvocation } from "../commands/completion.ts"
import { ExitCode } from "../exit-code.ts"

export function runCompletion({ operands, terminal }: CompletionInvocation): ExitCode {
  const [given = ""] = operands
  const shell = SHELLS.find((name) => name === given)
  if (shell === undefined)
    throw new UsageError(`completion: SHELL is one of ${SHELLS.join(", ")}, got "${given}"`)
  terminal.out((shell === "bash" ? bashScript : zshScript)(COMMANDS).trimEnd())
  return ExitCode.OK
}
