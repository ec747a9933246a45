/** The work of `clawfs completion`. */
import { bashScript } from "../completion/bash.ts"
import { zshScript } from "../completion/zsh.ts"
import { UsageError } from "../command.ts"
import { allCommands } from "../commands.ts"
import { SHELLS, type CompletionInvocation } from "../commands/completion.ts"
import { ExitCode } from "../exit-code.ts"

export async function runCompletion({ operands, terminal }: CompletionInvocation): Promise<ExitCode> {
  const [given = ""] = operands
  const shell = SHELLS.find((name) => name === given)
  if (shell === undefined)
    throw new UsageError(`completion: SHELL is one of ${SHELLS.join(", ")}, got "${given}"`)
  terminal.out((shell === "bash" ? bashScript : zshScript)(await allCommands()).trimEnd())
  return ExitCode.OK
}
