/** `clawfs compress`: whether what is written below a directory is compressed. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  level: { type: "string", value: "N", help: "1, fastest, to 9, smallest; default 3" },
  off: { type: "boolean", help: "store what is written from now on as it is" },
  show: { type: "boolean", help: "change nothing: show what holds, and what it saves" },
  json: { type: "boolean", help: "print one JSON object" },
} as const

export type CompressInvocation = Invocation<typeof options>

export const compress = command({
  name: "compress",
  summary: "compress what is written below a directory",
  usage: "[--level N | --off | --show] [--json] DIRECTORY",
  description: `
From now on, what is written to files below DIRECTORY is compressed by Zstandard, in records of up to
128 KiB. What is there already stays as it is, and what does not shrink by an eighth is stored as it
is. Programs notice nothing: sizes, quotas and du show the bytes that they have written. Files of up to
16 KiB are not compressed. Writing gets slower, with level 3 to some 100 to 300 MB/s, and other
programs on the mount wait meanwhile. Needs libzstd, as reading the files does.

The directory is left by no rename and no hard link then: mv copies instead (see clawfs quota, which
also says when such a directory can be made of one that is not empty). A directory in one that is
compressed is compressed as well, unless --off is said for it.`,
  operands: [{ name: "DIRECTORY", completes: "directory" }],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs compress /clawfs/workspaces/logs
clawfs compress --show /clawfs/workspaces/logs
clawfs compress --off /clawfs/workspaces/logs/raw`,
    },
  ],
  exits: [
    [ExitCode.OK, "done"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "no directory, or a hard link leads out of it"],
    [ExitCode.MISSING, "no such directory, or no ClawFS there"],
    [ExitCode.UNAVAILABLE, "this machine lacks libzstd"],
    [ExitCode.IO, "the disk is full or fails"],
    [ExitCode.BUSY, "too many files below it, or the daemon does not answer"],
    [ExitCode.DENIED, "no permission, mounted read-only, or in a snapshot"],
  ],
  run: async (invocation) => (await import("../run/compress.ts")).runCompress(invocation),
})
