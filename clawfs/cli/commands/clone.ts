/** `clawfs clone`: a copy that shares its contents with the original. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  json: { type: "boolean", help: "print one JSON object" },
} as const

export type CloneInvocation = Invocation<typeof options>

export const clone = command({
  name: "clone",
  summary: "copy a file or a directory without copying its bytes",
  usage: "[--json] SOURCE TARGET",
  description: `
Makes TARGET, which must not exist, a copy of the file, link or directory SOURCE on the same mount, with
owners, permissions, times, attributes and links as they are, at one instant. Contents are shared until
one of both sides is changed. SOURCE may lie in a snapshot: that is how one is brought back under another
name.`,
  operands: [
    { name: "SOURCE", completes: "directory" },
    { name: "TARGET", completes: "directory" },
  ],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs clone /clawfs/workspaces/site /clawfs/workspaces/site-experiment
clawfs clone /clawfs/.snapshots/monday /clawfs/workspaces/site-as-on-monday`,
    },
  ],
  exits: [
    [ExitCode.OK, "done"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "something that can't be cloned, or a directory into itself"],
    [ExitCode.MISSING, "SOURCE or the directory of TARGET does not exist, or no ClawFS there"],
    [ExitCode.CANNOT_CREATE, "TARGET exists"],
    [ExitCode.IO, "the disk is full or fails"],
    [ExitCode.BUSY, "the daemon does not answer"],
    [ExitCode.DENIED, "no permission, or TARGET lies in a snapshot or a guarded directory"],
  ],
  run: async (invocation) => (await import("../run/clone.ts")).runClone(invocation),
})
