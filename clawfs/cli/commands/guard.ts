/** `clawfs guard`: whether what is written below a directory is looked through for secrets of the vault. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  action: {
    type: "string",
    value: "ACTION",
    help: "block (default): refuse the write; alert: only tell",
  },
  off: { type: "boolean", help: "nothing is looked through any more" },
  show: { type: "boolean", help: "change nothing: show what holds" },
  json: { type: "boolean", help: "print one JSON object" },
} as const

export type GuardInvocation = Invocation<typeof options>

export const guard = command({
  name: "guard",
  summary: "keep secrets of the vault out of a directory",
  usage: "[--action ACTION | --off | --show] [--json] DIRECTORY",
  description: `
From now on, what is written to files below DIRECTORY is looked through for the values of the secrets in
the vault of the user who has mounted, as they are and in common encodings (docs/VAULT.md). A write with
one in it fails with EPERM, also when it only completes one that is partly there; with alert it is done.
Both are written down: clawfs vault audit. The kernel may cut up a long write: what comes before is
stored then. What programs have written through a mapping fails when the kernel passes it on: msync and
fsync say so. While the vault is locked nobody can look: with block nothing can be written (EACCES), with
alert everything is.

New names, link targets and extended attributes are looked at too, each by itself: making, renaming or
setting one with a value in it fails in the same way. What is there already is not looked at. Each write,
and each new name, waits until the vault's process has looked, some 1 ms; other programs don't.

The directory is left by no rename and no hard link then, nor entered by one: mv copies instead (see
clawfs quota, which also says when such a directory can be made of one that is not empty). A directory in
one that is guarded is guarded as well, unless --off is said for it.`,
  operands: [{ name: "DIRECTORY", completes: "directory" }],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs guard /clawfs/workspaces/public
clawfs guard --action alert /clawfs/agents
clawfs guard --show /clawfs/workspaces/public`,
    },
  ],
  exits: [
    [ExitCode.OK, "done"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "no directory, or a hard link leads out of it"],
    [ExitCode.MISSING, "no such directory, or no ClawFS there"],
    [ExitCode.IO, "the disk is full or fails"],
    [ExitCode.BUSY, "too many files below it, or the daemon does not answer"],
    [ExitCode.DENIED, "no permission, mounted read-only, or in a snapshot"],
  ],
  run: async (invocation) => (await import("../run/guard.ts")).runGuard(invocation),
})
