/** `clawfs lock`: close an encrypted tree. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {} as const

export type LockInvocation = Invocation<typeof options>

export const lock = command({
  name: "lock",
  summary: "close an encrypted tree",
  usage: "DIR",
  description: `
Closes the encrypted tree DIR: its key is wiped, and the kernel forgets what it has in its caches. From
then on DIR is a directory of which only attributes are known; all else gives ENOKEY ("Required key not
available"), also to programs that have files in it open. A program that has mapped a file gets SIGBUS
at its next access; what it has copied or changed privately stays with it.`,
  operands: [{ name: "DIR", completes: "directory" }],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs lock /clawfs/agents/alice`,
    },
  ],
  exits: [
    [ExitCode.OK, "done"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "DIR is not a directory on a ClawFS mount"],
    [ExitCode.MISSING, "DIR is not the top of an encrypted tree"],
    [ExitCode.BUSY, "the daemon does not answer"],
    [ExitCode.DENIED, "no permission"],
  ],
  run: async (invocation) => (await import("../run/encryption.ts")).runLock(invocation),
})
