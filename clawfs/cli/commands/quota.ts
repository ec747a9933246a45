/** `clawfs quota`: how much a directory may hold. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  bytes: { type: "string", value: "SIZE", help: "set: the most bytes, such as 500M or 10G; none: no limit" },
  inodes: { type: "string", value: "N", help: "set: the most files and directories; none: no limit" },
  json: { type: "boolean", help: "print JSON" },
} as const

export type QuotaInvocation = Invocation<typeof options>

export const ACTIONS = ["set", "show", "list", "remove"] as const

export const quota = command({
  name: "quota",
  summary: "limit how much a directory may hold",
  usage: "set DIRECTORY [--bytes SIZE] [--inodes N] | show|remove DIRECTORY | list [DIRECTORY]",
  description: `
A directory on a mount gets limits for all that is below it, to the byte and the inode, whoever writes
there, root too. What would exceed one fails with EDQUOT ("Disk quota exceeded") and changes nothing.
Bytes are those that files have been given, as du counts them: holes are free, and copies that share
their contents count in full. df shows the tightest limit around a file as the size of its filesystem.
A limit may be set below what is used; then nothing more fits until it is enough less.

A directory with a quota is left by no rename and no hard link: mv copies instead. Setting one takes a
moment for a directory that is not empty (7 µs a file, in which programs wait; up to 200,000 files),
and is refused where a hard link leads out of it. A directory's quota goes with it. Sizes are in units
of 1024.`,
  operands: [
    { name: "ACTION", completes: ACTIONS },
    { name: "DIRECTORY", completes: "directory", optional: true },
  ],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs quota set /clawfs/agents/a --bytes 10G --inodes 100000
clawfs quota set /clawfs/agents/a --inodes none
clawfs quota list /clawfs
clawfs quota remove /clawfs/agents/a`,
    },
    {
      title: "--json",
      text: `
{"path":…,"limitBytes":…,"usedBytes":…,"limitInodes":…,"usedInodes":…}; a limit of 0 is none.
list prints an array of these.`,
    },
  ],
  exits: [
    [ExitCode.OK, "done"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "no directory, or a hard link leads out of it"],
    [ExitCode.MISSING, "no such directory, no quota there, or no ClawFS"],
    [ExitCode.IO, "the disk is full or fails"],
    [ExitCode.BUSY, "too many files below it, or the daemon does not answer"],
    [ExitCode.DENIED, "no permission, mounted read-only, or in a snapshot"],
  ],
  run: async (invocation) => (await import("../run/quota.ts")).runQuota(invocation),
})
