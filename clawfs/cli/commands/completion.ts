/** `clawfs completion`: a script that teaches a shell the commands. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

export const SHELLS = ["bash", "zsh"] as const

export type CompletionInvocation = Invocation<Record<string, never>>

export const completion = command({
  name: "completion",
  summary: "print a completion script for bash or zsh",
  usage: "bash|zsh",
  description: `
Prints a script that completes commands, options, values, directories, and for unmount and status
the ClawFS mounts of this machine.`,
  operands: [{ name: "SHELL", completes: SHELLS }],
  options: {},
  sections: [
    {
      title: "examples",
      text: `
source <(clawfs completion bash)                              # in ~/.bashrc
clawfs completion bash >/etc/bash_completion.d/clawfs         # for everybody
clawfs completion zsh >"\${fpath[1]}/_clawfs"                  # zsh, once
source <(clawfs completion zsh)                               # in ~/.zshrc, after compinit`,
    },
  ],
  exits: [
    [ExitCode.OK, "printed"],
    [ExitCode.USAGE, "wrong usage"],
  ],
  run: async (invocation) => (await import("../run/completion.ts")).runCompletion(invocation),
})
